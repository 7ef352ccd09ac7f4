// NT-Xent of unit vectors on a circle, given by their angles, and its gradient. As astraclr.losses.nt_xent.
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.NTXent = make();
})(typeof self === "undefined" ? this : self, function () {
  /** Mean loss and the loss of each anchor; angle k is view floor(k / stars) of star k % stars. */
  function loss(angles, views, stars, temperature) {
    const n = views * stars, pairs = new Array(n).fill(0);
    for (let a = 0; a < n; a++) {
      const logits = angles.map((b, k) => (k === a ? -Infinity : Math.cos(angles[a] - b) / temperature));
      const largest = Math.max(...logits), total = largest + Math.log(logits.reduce((sum, l) => sum + Math.exp(l - largest), 0));
      for (let p = a % stars; p < n; p += stars) if (p !== a) pairs[a] += (total - logits[p]) / (views - 1);
    }
    return { loss: pairs.reduce((x, y) => x + y, 0) / n, pairs };
  }
  /** The loss's slope in every angle. */
  function gradient(angles, views, stars, temperature) {
    const n = views * stars, out = new Array(n).fill(0);
    for (let a = 0; a < n; a++) {
      const e = angles.map((b, k) => (k === a ? 0 : Math.exp((Math.cos(angles[a] - b) - 1) / temperature))), total = e.reduce((x, y) => x + y, 0);
      for (let k = 0; k < n; k++) {
        if (k === a) continue;
        const weight = e[k] / total - (k % stars === a % stars ? 1 / (views - 1) : 0); // d loss / d logit
        const slope = (-Math.sin(angles[a] - angles[k]) * weight) / temperature / n; // d logit / d angle of the anchor
        out[a] += slope;
        out[k] -= slope;
      }
    }
    return out;
  }
  /** One step downhill, its length limited so that no vector jumps. */
  function step(angles, views, stars, temperature, most) {
    const g = gradient(angles, views, stars, temperature), rate = temperature * stars * views * 0.5;
    return angles.map((a, k) => a - Math.max(-most, Math.min(most, rate * g[k])));
  }
  return { loss, gradient, step };
});
