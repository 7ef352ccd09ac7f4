// Light curves from text: CSV files, tidy or as IRSA serves them; what cannot be used is dropped and counted.
// And their periods: a periodogram, and phases. Runs in a browser (window.AstraLightCurve) and under node.
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.AstraLightCurve = make();
})(typeof self === "undefined" ? this : self, function () {
  const SENTINEL_MAG = 90, SENTINEL_ERR = 9, SENTINEL_TIMES = [-9999, -999, -99], LATEST_TIME = 1e7;
  const BAD_EPOCH = 32768; // bit 15 of catflags (ZTF public data release notes)
  const BAND_OF = { 1: "g", 2: "r", 3: "i", zg: "g", zr: "r", zi: "i" };
  const SAME_STAR = 1.5; // arcsec between positions of one star
  const NAMES = { // in a file: the first that is there
    id: ["object_id", "oid", "objectid"], mjd: ["mjd", "hmjd"], hjd: ["hjd"], mag: ["mag"], magerr: ["magerr"],
    band: ["band", "filtercode", "filterid"], catflags: ["catflags"], ra: ["ra", "objra"], dec: ["dec", "objdec"],
  };

  /** Rows of a CSV text as arrays of text; quotes as in RFC 4180. */
  function csv(text) {
    const rows = [[]];
    let field = "", quoted = false;
    text = text.replace(/^\uFEFF/, "");
    for (let k = 0; k < text.length; k++) {
      const c = text[k];
      if (quoted) {
        if (c === '"' && text[k + 1] === '"') { field += '"'; k++; }
        else if (c === '"') quoted = false;
        else field += c;
      } else if (c === '"') quoted = true;
      else if (c === ",") { rows.at(-1).push(field); field = ""; }
      else if (c === "\n" || c === "\r") {
        if (c === "\r" && text[k + 1] === "\n") k++;
        rows.at(-1).push(field);
        field = "";
        rows.push([]);
      } else field += c;
    }
    rows.at(-1).push(field);
    return rows.filter((r) => r.some((v) => v.trim() !== ""));
  }

  /** Stars of a CSV text: {stars: [{id, bands}], notes: [text]}. Throws with what is missing and what is there. */
  function read(text, wavelengths) {
    const [head = [], ...rows] = csv(text), names = head.map((h) => h.trim().toLowerCase());
    const at = Object.fromEntries(Object.entries(NAMES).map(([key, also]) => [key, also.map((a) => names.indexOf(a)).find((k) => k >= 0) ?? -1]));
    const missing = [];
    if (at.mjd < 0 && at.hjd < 0) missing.push("mjd");
    for (const key of ["mag", "magerr"]) if (at[key] < 0) missing.push(key);
    if (at.band < 0) missing.push("band (or filtercode)");
    if (missing.length) throw new Error(`missing column ${missing.join(", ")}; the file has ${names.join(", ") || "no columns"}`);
    if (!rows.length) throw new Error("the file has a header and no rows");
    const counted = new Map(), count = (why) => counted.set(why, (counted.get(why) || 0) + 1);
    const number = (row, key) => { const v = (row[at[key]] ?? "").trim(); return v === "" ? NaN : Number(v); };
    const units = new Map(); // one for each object id
    for (const row of rows) {
      const raw = (row[at.band] ?? "").trim(), band = BAND_OF[raw] ?? raw;
      if (at.catflags >= 0) {
        const flags = number(row, "catflags");
        if (!Number.isFinite(flags) || flags & BAD_EPOCH) { count("bad epoch (catflags)"); continue; }
      }
      if (!(band in wavelengths)) { count(`unknown band ${raw || "(none)"}`); continue; }
      const time = at.mjd >= 0 ? number(row, "mjd") : number(row, "hjd") - 2400000.5;
      const mag = number(row, "mag"), err = number(row, "magerr"), why = refused(time, Math.fround(mag), Math.fround(err));
      if (why) { count(why); continue; }
      const id = at.id >= 0 ? row[at.id].trim() : "your star";
      if (!units.has(id)) units.set(id, { id, ra: number(row, "ra"), dec: number(row, "dec"), points: [] });
      units.get(id).points.push({ band, mjd: time, mag: Math.fround(mag) + 0, err: Math.fround(err) });
    }
    const notes = [...counted].map(([why, n]) => `${n} dropped: ${why}`);
    if (!units.size) throw new Error(`no observation is left (${notes.join("; ")}); the bands must be ${Object.keys(wavelengths).join(", ")}`);
    if (at.mjd < 0) notes.push("times are hjd - 2400000.5");
    const isIrsa = ["filtercode", "filterid"].includes(names[at.band]);
    const groups = isIrsa ? joined([...units.values()]) : [...units.values()].map((u) => [u]);
    const stars = groups.map((group) => star(group[0].id, group.flatMap((u) => u.points), wavelengths));
    const times = stars.flatMap((s) => s.bands.flatMap((b) => [b.mjd[0], b.mjd.at(-1)]));
    const [low, high] = [Math.min(...times), Math.max(...times)];
    if (low < 40000 || high > 80000)
      notes.push(`times run from ${low} to ${high}, which does not look like MJD${low > 2.4e6 ? ": subtract 2400000.5" : ""}`);
    return { stars, notes };
  }

  function refused(mjd, mag, err) {
    if (![mjd, mag, err].every(Number.isFinite)) return "value not finite";
    if (Math.abs(mjd) >= LATEST_TIME || SENTINEL_TIMES.includes(mjd)) return "sentinel time";
    if (Math.abs(mag) >= SENTINEL_MAG || Math.abs(err) >= SENTINEL_ERR) return "sentinel magnitude or error";
    return err > 0 ? "" : "error not positive";
  }

  /** IRSA gives one object id a field, channel and filter: those within 1.5 arcsec, directly or in a chain, are one star. */
  function joined(units) {
    const group = units.map((_, k) => k);
    for (let a = 0; a < units.length; a++)
      for (let b = 0; b < a; b++) if (separation(units[a], units[b]) < SAME_STAR) {
        const [from, to] = [group[a], group[b]];
        for (let k = 0; k < group.length; k++) if (group[k] === from) group[k] = to;
      }
    return [...new Set(group)].map((g) => units.filter((_, k) => group[k] === g));
  }
  function separation(a, b) { // arcsec; NaN without positions
    const r = Math.PI / 180, h = Math.sin(((a.dec - b.dec) * r) / 2) ** 2 +
      Math.cos(a.dec * r) * Math.cos(b.dec * r) * Math.sin(((a.ra - b.ra) * r) / 2) ** 2;
    return (2 * Math.asin(Math.sqrt(h)) * 3600) / r;
  }

  /** One star from points [{band, mjd, mag, err}] in any order: bands by wavelength table, each sorted by time. */
  function star(id, points, wavelengths) {
    const bands = Object.entries(wavelengths).map(([name, wavelength]) => {
      const own = points.filter((p) => p.band === name).sort((x, y) => x.mjd - y.mjd || x.err - y.err || x.mag - y.mag);
      return { name, wavelength, mjd: own.map((p) => p.mjd), mag: own.map((p) => p.mag), magerr: own.map((p) => p.err) };
    });
    return { id, bands };
  }

  // --- periods -----------------------------------------------------------------------------------------------------

  /** Observations of all bands, each band minus its own weighted mean: {t, y, w}, weights with sum 1. */
  function centred(bands) {
    const t = [], y = [], w = [];
    for (const { mjd, mag, magerr } of bands) {
      let weight = 0, sum = 0;
      for (let k = 0; k < mag.length; k++) { weight += magerr[k] ** -2; sum += mag[k] * magerr[k] ** -2; }
      for (let k = 0; k < mag.length; k++) { t.push(mjd[k]); y.push(mag[k] - sum / weight); w.push(magerr[k] ** -2); }
    }
    const total = w.reduce((a, b) => a + b, 0);
    return { t, y, w: w.map((v) => v / total) };
  }

  /** Frequencies of a periodogram: 1/day, evenly spaced, `oversampling` a resolution element. */
  function frequencies(bands, shortest = 0.05, oversampling = 5) {
    const t = bands.flatMap((b) => [b.mjd[0], b.mjd.at(-1)]).filter(Number.isFinite);
    const span = Math.max(...t) - Math.min(...t);
    if (!(span > 0)) return { first: 0, step: 0, n: 0 };
    const step = 1 / span / oversampling;
    return { first: 1 / span, step, n: Math.max(0, Math.floor((1 / shortest - 1 / span) / step) + 1) };
  }

  /** Lomb-Scargle power (Scargle 1982, ApJ 263, 835; with weights) at `n` frequencies first + k step, 0 to 1.
   *  Phases advance by rotation, renewed every 256 frequencies. */
  function power({ t, y, w }, first, step, n) {
    const m = t.length, out = new Float64Array(n), t0 = t[0] ?? 0;
    const c = new Float64Array(m), s = new Float64Array(m), dc = new Float64Array(m), ds = new Float64Array(m), wy = new Float64Array(m);
    let yy = 0;
    for (let k = 0; k < m; k++) {
      dc[k] = Math.cos(2 * Math.PI * step * (t[k] - t0));
      ds[k] = Math.sin(2 * Math.PI * step * (t[k] - t0));
      wy[k] = w[k] * y[k];
      yy += wy[k] * y[k];
    }
    for (let j = 0; j < n; j++) {
      if (j % 256 === 0) for (let k = 0; k < m; k++) {
        const phase = 2 * Math.PI * (first + j * step) * (t[k] - t0);
        c[k] = Math.cos(phase);
        s[k] = Math.sin(phase);
      }
      let yc = 0, ys = 0, cc = 0, cs = 0;
      for (let k = 0; k < m; k++) {
        const a = c[k], b = s[k];
        yc += wy[k] * a;
        ys += wy[k] * b;
        cc += w[k] * a * a;
        cs += w[k] * a * b;
        c[k] = a * dc[k] - b * ds[k];
        s[k] = b * dc[k] + a * ds[k];
      }
      const ss = 1 - cc, det = cc * ss - cs * cs;
      out[j] = det > 1e-9 && yy > 0 ? (ss * yc * yc + cc * ys * ys - 2 * cs * yc * ys) / (yy * det) : 0;
    }
    return out;
  }

  /** Phase of a time, 0 to 1. */
  const phase = (t, period, zero = 58000) => { const x = (t - zero) / period; return x - Math.floor(x); };

  return { csv, read, star, centred, frequencies, power, phase };
});
