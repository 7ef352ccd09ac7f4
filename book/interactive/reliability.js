// Temperature scaling of class scores: reliability by bins, calibration error, log loss. Runs in a browser and under node.
"use strict";
(function (root, make) {
  if (typeof module === "object" && module.exports) module.exports = make();
  else root.Reliability = make();
})(typeof self === "undefined" ? this : self, function () {
  /** Of scores (n arrays) and true classes (n numbers) at a temperature: bins, error, accuracy, log loss. */
  function at(scores, truth, temperature, nBins = 10) {
    const bins = Array.from({ length: nBins }, () => ({ n: 0, confidence: 0, right: 0 }));
    let loss = 0, right = 0;
    scores.forEach((row, s) => {
      const z = row.map((v) => v / temperature), top = Math.max(...z), total = z.reduce((sum, v) => sum + Math.exp(v - top), 0);
      const confidence = 1 / total, hit = z.indexOf(top) === truth[s], bin = bins[Math.min(nBins - 1, Math.floor(confidence * nBins))];
      bin.n++;
      bin.confidence += confidence;
      bin.right += hit;
      right += hit;
      loss -= z[truth[s]] - top - Math.log(total);
    });
    const n = scores.length, filled = bins.map((b) => (b.n ? { n: b.n, confidence: b.confidence / b.n, accuracy: b.right / b.n } : { n: 0 }));
    return { bins: filled, error: filled.reduce((e, b) => e + (b.n ? (b.n / n) * Math.abs(b.accuracy - b.confidence) : 0), 0), accuracy: right / n, loss: loss / n };
  }
  /** The temperature of the smallest log loss, by golden section on its logarithm. */
  function best(scores, truth) {
    const f = (t) => at(scores, truth, Math.exp(t)).loss, g = (Math.sqrt(5) - 1) / 2;
    let [a, b] = [Math.log(0.2), Math.log(5)];
    for (let k = 0; k < 40; k++) { const [c, d] = [b - g * (b - a), a + g * (b - a)]; if (f(c) < f(d)) b = d; else a = c; }
    return Math.exp((a + b) / 2);
  }
  return { at, best };
});
