// Answers and finished chapters are remembered in this browser, and nowhere else. Where storage is refused, the pages
// work as before and say nothing.
(() => {
  const KEY = "astraclr-book";
  let memory;
  try {
    localStorage.setItem(`${KEY}-try`, "1");
    localStorage.removeItem(`${KEY}-try`);
    memory = JSON.parse(localStorage.getItem(KEY) || "{}");
  } catch { return; }
  if (!memory || typeof memory !== "object") memory = {};
  const page = location.pathname.split("/").slice(-1)[0].replace(/\.html$/, "");
  const keep = (what, name, value) => {
    const kept = (memory[what] ??= {});
    if (value === undefined || value === "" || value === false) delete kept[name]; else kept[name] = value;
    try { localStorage.setItem(KEY, JSON.stringify(memory)); } catch { /* full: what was kept stays */ }
  };
  const kept = (what, name) => memory[what]?.[name];
  const named = (text) => text.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 60);
  const make = (tag, attributes, ...children) => {
    const e = Object.assign(document.createElement(tag), attributes);
    e.append(...children);
    return e;
  };

  function quizzes(article) {
    for (const quiz of article.querySelectorAll(".admonition.quiz")) {
      const name = `${page}/${named(quiz.querySelector(".admonition-title")?.textContent || "quiz")}`;
      const answers = [...quiz.querySelectorAll("details")];
      const chosen = kept("quizzes", name);
      answers.forEach((answer, k) => {
        if (Array.isArray(chosen) && chosen.includes(k)) answer.open = true;
        answer.addEventListener("toggle", () => {
          const open = answers.map((a, j) => (a.open ? j : -1)).filter((j) => j >= 0);
          keep("quizzes", name, open.length ? open : undefined);
        });
      });
    }
  }
  function predictions(article) {
    [...article.querySelectorAll(".admonition.important")].filter((box) => /^Predict/.test(box.querySelector(".admonition-title")?.textContent.trim() || "")).forEach((box, k) => {
      const name = `${page}/${k}`, id = `prediction-${k}`;
      const field = make("textarea", { id, rows: 2, maxLength: 500, value: kept("predictions", name) || "" });
      field.addEventListener("input", () => keep("predictions", name, field.value));
      const label = make("label", { htmlFor: id }, "Your prediction (kept in this browser only)");
      box.append(make("div", { className: "prediction" }, label, field));
    });
  }
  function finished(article) {
    const chapters = /^\d\d_/;
    if (chapters.test(page)) {
      const box = make("input", { type: "checkbox", id: "finished", checked: Boolean(kept("finished", page)) });
      box.addEventListener("change", () => { keep("finished", page, box.checked); mark(); });
      article.append(make("p", { className: "finished" }, make("label", { htmlFor: "finished" }, box, " I have finished this chapter")));
    }
    const mark = () => {
      for (const link of document.querySelectorAll(".bd-sidebar-primary a, .bd-article a.reference.internal")) {
        const name = (link.getAttribute("href") || "").split("#")[0].split("/").slice(-1)[0].replace(/\.html$/, "") || (link.closest(".current") && link.getAttribute("href") === "#" ? page : "");
        if (!chapters.test(name)) continue;
        link.querySelector(".finished-mark")?.remove();
        if (!kept("finished", name) || (!link.closest(".bd-sidebar-primary") && !link.closest("td"))) continue;
        link.append(make("span", { className: "finished-mark" }, " ✓", make("span", { className: "visually-hidden" }, " (finished)")));
      }
    };
    mark();
  }
  function forget(article) {
    if (page !== "intro" && page !== "index") return;
    const button = make("button", { type: "button", className: "forget" }, "Forget what this browser remembers of the book");
    button.addEventListener("click", () => { try { localStorage.removeItem(KEY); } catch { /* nothing is kept */ } memory = {}; location.reload(); });
    if (Object.values(memory).some((v) => Object.keys(v).length)) article.append(make("p", { className: "finished" }, button));
  }
  addEventListener("DOMContentLoaded", () => {
    const article = document.querySelector(".bd-article");
    if (!article) return;
    for (const part of [quizzes, predictions, finished, forget]) part(article);
  });
})();
