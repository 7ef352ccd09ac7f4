// A view of a star: its window and the damages that a recipe does to it. As astraclr.views, with random numbers of its own.
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.Damage = make();
})(typeof self === "undefined" ? this : self, function () {
  const BIN = 5; // days
  const NONE = { fraction: 1, noise: 0, bins: 0, outlier: false, colour: 0, errors: 0, thinning: 0, lostBand: false };
  /** The view of a star {bands} with damages as in NONE; `windows` are observations a band; `random` a Touch.random. */
  function view(star, damage, windows, random) {
    const all = star.bands.flatMap((b) => Array.from(b.mjd)), first = Math.min(...all);
    const binOf = (t) => Math.floor((t - first) / BIN), occupied = [...new Set(all.map(binOf))];
    // Random numbers are drawn in one order whatever the damages are: a slider then changes only its own.
    const lots = new Map(occupied.map((b) => [b, random.uniform()]));
    const lost = new Set(occupied.sort((a, b) => lots.get(a) - lots.get(b)).slice(0, Math.round(damage.bins * occupied.length)));
    const begin = star.bands.map(() => random.uniform()), shift = star.bands.map(() => random.normal()), factor = Math.exp(damage.errors * random.normal());
    let bands = star.bands.map((b, j) => {
      const points = Array.from(b.mjd, (t, k) => ({ t, m: b.mag[k], e: b.magerr[k], z: random.normal(), u: random.uniform(), k }));
      const left = points.filter((p) => !lost.has(binOf(p.t))), longest = Math.max(1, Math.floor(windows[j] * damage.fraction));
      const start = Math.floor(begin[j] * (Math.max(0, left.length - longest) + 1));
      return left.slice(start, start + longest).filter((p) => p.u >= damage.thinning);
    });
    if (!bands.some((b) => b.length)) bands = star.bands.map((b) => Array.from(b.mjd, (t, k) => ({ t, m: b.mag[k], e: b.magerr[k], z: 0, k })));
    const sizes = bands.map((b) => b.length || Infinity), fewest = sizes.indexOf(Math.min(...sizes));
    if (damage.lostBand && bands.filter((b) => b.length).length > 1) bands[fewest] = [];
    const victim = Math.floor(random.uniform() * bands.reduce((n, b) => n + b.length, 0));
    let number = 0;
    return {
      id: star.id,
      bands: star.bands.map((b, j) => {
        const out = { name: b.name, wavelength: b.wavelength, mjd: [], mag: [], magerr: [], from: [] };
        for (const p of bands[j]) {
          const sigma = damage.noise * p.e, outlier = damage.outlier && number++ === victim;
          out.mjd.push(p.t);
          out.mag.push(p.m + sigma * p.z + damage.colour * shift[j] + (outlier ? -1.5 : 0));
          out.magerr.push(Math.hypot(p.e, sigma) * factor);
          out.from.push(p.k);
        }
        return out;
      }),
    };
  }
  return { view, NONE };
});
