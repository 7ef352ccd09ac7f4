// A link to a word of the glossary, a cited work or a figure shows it in a box, by mouse or by keyboard; Escape closes
// the box, and the mouse may rest on it. What it shows comes from previews-data.js, written by book/previews.py.
(() => {
  const here = document.currentScript.src;
  const root = new URL("../", here);
  const box = Object.assign(document.createElement("div"), { id: "link-preview", className: "link-preview", hidden: true });
  box.setAttribute("role", "tooltip");
  let known, shown, waiting;

  // The data are asked for once, at the first link that could need them.
  const data = () => (known ??= new Promise((done) => {
    const script = Object.assign(document.createElement("script"), { src: new URL("previews-data.js", here).href });
    script.onload = () => done(globalThis.ASTRACLR?.previews || {});
    script.onerror = () => done({});
    document.head.append(script);
  }));
  const key = (link) => {
    const there = new URL(link.getAttribute("href"), location.href);
    return there.href.startsWith(root.href) ? decodeURIComponent(there.href.slice(root.href.length)) : "";
  };
  function hide() {
    clearTimeout(waiting);
    if (shown) shown.removeAttribute("aria-describedby");
    shown = undefined;
    box.hidden = true;
  }
  async function show(link) {
    const about = (await data())[key(link)];
    if (!about || waiting === undefined) return;
    hide();
    shown = link;
    link.removeAttribute("title");  // of cited works: the same words, in a box of the browser
    box.replaceChildren();
    if (about.image) box.append(Object.assign(document.createElement("img"), { src: new URL(about.image, root).href, alt: "" }));
    box.append(Object.assign(document.createElement("p"), { textContent: about.text }));
    document.body.append(box);
    box.hidden = false;
    link.setAttribute("aria-describedby", box.id);
    place();
  }
  function place() {
    const at = shown.getBoundingClientRect(), size = box.getBoundingClientRect();
    const below = at.bottom + 4 + size.height <= innerHeight || at.top < size.height;
    box.style.left = `${Math.max(8, Math.min(at.left, document.documentElement.clientWidth - size.width - 8))}px`;
    box.style.top = `${below ? at.bottom + 4 : at.top - size.height - 4}px`;
  }
  const link = (target) => target.closest?.('.bd-article a.reference.internal[href*="#"], .bd-article .citation-reference a[href*="#"]');
  const soon = (target, delay) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show(target), delay);
  };
  addEventListener("DOMContentLoaded", () => {
    document.addEventListener("mouseover", (e) => {
      const target = link(e.target);
      if (target && target !== shown) soon(target, 250);
      else if (box.contains(e.target) || target) clearTimeout(waiting);
      else { clearTimeout(waiting); waiting = shown && document.activeElement !== shown ? setTimeout(hide, 200) : null; }
    });
    document.addEventListener("focusin", (e) => { const target = link(e.target); if (target) soon(target, 0); else hide(); });
    document.addEventListener("focusout", (e) => { if (link(e.target)) hide(); });
    document.addEventListener("keydown", (e) => { if (e.key === "Escape") hide(); });
    // A link that is reached by keyboard may scroll into sight.
    document.addEventListener("scroll", () => { if (shown) (shown === document.activeElement ? place : hide)(); }, { passive: true });
  });
})();
