// What the pages that one can touch share: elements, charts, sliders, handles, random numbers, and their place in the book.
// Plain JavaScript without a framework; window.Touch in a browser, module.exports under node (the numbers only).
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.Touch = make();
})(typeof self === "undefined" ? this : self, function () {
  // --- numbers -----------------------------------------------------------------------------------------------------

  /** Places of ticks from lo to hi, at most about `most`, and how many decimals they need. */
  function ticks(lo, hi, most = 6) {
    if (!(hi > lo)) return { at: [lo], decimals: 0 };
    const raw = (hi - lo) / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((v) => v * power >= raw * (1 - 1e-9)), at = [];
    for (let v = Math.ceil(lo / step - 1e-9); v * step <= hi + 1e-9 * step; v++) at.push(v * step + 0);
    return { at, decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
  }
  /** Powers of ten from lo to hi. */
  function decades(lo, hi) {
    const at = [];
    for (let p = Math.ceil(Math.log10(lo) - 1e-9); p <= Math.log10(hi) + 1e-9; p++) at.push(10 ** p);
    return at;
  }
  /** A number in words of about three digits, as 0.0512, 12.3, 1,234. */
  function short(v, digits = 3) {
    if (!Number.isFinite(v)) return "none";
    const text = Math.abs(v) >= 1000 ? Math.round(v).toLocaleString("en") : String(+v.toPrecision(digits));
    return text.replace("-", "\u2212");
  }
  const fixed = (v, digits) => v.toFixed(digits).replace("-", "\u2212");

  /** A generator of random numbers from a seed: uniform() in [0, 1), normal(), integer(n). (Mulberry32; Box-Muller.) */
  function random(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal, integer: (n) => Math.floor(uniform() * n) };
  }

  /** Light curve s of the stars that astraclr.page_model packed: {id, label, period, bands}. */
  function starOf(stars, s, wavelengths) {
    const n = stars.bands.length;
    let at = stars.ends[s];
    const bands = stars.bands.map((name, b) => {
      const m = stars.counts[s * n + b], range = [at, (at += m)];
      const take = (column, f) => Array.from(column.subarray(...range), f);
      return {
        name, wavelength: wavelengths[name], mjd: take(stars.mjd, (v) => stars.start[s] + v * 1e-4),
        mag: take(stars.mag, (v) => v * 1e-3), magerr: take(stars.magerr, (v) => v * 1e-3),
      };
    });
    return { id: stars.ids[s], label: stars.labels[s], period: stars.period[s], bands };
  }
  /** The columns of packed stars as typed arrays. */
  function starsFrom(packed, unpack) {
    const out = { ...packed };
    for (const [name, value] of Object.entries(packed)) if (value && value.data) out[name] = unpack(value);
    const n = packed.bands.length;
    out.ends = new Uint32Array(packed.ids.length + 1);
    for (let s = 0; s < packed.ids.length; s++) {
      let sum = 0;
      for (let b = 0; b < n; b++) sum += out.counts[s * n + b];
      out.ends[s + 1] = out.ends[s] + sum;
    }
    return out;
  }

  if (typeof document === "undefined") return { ticks, decades, short, fixed, random, starOf, starsFrom };

  // --- elements ----------------------------------------------------------------------------------------------------

  const $ = (id) => document.getElementById(id);
  function build(make, tag, attributes, children) {
    const e = make(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
      else e.setAttribute(key, value === true ? "" : value);
    }
    e.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
    return e;
  }
  const el = (tag, attributes, ...children) => build((t) => document.createElement(t), tag, attributes, children);
  const svg = (tag, attributes, ...children) => build((t) => document.createElementNS("http://www.w3.org/2000/svg", t), tag, attributes, children);

  /** Say the result to those who listen, once the reader's hand rests. */
  let saying;
  function say(text) {
    let live = $("live");
    if (!live) document.body.append((live = el("p", { id: "live", class: "hidden", "aria-live": "polite" })));
    clearTimeout(saying);
    saying = setTimeout(() => { live.textContent = text; }, 350);
  }

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const dark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const rgb = (hex) => [1, 3, 5].map((j) => parseInt(hex.slice(j, j + 2), 16));
  function luminance(hex) {
    const [r, g, b] = rgb(hex).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  /** A colour that stands out from the page, 3 to 1 as WCAG asks of graphics (4.5 of text): darker or lighter if it must be. */
  function seen(hex, least = 3) {
    const ground = luminance(dark() ? "#14171c" : "#ffffff"), to = dark() ? 255 : 0;
    let now = dark() && luminance(hex) < 0.03 ? "#dddddd" : hex; // black becomes light, not one more grey
    for (let k = 0; k < 12; k++) {
      const [a, b] = [luminance(now), ground].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) >= least) break;
      now = "#" + rgb(now).map((v) => Math.round(v + (to - v) * 0.15).toString(16).padStart(2, "0")).join("");
    }
    return now;
  }

  /** A labelled slider; `show` turns its value into words. Returns {root, input, value, set}. */
  function slider({ label, min, max, step, value, show = String, change, note }) {
    const id = `s-${label.replace(/\W+/g, "-").toLowerCase()}`, output = el("output", { for: id });
    const input = el("input", { type: "range", id, min, max, step, value, "aria-describedby": note ? `${id}-note` : null });
    const update = (v) => {
      output.textContent = show(v);
      input.setAttribute("aria-valuetext", show(v));
    };
    input.addEventListener("input", () => { update(+input.value); change(+input.value); });
    update(value);
    const root = el("div", { class: "control" }, el("div", { class: "row" }, el("label", { for: id }, label), output), input,
      note ? el("div", { class: "small muted", id: `${id}-note` }, note) : null);
    return { root, input, get value() { return +input.value; }, set(v) { input.value = v; update(v); } };
  }
  /** A group of choices, one of them taken. */
  function choice({ legend, options, value, change }) {
    const name = `c-${legend.replace(/\W+/g, "-").toLowerCase()}`;
    return el("fieldset", { class: "control" }, el("legend", {}, legend), options.map(([v, text]) => el("label", {},
      el("input", { type: "radio", name, value: v, checked: v === value, onchange: () => change(v) }), ` ${text}`)));
  }
  const button = (text, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, text);

  // --- charts ------------------------------------------------------------------------------------------------------

  /** An empty chart as wide as its place: scales `sx`, `sy`, a layer `plot` to draw on. `log` is "x", "y" or "xy".
   *  Magnitudes: `flip` puts small values at the top. */
  function chart(place, { title, label, x, y, xLabel, yLabel, height = 230, flip = false, log = "", xTicks, yTicks, square = false }) {
    const width = Math.max(260, Math.min(place.clientWidth || 600, 980));
    const tall = square ? Math.min(width, height) : height, margin = { left: yLabel ? 58 : 14, right: 14, top: 8, bottom: xLabel ? 42 : 10 };
    const wide = square ? tall - margin.top - margin.bottom + margin.left + margin.right : width;
    const [x0, x1] = [margin.left, wide - margin.right], [y0, y1] = flip ? [margin.top, tall - margin.bottom] : [tall - margin.bottom, margin.top];
    const scale = ([lo, hi], [a, b], isLog) => {
      const f = isLog ? Math.log10 : (v) => v, span = f(hi) - f(lo) || 1;
      const to = (v) => a + ((b - a) * (f(v) - f(lo))) / span;
      to.invert = (p) => { const v = f(lo) + (span * (p - a)) / (b - a || 1); return isLog ? 10 ** v : v; };
      return to;
    };
    const sx = scale(x, [x0, x1], log.includes("x")), sy = scale(y, [y0, y1], log.includes("y"));
    const root = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": label || title, style: `max-width:${wide}px` });
    const marks = (given, range, isLog, most) => {
      if (given) return given.map((t) => (Array.isArray(t) ? t : [t, short(t)]));
      if (isLog) return decades(...range).map((t) => [t, (+t.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 })]);
      const { at, decimals } = ticks(Math.min(...range), Math.max(...range), most);
      return at.map((t) => [t, fixed(t, decimals)]);
    };
    const bottom = tall - margin.bottom;
    if (yLabel) {
      for (const [t, text] of marks(yTicks, y, log.includes("y"), Math.max(2, tall / 34)))
        root.append(svg("line", { class: "grid", x1: x0, x2: x1, y1: sy(t), y2: sy(t) }), svg("text", { class: "tick", x: x0 - 6, y: sy(t) + 4, "text-anchor": "end" }, text));
      root.append(svg("text", { transform: `translate(14 ${(margin.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel));
    }
    if (xLabel) {
      const all = marks(xTicks, x, log.includes("x"), Math.max(2, wide / 90)), every = Math.ceil((all.length * 40) / (x1 - x0));
      for (const [t, text] of all.filter((_, k) => k % every === 0))
        root.append(svg("line", { class: "axis", x1: sx(t), x2: sx(t), y1: bottom, y2: bottom + 4 }), svg("text", { class: "tick", x: sx(t), y: bottom + 17, "text-anchor": "middle" }, text));
      root.append(svg("text", { x: (x0 + x1) / 2, y: tall - 6, "text-anchor": "middle" }, xLabel));
    }
    root.append(svg("path", { class: "axis", d: `M${x0} ${margin.top}V${bottom}H${x1}` }));
    const plot = svg("g", {});
    root.append(plot);
    place.replaceChildren(...(title ? [el("div", { class: "title" }, title)] : []), root);
    place.classList.add("chart");
    return { root, plot, sx, sy, x0, x1, top: margin.top, bottom, width: wide, height: tall };
  }
  const path = (xs, ys, c) => xs.map((v, k) => `${k ? "L" : "M"}${c.sx(v).toFixed(1)} ${c.sy(ys[k]).toFixed(1)}`).join("");

  /** The mark of a band: circle, square, triangle, so that colour alone tells nothing. */
  const MARKS = ["circle", "square", "triangle"];
  /** The mark of class number k: classes of like colours get different ones. */
  const markOf = (k) => MARKS[(k + Math.floor(k / 3)) % 3];
  function mark(kind, x, y, r, attributes) {
    const [X, Y] = [x.toFixed(1), y.toFixed(1)];
    if (kind === "square") return svg("rect", { x: (x - 0.88 * r).toFixed(1), y: (y - 0.88 * r).toFixed(1), width: (1.76 * r).toFixed(1), height: (1.76 * r).toFixed(1), ...attributes });
    if (kind === "triangle") return svg("path", { d: `M${X} ${(y - 1.2 * r).toFixed(1)}l${1.15 * r} ${2 * r}h${-2.3 * r}z`, ...attributes });
    return svg("circle", { cx: X, cy: Y, r, ...attributes });
  }
  const common = () => (globalThis.ASTRACLR || {}).common;
  const bandLook = (name) => {
    const k = Object.keys(common().bands).indexOf(name);
    return { colour: seen(common().bands[name]?.colour || "#555555"), kind: MARKS[Math.max(0, k) % 3] };
  };
  function bandKey(bands) {
    return el("div", { class: "small" }, bands.filter((b) => b.mjd.length).map((b) => {
      const { colour, kind } = bandLook(b.name);
      return el("span", { class: "key" }, svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark(kind, 7, 7, 4.5, { fill: colour })), `${b.name} (${b.mjd.length})`);
    }));
  }
  /** A range a little wider than the middle 99 % of the values, so that one outlier flattens nothing. */
  function range(values, share = 0.005, pad = 0.08) {
    const v = Float64Array.from(values).sort(), at = (q) => v[Math.min(v.length - 1, Math.max(0, Math.round(q * (v.length - 1))))];
    const [lo, hi] = [at(share), at(1 - share)], gap = (hi - lo) * pad || 0.05;
    return [lo - gap, hi + gap];
  }
  /** Light curve of a star: magnitudes upside down. With a period it is folded, two turns. */
  function lightCurve(place, bands, { title, label, period, height = 210, small = false, faint, focus, x, y } = {}) {
    const t = bands.flatMap((b) => Array.from(b.mjd)), m = bands.flatMap((b) => Array.from(b.mag));
    const c = chart(place, {
      title, label, height, flip: true, y: y || range(m),
      x: period ? [0, 2] : x || [Math.min(...t) - 10, Math.max(...t) + 10],
      xLabel: small ? "" : period ? "phase" : "MJD (days)", yLabel: small ? "" : "magnitude",
    });
    const r = small ? 1.6 : t.length > 300 ? 2.1 : 2.8;
    for (const b of bands) {
      const { colour, kind } = bandLook(b.name);
      b.mjd.forEach((time, k) => {
        const phase = period ? time / period - Math.floor(time / period) : 0;
        const y = Math.min(c.bottom, Math.max(c.top, c.sy(b.mag[k])));
        for (const x of period ? [phase, phase + 1] : [time])
          c.plot.append(mark(kind, c.sx(x), y, r, { fill: colour, opacity: faint ? 0.35 : 0.8 }));
      });
    }
    if (focus) focus(c);
    return c;
  }

  /** A point to drag, or to move by arrow keys: `move(x, y)` in pixels of the drawing, `nudge(dx, dy)` in steps. */
  function handle(node, root, { label, move, nudge, text, min, max, now }) {
    node.classList.add("handle");
    const say = () => {
      node.setAttribute("aria-valuetext", text());
      if (now) node.setAttribute("aria-valuenow", now());
    };
    root.setAttribute("role", "group"); // a picture may hold nothing to reach by keyboard
    for (const [k, v] of Object.entries({ tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": min, "aria-valuemax": max })) node.setAttribute(k, v);
    say();
    const at = (e) => {
      const box = root.getBoundingClientRect(), view = root.viewBox.baseVal;
      return [((e.clientX - box.left) * view.width) / box.width, ((e.clientY - box.top) * view.height) / box.height];
    };
    node.addEventListener("pointerdown", (e) => { node.setPointerCapture(e.pointerId); node.focus(); e.preventDefault(); });
    node.addEventListener("pointermove", (e) => { if (node.hasPointerCapture(e.pointerId)) { move(...at(e)); say(); } });
    node.addEventListener("keydown", (e) => {
      const by = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
      if (!by) return;
      e.preventDefault();
      const much = e.shiftKey ? 5 : 1;
      nudge(by[0] * much, by[1] * much);
      say();
    });
    return say;
  }

  // --- the page in the book ----------------------------------------------------------------------------------------

  /** Read a file of data, also from a disk: {name of its property}. */
  const loading = {};
  function data(file) {
    loading[file] ??= new Promise((resolve, reject) => {
      document.head.append(el("script", { src: file, onload: () => resolve(globalThis.ASTRACLR), onerror: () => reject(new Error(`${file} is not there: build the book again with make book`)) }));
    });
    return loading[file];
  }
  const embedded = window.parent !== window;
  function tellHeight() {
    if (embedded) parent.postMessage({ astraclr: "height", height: Math.ceil(document.body.getBoundingClientRect().height) }, "*");
  }
  /** Start a page: `draw` is called at once, for every new width and every new theme. */
  function start(draw) {
    const state = document.documentElement.dataset;
    if (embedded) document.body.classList.add("embedded");
    let width = 0, now = dark();
    const again = () => { draw(); tellHeight(); };
    addEventListener("message", (e) => {
      if (e.source !== parent || e.data?.astraclr !== "theme") return;
      state.theme = e.data.theme === "dark" ? "dark" : "light";
      if (embedded) document.documentElement.style.overflowY = "hidden"; // the frame is made as high as the page
      if (dark() !== now) { now = dark(); again(); } else tellHeight();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (dark() !== now) { now = dark(); again(); } });
    new ResizeObserver(() => {
      if (document.body.clientWidth !== width) { width = document.body.clientWidth; again(); } else tellHeight();
    }).observe(document.body);
    if (embedded) parent.postMessage({ astraclr: "hello" }, "*");
    width = document.body.clientWidth;
    again();
    state.ready = Math.round(performance.now());
  }
  return { $, el, svg, say, still, dark, seen, slider, choice, button, chart, path, mark, MARKS, markOf, bandLook, bandKey, range, lightCurve, handle, data, start, tellHeight,
    ticks, decades, short, fixed, random, starOf, starsFrom, common };
});
