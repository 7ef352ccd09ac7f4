// The two time encodings: their rates, and how alike two times look to them. As astraclr.inputs.angular_rates.
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.Clock = make();
})(typeof self === "undefined" ? this : self, function () {
  /** d / 2 angular rates, rad/day: "days" (Vaswani et al. 2017) or "log" (periods from 0.05 to 1,000 days). */
  function rates(d, kind) {
    return Array.from({ length: d / 2 }, (_, j) =>
      kind === "days" ? Math.exp((-2 * j * Math.log(10000)) / d) : (2 * Math.PI) / (0.05 * (1000 / 0.05) ** (j / (d / 2 - 1))));
  }
  /** Cosine of the encodings of two times that are `dt` days apart: the mean of cos(rate dt). */
  const similarity = (dt, all) => all.reduce((sum, r) => sum + Math.cos(r * dt), 0) / all.length;
  return { rates, similarity };
});
