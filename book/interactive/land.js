// The page "Where does my star land?": reads a light curve, embeds it, and shows what that says.
"use strict";
const { $, el, svg } = Touch, E = AstraEncoder, L = AstraLightCurve;
const state = document.documentElement.dataset; // what a test, or a curious reader, can look at
const wavelengths = Object.fromEntries(Object.entries(Touch.common().bands).map(([b, { wavelength }]) => [b, wavelength]));
const colourOf = Object.fromEntries(Touch.common().classes.map((c) => [c.name, c.colour]));
const meaningOf = Object.fromEntries(Touch.common().classes.map((c) => [c.name, c.meaning]));
const NEAREST = 6, ON_MAP = 7, FEWEST = 10; // neighbours; observations for a period
const classNames = Touch.common().classes.map((c) => c.name);
const models = {}, tables = {};
let stars = [], chosen = 0, encoder = Touch.common().encoders[0], result = null, period = NaN, task = 0;
let ofEncoder = false; // whether the period is that of the encoder

async function modelOf(name) {
  if (!models[name]) {
    await Promise.all([Touch.data(`data/model_${name}.js`), Touch.data(`data/stars_${name}.js`)]);
    models[name] = E.load(ASTRACLR[`model_${name}`]);
    tables[name] = Touch.starsFrom(ASTRACLR[`stars_${name}`], E.unpack);
  }
  return [models[name], tables[name]];
}

// --- results ------------------------------------------------------------------------------------------------------------

async function show() {
  $("problem").hidden = true;
  $("wait").textContent = "Reading the encoder …";
  try {
    const [model, table] = await modelOf(encoder), star = stars[chosen];
    const began = performance.now();
    const parts = E.crops(star, model), x = E.embed(star, model, parts);
    state.embedding = Math.round(performance.now() - began);
    result = { x, star, model, table, cycles: parts.map((p) => p.cycle).filter(Boolean), ...E.predict(x, star, model), near: E.nearest(x, table.embeddings, Math.max(NEAREST, ON_MAP)) };
    state.predicted = result.predicted;
    state.flags = result.flags.join(", ");
    state.novelty = result.novelty;
    $("all").hidden = false;
    $("own").hidden = !result.cycles.length;
    if (!(period > 0) || ofEncoder) foldAsEncoder();
    draw();
    $("wait").textContent = `Embedded in ${state.embedding} ms.`;
    Touch.say(`${star.id}: ${$("verdict").textContent}`);
    state.shown = star.id;
  } catch (error) {
    refuse(error.message);
  }
}
function refuse(why) {
  $("wait").textContent = "";
  $("all").hidden = true;
  $("problem").hidden = false;
  $("problem").textContent = `This file cannot be shown: ${why}.`;
  state.problem = why;
}

