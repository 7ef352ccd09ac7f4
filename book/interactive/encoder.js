// The shipped encoder in plain JavaScript: from observations to an embedding, class probabilities and a flag.
//
// The same steps as astraclr's Python, in double precision on float32 weights: centring, crops, tokens, layers, pooling.
// Runs in a browser (as window.AstraEncoder, after folding.js) and under node (module.exports). Names are those of the
// Python package.
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make(require("./folding.js"));
  else root.AstraEncoder = make(root.AstraFolding);
})(typeof self === "undefined" ? this : self, function (Folding) {
  const MJD_ZERO = 58000;
  const ERROR_RANGE = [1e-4, 10];
  const MIN_EPOCHS = 20; // fewer than this in every band: the prediction is flagged
  const EPSILON = 1e-6; // of the normalisations
  // What this file can compute. A model with another value, or another setting, is refused.
  const KNOWN = {
    time_rates: ["days", "log", "none"],
    inputs: ["paper", "steps"],
    norm: ["post", "pre"],
    pooling: ["mean", "mean_std"],
    centring: ["star", "window"],
    middle_crop: ["band", "epoch"],
    error_input: [true, false],
    folded_input: ["none", "window", "tokens", "both"],
  };
  const SIZES = ["d_model", "n_layers", "n_heads", "d_ff", "d_band"];

  // --- numbers packed as text --------------------------------------------------------------------------------------

  const TYPES = { f4: Float32Array, f8: Float64Array, u4: Uint32Array, u2: Uint16Array, i2: Int16Array, i4: Int32Array, u1: Uint8Array };

  /** A packed array {type, shape, data: base64 of little-endian numbers} as a typed array. */
  function unpack(packed) {
    if (!(packed.type in TYPES)) throw new Error(`numbers of type ${packed.type}: this page reads ${Object.keys(TYPES).join(", ")}`);
    const raw = atob(packed.data), bytes = new Uint8Array(raw.length);
    for (let k = 0; k < raw.length; k++) bytes[k] = raw.charCodeAt(k);
    return new TYPES[packed.type](bytes.buffer);
  }

  // --- linear algebra ----------------------------------------------------------------------------------------------

  /** (n, out) = x (n, in) · weight (out, in)ᵀ + bias (out); four rows at a time, so that a weight is read once for them. */
  function linear(x, n, { weight, bias }) {
    const out = bias.length, width = weight.length / out, y = new Float64Array(n * out);
    let i = 0;
    for (; i + 3 < n; i += 4) {
      const at = i * width, at1 = at + width, at2 = at1 + width, at3 = at2 + width;
      for (let o = 0; o < out; o++) {
        const row = o * width, begin = bias[o];
        let a = begin, b = begin, c = begin, d = begin;
        for (let k = 0; k < width; k++) {
          const w = weight[row + k];
          a += x[at + k] * w;
          b += x[at1 + k] * w;
          c += x[at2 + k] * w;
          d += x[at3 + k] * w;
        }
        const to = i * out + o;
        y[to] = a;
        y[to + out] = b;
        y[to + 2 * out] = c;
        y[to + 3 * out] = d;
      }
    }
    for (; i < n; i++)
      for (let o = 0; o < out; o++) {
        let a = bias[o];
        for (let k = 0; k < width; k++) a += x[i * width + k] * weight[o * width + k];
        y[i * out + o] = a;
      }
    return y;
  }

  /** Each row of x (n, d) with mean 0 and variance 1, then scaled and shifted. */
  function normalised(x, n, { weight, bias }) {
    const d = weight.length, y = new Float64Array(n * d);
    for (let i = 0; i < n; i++) {
      let mean = 0, variance = 0;
      for (let k = 0; k < d; k++) mean += x[i * d + k];
      mean /= d;
      for (let k = 0; k < d; k++) variance += (x[i * d + k] - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / d + EPSILON);
      for (let k = 0; k < d; k++) y[i * d + k] = (x[i * d + k] - mean) * scale * weight[k] + bias[k];
    }
    return y;
  }

  function added(x, y) {
    for (let k = 0; k < x.length; k++) x[k] += y[k];
    return x;
  }
  function mapped(x, f) {
    for (let k = 0; k < x.length; k++) x[k] = f(x[k]);
    return x;
  }
  const relu = (v) => (v > 0 ? v : 0);

  /** The error function, to 1e-15: its series where it converges fast, else the continued fraction of 1 - erf. */
  function erf(x) {
    const v = Math.abs(x);
    if (v > 6) return Math.sign(x);
    if (v < 2.5) {
      let term = v, sum = v;
      for (let k = 1; k < 60 && Math.abs(term) > 1e-17 * sum; k++) {
        term *= (-v * v) / k;
        sum += term / (2 * k + 1);
      }
      return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
    }
    let fraction = 0;
    for (let k = 60; k > 0; k--) fraction = k / 2 / (v + fraction);
    return Math.sign(x) * (1 - Math.exp(-v * v) / Math.sqrt(Math.PI) / (v + fraction));
  }

  // GELU is asked for hundreds of thousands of times: cubic pieces between exact values and slopes, right to 1e-11.
  const FINE = 128, FAR = 8, VALUE = new Float64Array(2 * FAR * FINE + 2), SLOPE = new Float64Array(2 * FAR * FINE + 2);
  for (let j = 0; j < VALUE.length; j++) {
    const v = j / FINE - FAR, below = 0.5 * (1 + erf(v * Math.SQRT1_2));
    VALUE[j] = v * below;
    SLOPE[j] = (below + (v * Math.exp(-0.5 * v * v)) / Math.sqrt(2 * Math.PI)) / FINE;
  }
  function gelu(v) {
    if (v >= FAR) return v;
    if (!(v > -FAR)) return v <= -FAR ? 0 : v;
    const place = (v + FAR) * FINE, j = Math.floor(place), u = place - j, w = 1 - u;
    return w * w * ((1 + 2 * u) * VALUE[j] + u * SLOPE[j]) + u * u * ((3 - 2 * u) * VALUE[j + 1] - w * SLOPE[j + 1]);
  }

  // --- the model ---------------------------------------------------------------------------------------------------

  /** Read a packed model; throws for a setting that this file does not know. */
  function load(packed) {
    if (packed.format !== "astraclr page model 2") throw new Error(`format ${packed.format}: this page reads "astraclr page model 2"`);
    const config = packed.config, strange = Object.keys(config).filter((key) => !(key in KNOWN) && !SIZES.includes(key));
    if (strange.length) throw new Error(`the model has settings that this page does not know: ${strange.join(", ")}`);
    for (const [key, values] of Object.entries(KNOWN))
      if (!values.includes(config[key])) throw new Error(`${key} ${config[key]}: this page knows ${values.join(", ")}`);
    const folding = config.folded_input === "none" ? null : Folding.settings(packed.folding), joined = ["window", "both"].includes(config.folded_input);
    const weights = Object.fromEntries(Object.entries(packed.weights).map(([name, w]) => [name, Float64Array.from(unpack(w))])); // doubles: no conversion in the inner loops
    const part = (name) => {
      if (!weights[`${name}.weight`] || !weights[`${name}.bias`]) throw new Error(`the model lacks weights ${name}`);
      return { weight: weights[`${name}.weight`], bias: weights[`${name}.bias`] };
    };
    const embedding = config.inputs === "steps"
      ? { dense: [part("embedding.steps.dense.0"), part("embedding.steps.dense.2")] }
      : { magnitude: part("embedding.magnitude"), band: [part("embedding.band.0"), part("embedding.band.2")] };
    if (config.error_input) embedding.error = part("embedding.error");
    const layers = Array.from({ length: config.n_layers }, (_, k) => {
      const of = (name) => part(`layers.${k}.${name}`);
      return {
        q: of("attention.q"), k: of("attention.k"), v: of("attention.v"), out: of("attention.out"),
        norm1: of("norm1"), norm2: of("norm2"), ffn: [of("ffn.0"), of("ffn.2")],
      };
    });
    const head = packed.head && {
      ...packed.head,
      coefficients: unpack(packed.head.coefficients), intercepts: unpack(packed.head.intercepts),
      centre: unpack(packed.head.centre), precision: unpack(packed.head.precision),
    };
    return {
      ...packed, config, embedding, layers, head, folding,
      norm: config.norm === "pre" ? part("norm") : null,
      folded: joined ? [part("folded.0"), part("folded.2")] : null,
      rates: config.time_rates === "none" ? null : unpack(packed.rates),
      width: config.d_model * ((config.pooling === "mean_std" ? 2 : 1) + (joined ? 1 : 0)),
    };
  }

  /** How many observations of a band a crop shows: its own window, or that of the nearest band in wavelength. */
  function windowOf(model, band, wavelength) {
    const own = model.windows.find(([name]) => name === band);
    if (own) return own[1];
    return model.windows.map(([name, n]) => [Math.abs(model.wavelengths[name] - wavelength), n]).sort((a, b) => a[0] - b[0])[0][1];
  }

  // --- from a star to tokens ---------------------------------------------------------------------------------------
  // A star is {bands: [{name, wavelength, mjd, mag, magerr}]}, each band sorted by time (see lightcurve.js).

  /** Inverse-variance weighted mean magnitude over all bands. */
  function weightedMean(bands) {
    let weight = 0, sum = 0;
    for (const { mag, magerr } of bands)
      for (let k = 0; k < mag.length; k++) {
        const e = Math.fround(magerr[k]), w = 1 / (e * e);
        weight += w;
        sum += w * Math.fround(mag[k]);
      }
    return sum / weight;
  }

  /** First observation of every band in a crop at place 0 (start), 0.5 (middle) or 1 (end). */
  function cropStarts(star, windows, place, model) {
    const share = (n) => Math.floor(n * place);
    let before = star.bands.map((b) => share(b.mjd.length));
    if (model.config.middle_crop === "epoch" && place > 0 && place < 1) {
      const all = star.bands.flatMap((b, j) => Array.from(b.mjd, (t) => [t, j]));
      all.sort((x, y) => x[0] - y[0]); // stable: bands in order where times are equal
      before = star.bands.map(() => 0);
      for (const [, j] of all.slice(0, share(all.length))) before[j]++;
    }
    return star.bands.map((b, j) => Math.min(Math.max(0, before[j] - share(windows[j])), Math.max(0, b.mjd.length - windows[j])));
  }

  /** Tokens of one crop: numbers per observation, bands one after another. `index` is [band, observation]. */
  function tokens(star, model, place) {
    const windows = star.bands.map((b) => windowOf(model, b.name, b.wavelength));
    const starts = cropStarts(star, windows, place, model), mean = weightedMean(star.bands);
    const out = { mag: [], time: [], band: [], magerr: [], follows: [], index: [] };
    star.bands.forEach((b, j) => {
      const end = Math.min(b.mjd.length, starts[j] + windows[j]);
      let mags = Array.from({ length: end - starts[j] }, (_, k) => Math.fround(Math.fround(b.mag[starts[j] + k]) - mean));
      if (model.config.centring === "window" && mags.length) {
        let weight = 0, sum = 0;
        mags.forEach((m, k) => { const w = 1 / Math.fround(b.magerr[starts[j] + k]) ** 2; weight += w; sum += w * m; });
        mags = mags.map((m) => Math.fround(m - sum / weight));
      }
      const wavelength = Math.fround(Math.log10(b.wavelength));
      mags.forEach((m, k) => {
        out.mag.push(m);
        out.time.push(b.mjd[starts[j] + k] - MJD_ZERO);
        out.band.push(wavelength);
        out.magerr.push(Math.fround(b.magerr[starts[j] + k]));
        out.follows.push(k > 0);
        out.index.push([j, starts[j] + k]);
      });
    });
    return out;
  }

  const clamp = (e) => Math.min(ERROR_RANGE[1], Math.max(ERROR_RANGE[0], e));

  /** (n, 8) numbers of an observation and of the step that led to it; (n, 16) with those of its phase. */
  function stepNumbers(t, phases) {
    const n = t.mag.length, width = 8 + (phases ? phases[0].length : 0), x = new Float64Array(n * width);
    for (let i = 0; i < n; i++) {
      const m = t.mag[i], e = clamp(t.magerr[i]), there = t.follows[i] ? 1 : 0, at = i * width;
      if (phases) x.set(phases[i], at + 8);
      x[at] = Math.asinh(5 * m);
      x[at + 1] = Math.asinh(m / e) / 2;
      x[at + 2] = Math.log10(e) + 1.5;
      x[at + 3] = 10 * (t.band[i] - 3.75);
      if (!there) continue;
      const dt = Math.max(0, t.time[i] - t.time[i - 1]), dm = m - t.mag[i - 1];
      x[at + 4] = Math.log10(dt + 1e-3) + 0.5;
      x[at + 5] = Math.asinh(5 * dm);
      x[at + 6] = Math.asinh(dm / Math.hypot(e, clamp(t.magerr[i - 1]))) / 2;
      x[at + 7] = 1;
    }
    return x;
  }

  /** Add sines (even entries) and cosines (odd entries) of the times to x (n, d). */
  function addTime(x, times, rates, d) {
    times.forEach((t, i) => {
      for (let j = 0; j < rates.length; j++) {
        const phase = t * rates[j];
        x[i * d + 2 * j] += Math.sin(phase);
        x[i * d + 2 * j + 1] += Math.cos(phase);
      }
    });
  }

  function embedded(model, t, phases) {
    const n = t.mag.length, d = model.config.d_model, parts = model.embedding;
    let x;
    if (model.config.inputs === "steps") {
      x = linear(mapped(linear(stepNumbers(t, phases), n, parts.dense[0]), gelu), n, parts.dense[1]);
    } else {
      x = linear(t.mag, n, parts.magnitude);
      added(x, linear(mapped(linear(t.band, n, parts.band[0]), relu), n, parts.band[1]));
    }
    if (model.rates) addTime(x, t.time, model.rates, d);
    if (parts.error) added(x, linear(t.magerr.map((e) => Math.log10(clamp(e))), n, parts.error));
    return x;
  }

  // --- layers ------------------------------------------------------------------------------------------------------

  /** Attention of every head; `seen(head, weights)` is shown the (n, n) weights where somebody wants to look. */
  function attention(x, n, layer, heads, seen) {
    const d = layer.q.bias.length, width = d / heads, scale = 1 / Math.sqrt(width);
    const q = linear(x, n, layer.q), k = linear(x, n, layer.k), v = linear(x, n, layer.v);
    const mixed = new Float64Array(n * d), row = new Float64Array(n), sum = new Float64Array(width);
    for (let h = 0; h < heads; h++) {
      const all = seen && new Float64Array(n * n);
      // Keys of this head side by side: the innermost loop then runs along memory.
      const keys = new Float64Array(n * width), values = new Float64Array(n * width);
      for (let j = 0; j < n; j++)
        for (let c = 0; c < width; c++) {
          keys[j * width + c] = k[j * d + h * width + c] * scale;
          values[j * width + c] = v[j * d + h * width + c];
        }
      const query = new Float64Array(width);
      for (let i = 0; i < n; i++) {
        for (let c = 0; c < width; c++) query[c] = q[i * d + h * width + c];
        let largest = -Infinity, total = 0;
        for (let j = 0; j < n; j++) {
          let score = 0;
          for (let c = 0, at = j * width; c < width; c++, at++) score += query[c] * keys[at];
          row[j] = score;
          if (score > largest) largest = score;
        }
        for (let j = 0; j < n; j++) total += row[j] = Math.exp(row[j] - largest);
        sum.fill(0);
        for (let j = 0; j < n; j++) {
          const w = row[j];
          for (let c = 0, at = j * width; c < width; c++, at++) sum[c] += w * values[at];
        }
        for (let c = 0; c < width; c++) mixed[i * d + h * width + c] = sum[c] / total;
        if (all) for (let j = 0; j < n; j++) all[i * n + j] = row[j] / total;
      }
      if (seen) seen(h, all);
    }
    return linear(mixed, n, layer.out);
  }

  function layered(model, x, n, seen) {
    const { n_heads: heads } = model.config, before = model.config.norm === "pre";
    model.layers.forEach((layer, number) => {
      const look = seen && ((h, weights) => seen(number, h, weights));
      const feed = (y) => linear(mapped(linear(y, n, layer.ffn[0]), before ? gelu : relu), n, layer.ffn[1]);
      if (before) {
        x = added(attention(normalised(x, n, layer.norm1), n, layer, heads, look), x);
        x = added(feed(normalised(x, n, layer.norm2)), x);
      } else {
        x = normalised(added(attention(x, n, layer, heads, look), x), n, layer.norm1);
        x = normalised(added(feed(x), x), n, layer.norm2);
      }
    });
    return model.norm ? normalised(x, n, model.norm) : x;
  }

  function pooled(model, x, n) {
    const d = model.config.d_model, std = model.config.pooling === "mean_std", out = new Float64Array(std ? 2 * d : d);
    for (let i = 0; i < n; i++) for (let k = 0; k < d; k++) out[k] += x[i * d + k] / n;
    if (std) {
      for (let i = 0; i < n; i++) for (let k = 0; k < d; k++) out[d + k] += (x[i * d + k] - out[k]) ** 2 / n;
      for (let k = 0; k < d; k++) out[d + k] = Math.sqrt(out[d + k] + 1e-4);
    }
    return out;
  }

  /** Best period of a crop, for an encoder that reads it folded; null for another. */
  function cycleOf(model, t) {
    const { config, folding } = model, errors = config.inputs === "steps" || config.error_input;
    return folding && Folding.bestCycle(t, folding, errors);
  }

  /** Embedding of one crop, its best period (or null), and on request what every head of every layer attends to. */
  function crop(star, model, place, seen) {
    const t = tokens(star, model, place), n = t.mag.length, { folding, folded } = model;
    if (!n) throw new Error("the light curve has no observation to embed");
    const cycle = cycleOf(model, t), phases = cycle && model.config.folded_input !== "window" ? Folding.cycleInputs(cycle, folding) : null;
    let embedding = pooled(model, layered(model, embedded(model, t, phases), n, seen), n);
    if (folded) embedding = Float64Array.of(...embedding, ...linear(mapped(linear(Folding.folded(cycle, folding), 1, folded[0]), gelu), 1, folded[1]));
    return { tokens: t, cycle, embedding };
  }

  /** Crops of a star: at start, middle and end, or one where it holds the whole light curve. */
  function crops(star, model) {
    const several = star.bands.some((b) => b.mjd.length > windowOf(model, b.name, b.wavelength));
    return (several ? [0, 0.5, 1] : [0]).map((place) => crop(star, model, place));
  }

  /** Embedding of a star, the mean of those of its crops: (width) float64. */
  function embed(star, model, parts = crops(star, model)) {
    return parts[0].embedding.map((_, k) => parts.reduce((sum, p) => sum + p.embedding[k], 0) / parts.length);
  }

  // --- what the head says ------------------------------------------------------------------------------------------

  function softmax(scores) {
    const largest = Math.max(...scores), e = scores.map((s) => Math.exp(s - largest)), total = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / total);
  }

  /** Class probabilities, novelty (above 1: farther out than 99.9 % of the training stars) and flags.
      Scores are divided by a temperature that grows with the novelty. */
  function predict(x, star, { head }) {
    const d = x.length, scores = head.classes.map((_, c) => {
      let s = head.intercepts[c];
      for (let k = 0; k < d; k++) s += head.coefficients[c * d + k] * x[k];
      return s;
    });
    const away = x.map((v, k) => v - head.centre[k]);
    let distance = 0;
    for (let i = 0; i < d; i++) {
      let s = 0;
      for (let j = 0; j < d; j++) s += head.precision[i * d + j] * away[j];
      distance += away[i] * s;
    }
    const novelty = distance / head.threshold, temperature = head.temperature[0] * (1 + head.temperature[1] * novelty);
    const probabilities = softmax(scores.map((s) => s / temperature));
    const flags = [];
    if (star.bands.every((b) => b.mjd.length < MIN_EPOCHS)) flags.push("few epochs");
    if (novelty > 1) flags.push("unlike training stars");
    return { scores, probabilities, novelty, flags, predicted: head.classes[probabilities.indexOf(Math.max(...probabilities))] };
  }

  /** The k rows of table (n, d) most like x by cosine: [{row, similarity}], most alike first. */
  function nearest(x, table, k) {
    const d = x.length, n = table.length / d, norm = Math.hypot(...x), found = [];
    for (let i = 0; i < n; i++) {
      let dot = 0, square = 0;
      for (let c = 0; c < d; c++) { const v = table[i * d + c]; dot += v * x[c]; square += v * v; }
      found.push({ row: i, similarity: dot / (norm * Math.sqrt(square) || 1) });
    }
    return found.sort((a, b) => b.similarity - a.similarity).slice(0, k);
  }

  return { load, embed, crop, crops, tokens, predict, nearest, unpack, windowOf, softmax, erf, weightedMean, MIN_EPOCHS };
});
