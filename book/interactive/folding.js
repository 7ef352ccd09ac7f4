// A light curve folded at its best period, in plain JavaScript: what an encoder reads of its window folded.
//
// The same steps as astraclr/data/folding.py, where the names are explained, in double precision; settings come with the
// packed model. Runs in a browser (as window.AstraFolding) and under node (module.exports).
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.AstraFolding = make();
})(typeof self === "undefined" ? this : self, function () {
  const SETTINGS = ["cells_per_day", "n_cells", "n_peaks", "n_between", "n_harmonics", "n_phases", "cuts", "least_error", "most_apart", "least_power"];
  const TURN = 2 * Math.PI, f32 = Math.fround;

  /** Settings of a packed model; throws where one is missing or unknown. */
  function settings(given) {
    const names = Object.keys(given ?? {}), missing = SETTINGS.filter((key) => !names.includes(key)), strange = names.filter((key) => !SETTINGS.includes(key));
    if (missing.length) throw new Error(`the model lacks settings of its folding: ${missing.join(", ")}`);
    if (strange.length) throw new Error(`its folding has settings that this page does not know: ${strange.join(", ")}`);
    return given;
  }

  // --- Fourier transform -------------------------------------------------------------------------------------------

  const tables = new Map(); // of a size: cosines and sines of a half turn, and the order of reversed bits

  function table(n) {
    if (n < 2 || n & (n - 1)) throw new Error(`${n} cells: a power of 2 is needed`);
    if (!tables.has(n)) {
      const cos = new Float64Array(n / 2), sin = new Float64Array(n / 2), order = new Uint32Array(n);
      for (let k = 0; k < n / 2; k++) [cos[k], sin[k]] = [Math.cos((TURN * k) / n), -Math.sin((TURN * k) / n)];
      for (let k = 1; k < n; k++) order[k] = (order[k >> 1] >> 1) | (k & 1 ? n >> 1 : 0);
      tables.set(n, { cos, sin, order });
    }
    return tables.get(n);
  }

  /** Discrete Fourier transform of re + i im, in place; the length is a power of 2 (Cooley & Tukey 1965, Math. Comp. 19, 297). */
  function transform(re, im) {
    const n = re.length, { cos, sin, order } = table(n);
    for (let k = 0; k < n; k++) {
      const j = order[k];
      if (j > k) [re[k], re[j], im[k], im[j]] = [re[j], re[k], im[j], im[k]];
    }
    for (let half = 1, step = n / 2; half < n; half *= 2, step /= 2)
      for (let begin = 0; begin < n; begin += 2 * half)
        for (let k = 0; k < half; k++) {
          const c = cos[k * step], s = sin[k * step], a = begin + k, b = a + half;
          const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
  }

  /** |DFT|^2 at the first `count` frequencies of a real series x: two halves of it share one transform. */
  function spectrum(x, count) {
    const n = x.length, m = n / 2, re = new Float64Array(m), im = new Float64Array(m), { cos, sin } = table(n);
    for (let k = 0; k < m; k++) [re[k], im[k]] = [x[2 * k], x[2 * k + 1]];
    transform(re, im);
    const out = new Float64Array(count);
    for (let k = 0; k < count; k++) {
      const j = k % m, i = (m - j) % m, c = k < m ? cos[k] : -1, s = k < m ? sin[k] : 0;
      const [a, b] = [(re[j] + re[i]) / 2, (im[j] - im[i]) / 2]; // of the even places
      const [u, v] = [(im[j] + im[i]) / 2, (re[i] - re[j]) / 2]; // of the odd ones
      out[k] = (a + c * u - s * v) ** 2 + (b + c * v + s * u) ** 2;
    }
    return out;
  }

  // --- the best period ---------------------------------------------------------------------------------------------

  const fraction = (x) => x - Math.floor(x);
  const even = (x) => { const r = Math.round(x); return r - x === 0.5 && r % 2 ? r - 1 : r; }; // halves to even, as torch
  const sum = (values) => values.reduce((a, b) => a + b, 0);

  /** Weights, magnitudes less the mean of their band, and days since the first observation; without errors all weigh the same. */
  function centred(t, set, errors) {
    const w = t.mag.map((_, i) => 1 / ((errors ? t.magerr[i] ** 2 : 0) + set.least_error ** 2)), means = new Map();
    for (const band of new Set(t.band)) {
      const weight = sum(w.filter((_, i) => t.band[i] === band));
      means.set(band, sum(t.mag.map((m, i) => (t.band[i] === band ? w[i] * m : 0))) / Math.max(1e-12, weight));
    }
    const m = t.mag.map((v, i) => Math.max(-set.most_apart, Math.min(set.most_apart, v - means.get(t.band[i]))));
    const start = t.time.reduce((a, b) => Math.min(a, b));
    return { w, m, age: t.time.map((time) => time - start) };
  }

  /** Real and imaginary part of sum x exp(2 pi i h f t) for h = 1, 2, ...: two numbers a harmonic. */
  function harmonics(x, age, frequency, count) {
    const out = new Float64Array(2 * count);
    for (let i = 0; i < x.length; i++) {
      const angle = f32(TURN * fraction(frequency * age[i])), c = Math.cos(angle), s = Math.sin(angle);
      let a = x[i], b = 0;
      for (let h = 0; h < count; h++) {
        [a, b] = [a * c - b * s, a * s + b * c];
        out[2 * h] += a;
        out[2 * h + 1] += b;
      }
    }
    return out;
  }

  /** Highest power in each bin of frequency, and where it is. */
  function peaks(x, age, total, set) {
    const cells = new Float64Array(set.n_cells), { cuts } = set;
    x.forEach((v, i) => { cells[even(age[i] * set.cells_per_day) % set.n_cells] += v; });
    const power = spectrum(cells, cuts.at(-1)), highest = [], place = [];
    for (let b = 0; b + 1 < cuts.length; b++) {
      let best = cuts[b];
      for (let k = best + 1; k < cuts[b + 1]; k++) if (power[k] > power[best]) best = k;
      highest.push(power[best] / total);
      place.push(best);
    }
    return { highest, place };
  }

  /** The period that fits tokens best (`best_cycle`): highest sum of the powers of the harmonics near the highest peaks. */
  function bestCycle(t, set, errors = true) {
    const { w, m, age } = centred(t, set, errors), x = m.map((v, i) => f32(w[i] * v));
    const total = f32(Math.max(1e-12, sum(m.map((v, i) => w[i] * v * v)) * sum(w)));
    const { highest, place } = peaks(x, age, total, set);
    const powersAt = (frequency, count) => {
      const sums = harmonics(x, age, frequency, count);
      return { frequency, sums, powers: Array.from({ length: count }, (_, h) => (sums[2 * h] ** 2 + sums[2 * h + 1] ** 2) / total) };
    };
    const order = highest.map((_, b) => b).sort((a, b) => highest[b] - highest[a]).slice(0, set.n_peaks);
    let best = null, most = -1;
    for (const b of order)
      for (let j = -set.n_between; j <= set.n_between; j++) {
        const found = powersAt((place[b] + f32(j / (2 * set.n_between))) * (set.cells_per_day / set.n_cells), set.n_harmonics), all = sum(found.powers);
        if (all > most) [best, most] = [found, all];
      }
    const beside = [0.5, 1.5].map((share) => powersAt(share * best.frequency, 1).powers[0]);
    const angles = best.powers.map((_, h) => f32(Math.atan2(best.sums[2 * h + 1], best.sums[2 * h])));
    const phase = age.map((a) => fraction(a * best.frequency - angles[0] / TURN));
    return { frequency: best.frequency, powers: best.powers, power: most, angles, beside, highest, phase, m, w };
  }

  // --- what the encoder reads of it --------------------------------------------------------------------------------

  const scaled = (power, set) => Math.log10(Math.max(set.least_power, power)) + 1.5;

  /** The periodogram, and the light curve folded at its best period: 61 numbers (`folded`). */
  function folded(cycle, set) {
    const { powers, angles } = cycle, weight = new Float64Array(set.n_phases), mean = new Float64Array(set.n_phases);
    cycle.phase.forEach((p, i) => {
      const bin = Math.min(set.n_phases - 1, Math.floor(p * set.n_phases));
      weight[bin] += cycle.w[i];
      mean[bin] += cycle.w[i] * cycle.m[i];
    });
    const overtones = powers.slice(1), turned = overtones.map((_, k) => angles[k + 1] - (k + 2) * angles[0]);
    const share = overtones.map((p) => Math.sqrt(p) / (Math.sqrt(cycle.power) + 1e-6));
    return [
      ...[...cycle.highest].map((p) => scaled(p, set)),
      Math.log10(cycle.frequency) + 0.5,
      ...[...powers, ...cycle.beside, cycle.power].map((p) => scaled(p, set)),
      ...overtones.map((p) => Math.log10(Math.max(1e-3, Math.min(1e2, p / Math.max(1e-6, powers[0])))) / 2),
      ...turned.map((angle, k) => Math.cos(angle) * share[k]),
      ...turned.map((angle, k) => Math.sin(angle) * share[k]),
      ...mean.map((v, k) => Math.asinh((5 * v) / Math.max(1e-12, weight[k]))),
    ];
  }

  /** Of every token cosine and sine of the harmonics of its phase, log10 of frequency and of power (`cycle_inputs`): rows of 8. */
  function cycleInputs(cycle, set) {
    const ends = [Math.log10(cycle.frequency) + 0.5, scaled(cycle.power, set)], orders = Array.from({ length: set.n_harmonics }, (_, h) => h + 1);
    return cycle.phase.map((p) => {
      const angles = orders.map((h) => f32(TURN * fraction(p * h)));
      return [...angles.map(Math.cos), ...angles.map(Math.sin), ...ends];
    });
  }

  return { settings, spectrum, bestCycle, folded, cycleInputs };
});