function draw() {
  if (!result) return;
  const { star, model, table, probabilities, predicted, flags, near } = result, { head } = model;
  $("name").textContent = `Light curve of ${star.id}`;
  $("key").replaceChildren(Touch.bandKey(star.bands));
  Touch.lightCurve($("raw"), star.bands, { label: `Light curve of ${star.id}: magnitude against time, ${star.bands.map((b) => `${b.mjd.length} in ${b.name}`).join(", ")}` });
  drawVerdict();
  const order = head.classes.map((c, k) => [c, probabilities[k]]).sort((a, b) => b[1] - a[1]);
  $("classes").replaceChildren(...order.map(([c, p]) => el("tr", {}, el("th", { scope: "row" }, c, meaningOf[c] ? el("span", { class: "small muted" }, ` ${meaningOf[c]}`) : ""), el("td", { class: "number" }, p.toFixed(3)),
    el("td", {}, el("span", { class: "bar", style: `width:${(100 * p).toFixed(1)}%` })))));
  $("trained").textContent = `Encoder ${model.name}, trained without labels on ${model.trained_on.replace(/\d+/, (n) => (+n).toLocaleString("en")).replace("stars", "simulated stars")}. It has never seen an observed star. Its head knows ${head.classes.length} classes` +
    (head.accuracy ? `; on simulated stars of the same kind its first choice is right for ${Math.round(100 * head.accuracy)} %.` : ".") +
    (head.real_sky.n ? ` On ${head.real_sky.n} labelled real stars of ${head.real_sky.survey} it was right for ${Math.round(100 * head.real_sky.accuracy)} %, at a mean probability of ${head.real_sky.confidence.toFixed(2)}.` : "");
  drawMap();
  $("near").replaceChildren(...near.slice(0, NEAREST).map(({ row, similarity }) => {
    const other = Touch.starOf(table, row, wavelengths), place = el("div", {}), li = el("li", {}, place);
    $("near").append(li); // so that it has a width
    Touch.lightCurve(place, other.bands, { title: `${other.label}, similarity ${similarity.toFixed(3)}`, height: 110, small: true,
      label: `Light curve of ${other.id}, a ${meaningOf[other.label] || other.label}`, period: other.period > 0 ? other.period : undefined });
    li.append(el("div", { class: "small muted" }, `${other.id}, ${other.period > 0 ? `folded at ${Touch.short(other.period, 5)} days` : "against time"}`));
    return li;
  }));
  drawFold();
}
function drawVerdict() {
  const { predicted, probabilities, flags, novelty, near, table } = result;
  const p = Math.max(...probabilities), few = flags.includes("few epochs"), odd = flags.includes("unlike training stars");
  const agree = near.slice(0, NEAREST).filter(({ row }) => table.labels[row] === predicted).length;
  $("verdict").classList.toggle("warn", flags.length > 0);
  $("verdict").replaceChildren(
    el("strong", {}, `${predicted} (${meaningOf[predicted] || predicted}), probability ${p.toFixed(2)}. `),
    `${agree} of the ${NEAREST} nearest simulated stars are of this class. `,
    odd ? `Unlike the training stars: its distance from them is ${novelty.toFixed(1)} times the limit, so do not believe the class. `
      : `Like the training stars: its distance from them is ${novelty.toFixed(2)} of the limit. `,
    few ? "Few epochs: fewer than 20 in every band, so the class is a guess." : "");
}
function drawMap() {
  const { table, near } = result, xy = table.xy, n = table.ids.length;
  const xs = Array.from({ length: n }, (_, s) => xy[2 * s]), ys = Array.from({ length: n }, (_, s) => xy[2 * s + 1]);
  const pad = (v) => { const [lo, hi] = [Math.min(...v), Math.max(...v)]; return [lo - 0.05 * (hi - lo), hi + 0.05 * (hi - lo)]; };
  const c = Touch.chart($("map"), { label: `Map of ${n} simulated stars with the approximate place of yours`, x: pad(xs), y: pad(ys), height: 330 });
  const names = [...new Set(table.labels)].sort();
  const look = (label) => ({ fill: Touch.seen(colourOf[label] || "#888888"), kind: Touch.markOf(Math.max(0, classNames.indexOf(label))) });
  for (let s = 0; s < n; s++) { const { fill, kind } = look(table.labels[s]); c.plot.append(Touch.mark(kind, c.sx(xs[s]), c.sy(ys[s]), 2.7, { fill, opacity: 0.75 })); }
  for (const { row } of near.slice(0, ON_MAP))
    c.plot.append(svg("circle", { cx: c.sx(xs[row]), cy: c.sy(ys[row]), r: 5, fill: "none", stroke: "var(--fg)" }));
  const middle = (v) => near.slice(0, ON_MAP).map(({ row }) => v[row]).sort((a, b) => a - b)[(ON_MAP - 1) / 2];
  for (const [r, stroke, width] of [[11, "var(--bg)", 6], [11, "var(--accent)", 3.5]])
    c.plot.append(svg("circle", { cx: c.sx(middle(xs)), cy: c.sy(middle(ys)), r, fill: "none", stroke, "stroke-width": width }));
  $("map-key").replaceChildren(...names.map((name) => el("span", { class: "key", title: meaningOf[name] },
    svg("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, Touch.mark(look(name).kind, 7, 7, 4.5, { fill: look(name).fill })), name)));
}

// --- periods ------------------------------------------------------------------------------------------------------------

const CAUTION = "For an eclipsing binary the true period is often twice as long; periods near 1 day may come from the rhythm of the nights.";
function drawFold() {
  if (!(period > 0)) { $("fold").replaceChildren(); delete state.period; return; }
  state.period = period;
  Touch.lightCurve($("fold"), result.star.bands, { period, label: `Light curve folded at ${Touch.short(period, 6)} days, two turns` });
}
function setPeriod(value, note = "") {
  [period, ofEncoder] = [value, false];
  $("period").value = value > 0 ? String(+value.toPrecision(8)) : "";
  $("fold-note").textContent = note || (value > 0 ? "" : "Type a period, or let the periodogram find one.");
  if (result) drawFold();
}
/** The period at which the encoder folds the light curve: of several crops the one of the highest power; none if it does not fold. */
function foldAsEncoder() {
  const { cycles } = result, days = cycles.map((c) => Touch.short(1 / c.frequency, 6));
  if (!cycles.length) { setPeriod(NaN); return; }
  if (result.star.bands.reduce((n, b) => n + b.mjd.length, 0) < FEWEST) { setPeriod(NaN, "Too few observations for a period."); return; }
  const best = cycles.reduce((a, b) => (b.power > a.power ? b : a));
  setPeriod(1 / best.frequency, (days.length === 1 ? `The encoder reads this light curve folded at ${days[0]} days, where it fits best.`
    : `The encoder reads three crops of this light curve, each folded where it fits best: at ${days[0]} days (start), ${days[1]} days (middle) and ${days[2]} days (end). Drawn is the one of the highest power.`) +
    ` ${CAUTION}`);
  ofEncoder = true;
}
async function search() {
  const mine = ++task, { star } = result, data = L.centred(star.bands), grid = L.frequencies(star.bands);
  if (data.t.length < FEWEST || !grid.n) { $("fold-note").textContent = "Too few observations for a periodogram."; return; }
  const piece = Math.max(200, Math.floor(2e6 / data.t.length)), bins = new Map();
  let best = { power: -1, frequency: 0 };
  $("search").disabled = true;
  for (let k = 0; k < grid.n && mine === task; k += piece) {
    const n = Math.min(piece, grid.n - k), p = L.power(data, grid.first + k * grid.step, grid.step, n);
    for (let j = 0; j < n; j++) {
      const frequency = grid.first + (k + j) * grid.step, bin = Math.floor(60 * Math.log10(1 / frequency));
      if (p[j] > best.power) best = { power: p[j], frequency };
      if (!(bins.get(bin)?.[1] >= p[j])) bins.set(bin, [1 / frequency, p[j]]);
    }
    $("fold-note").textContent = `Looking at periods: ${Math.round((100 * (k + n)) / grid.n)} %`;
    await new Promise((done) => setTimeout(done));
  }
  $("search").disabled = false;
  if (mine !== task) return;
  const text = `Best period ${Touch.short(1 / best.frequency, 6)} days: one sine, the same in all bands, explains ${Math.round(100 * best.power)} % of the variance. ${CAUTION}`;
  setPeriod(1 / best.frequency, text);
  Touch.say(text);
  const points = [...bins.values()].sort((a, b) => a[0] - b[0]);
  const c = Touch.chart($("power"), { title: "Periodogram", label: `Periodogram, highest at ${Touch.short(1 / best.frequency, 6)} days`, height: 150, log: "x",
    x: [points[0][0], points.at(-1)[0]], y: [0, Math.max(0.05, best.power * 1.1)], xLabel: "period (days)", yLabel: "power" });
  c.plot.append(svg("path", { class: "line", stroke: "var(--accent)", d: Touch.path(points.map((p) => p[0]), points.map((p) => p[1]), c) }));
  Touch.tellHeight();
}

// --- choosing -----------------------------------------------------------------------------------------------------------

function take(found, notes) {
  [stars, chosen] = [found, 0];
  task++;
  $("search").disabled = false;
  $("which-star").hidden = stars.length < 2;
  $("star").replaceChildren(...stars.slice(0, 500).map((s, k) => new Option(s.id, k)));
  $("notes").textContent = notes.join("; ");
  $("power").replaceChildren();
  setPeriod(NaN);
  delete state.shown;
  show();
}
function readText(text) {
  try {
    const { stars: found, notes } = L.read(text, wavelengths);
    take(found, notes);
  } catch (error) { refuse(error.message); }
}
async function example(set, row) {
  await Touch.data("data/examples.js");
  const table = Touch.starsFrom(ASTRACLR.examples[set], E.unpack), star = Touch.starOf(table, row, wavelengths);
  take([star], [`A simulated star: ${set === "event" ? "a supernova, which the encoder was not trained on" : `${meaningOf[star.label] || star.label}`}` +
    (star.period > 0 ? `, true period ${Touch.short(star.period, 6)} days` : "")]);
}
const EXAMPLES = [["RR Lyrae", "known", 0], ["eclipsing binary", "known", 1], ["long-period variable", "known", 2], ["Cepheid", "known", 3], ["active galactic nucleus", "known", 4],
  ["supernova (unlike the training stars)", "event", 0]];
$("examples").append(...EXAMPLES.map(([text, set, row]) => Touch.button(text, () => example(set, row))));
$("encoder").append(...Touch.common().encoders.map((name) => new Option(name, name)));
$("encoder").addEventListener("change", (e) => { encoder = e.target.value; show(); });
$("star").addEventListener("change", (e) => { chosen = +e.target.value; task++; $("power").replaceChildren(); setPeriod(NaN); show(); });
$("file").addEventListener("change", async (e) => { if (e.target.files[0]) readText(await e.target.files[0].text()); });
for (const kind of ["dragover", "dragleave", "drop"])
  $("drop").addEventListener(kind, async (e) => {
    e.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && e.dataTransfer.files[0]) readText(await e.dataTransfer.files[0].text());
  });
$("period").addEventListener("input", (e) => { [period, ofEncoder] = [parseFloat(e.target.value.replace(",", ".")), false]; $("fold-note").textContent = ""; if (result) drawFold(); });
$("half").addEventListener("click", () => { if (period > 0) setPeriod(period / 2); });
$("twice").addEventListener("click", () => { if (period > 0) setPeriod(period * 2); });
$("search").addEventListener("click", search);
$("own").addEventListener("click", () => { task++; foldAsEncoder(); });
Touch.start(draw);
