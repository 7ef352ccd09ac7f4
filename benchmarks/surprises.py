"""The direct effect of each surprise of the paper's code (appendix "Differences"), measured without training.

Usage: python benchmarks/surprises.py

On simulated stars, with the windows of preset `paper` unless a name says otherwise; some numbers use the encoder that
ships with the package. A few minutes on one core. Writes benchmarks/results/surprises.json.
"""

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _measure import write_results
from torch import Tensor

from astraclr.config import Recipe, View, preset, recipe
from astraclr.data.splits import Splits, split
from astraclr.data.tokens import Prepared, prepare
from astraclr.evaluate.finetune import PAPER_LAYERS, finetune
from astraclr.evaluate.probes import linear_probe
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.model.crops import crop_tokens
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.model.inputs import angular_rates
from astraclr.simulation.samples import labelled_stars, training_stars
from astraclr.simulation.simulate import simulate
from astraclr.train.augmentations import kept_after_bin_dropout
from astraclr.train.counter_rng import Draws
from astraclr.train.losses import chance_level, nt_xent
from astraclr.train.optimizer import BETAS, EPSILON, learning_rate
from astraclr.train.step import Training, project_views, validate
from astraclr.train.views import make_view, make_views

RESULTS = Path(__file__).parent / "results" / "surprises.json"
PAPER, CORRECTED, SIZE = recipe("paper"), recipe("corrected"), preset("paper")
HARD = View("hard", 1.0, 0.0, 0.5)


def bins(data: Prepared, n: int) -> dict[str, float]:
    """1: share of the observations dropped at a nominal 0.5, and at 0."""
    row = torch.repeat_interleave(torch.arange(n), data.segments(torch.arange(n))[1].sum(1))
    draws = Draws(0).of(torch.arange(n))

    def dropped(rate: float, rule: str) -> float:
        return 1 - kept_after_bin_dropout(data.times, row, rate, rule, draws).double().mean().item()

    return {f"{rule} {rate}": dropped(rate, rule) for rule in ("ranks", "share") for rate in (0.5, 0.0)}


def real_points(data: Prepared, stars: Tensor) -> dict[str, float]:
    """2: mean number of real observations in a hard view of 700 places, dropped in place or before the window."""
    out = {}
    for name, in_place in (("in place", True), ("before", False)):
        how = replace(CORRECTED, drop_in_place=in_place)
        out[name] = (~make_view(data, stars, HARD, SIZE, how, Draws(0).of(stars)).mask).sum(1).double().mean().item()
    return out


def windows(data: Prepared, stars: Tensor) -> dict[str, float]:
    """3: share of the possible starts that is lost; how much of their time g and r windows share (canonical view)."""
    view, wave = View("canonical", 0.5), data.log_wavelength
    longest = torch.tensor([int(SIZE.window(b, w) * 0.5) for b, w in data.bands.items()])
    starts = (data.segments(stars)[1] - longest + 1).clamp(min=1)
    out = {"starts lost": (1 / starts[starts > 1].double()).mean().item()}
    for name, shared in (("own", False), ("shared", True)):
        tokens = make_view(data, stars, view, SIZE, replace(CORRECTED, shared_window=shared), Draws(0).of(stars))
        spans = []
        for band in wave[:2]:
            there = ~tokens.mask & (tokens.band == band)
            low = tokens.times.masked_fill(~there, math.inf).amin(1)
            spans.append((low, tokens.times.masked_fill(~there, -math.inf).amax(1)))
        (g0, g1), (r0, r1) = spans
        both, either = torch.minimum(g1, r1) - torch.maximum(g0, r0), torch.maximum(g1, r1) - torch.minimum(g0, r0)
        out[f"overlap, {name} windows"] = (both.clamp(min=0) / either).nanmean().item()
    return out


def noise(data: Prepared) -> dict[str, float]:
    """4: white noise of 0.05 mag in units of the points' own errors, quartiles."""
    units = np.percentile(0.05 / data.magerr.numpy(), [25, 50, 75])
    return dict(zip(("25 %", "50 %", "75 %"), units.tolist(), strict=True))


def phases() -> dict[str, float]:
    """5: R^2 of a linear reading of the phase (sine and cosine) of a period, from the time encoding of 512 numbers.

    4,000 random times in spans of 5, 50 and 1,757 days (the survey) teach a ridge regression, 2,000 others test it;
    a negative R^2, worse than no reading at all, is written as 0.
    """
    from sklearn.linear_model import Ridge

    out = {}
    for span in (5, 50, 1_757):
        times = torch.as_tensor(np.random.default_rng(0).uniform(194, 194 + span, 6_000))
        for kind in ("days", "log"):
            angle = times[:, None] * angular_rates(512, kind)
            x = torch.cat([angle.sin(), angle.cos()], 1).numpy()
            for period in (0.1, 0.55, 3.0, 30.0):
                phase = (2 * math.pi / period * times)[:, None].numpy()
                y = np.hstack([np.sin(phase), np.cos(phase)])
                read = Ridge(1e-3).fit(x[:4_000], y[:4_000]).score(x[4_000:], y[4_000:])
                out[f"{kind}, {period:g} d in {span} d"] = max(0.0, float(read))
    angle = (times.float()[:, None] * angular_rates(512, "days").float()).sin().double()
    exact = (times[:, None] * angular_rates(512, "days")).sin()
    return out | {"float32 error": (angle - exact).abs().max().item()}


def gradients() -> dict[str, float]:
    """6, 7: gradient norm of a new tiny encoder, mean over 10 batches; ratio of Keras' first steps to torch's."""
    data, size = prepare(simulate(640, seed=5)), preset("tiny")
    norms = []
    for k in range(10):
        encoder = new_encoder(size, CORRECTED, k).eval()
        views = make_views(data, torch.arange(64) + 64 * k, size, CORRECTED, Draws(k))
        nt_xent(project_views(encoder, views)).backward()
        squares = (p.grad.square().sum() for p in encoder.parameters() if p.grad is not None)
        norms.append(sum(squares, start=torch.zeros(())).sqrt().item())
    small = 1e-9  # a gradient as small as epsilon, where the two forms of Adam differ
    first = math.sqrt(1 - BETAS[1])
    keras = first / (1 - BETAS[0]) * (1 - BETAS[0]) * small / (first * small + EPSILON)
    torchs = small / (small + EPSILON)
    return {
        "norm of the mean loss": float(np.mean(norms)),
        "norm of the sum": 6 * float(np.mean(norms)),
        "clipped, mean loss": float(np.mean([n > 1 for n in norms])),
        "clipped, sum": float(np.mean([6 * n > 1 for n in norms])),
        "first rate": learning_rate(0, 512, 1000),
        "peak rate": learning_rate(1000, 512, 1000),
        "Keras' over torch's first step, gradient 1e-9": keras / torchs,
    }


def negatives() -> dict[str, float]:
    """6, 8: candidates in the denominator, chance level, and the factor on the loss, per replica and gathered."""
    return {
        "candidates, one replica": 3 * 78 - 1,
        "chance, one replica": chance_level(3, 78),
        "candidates, gathered": 3 * 8 * 78 - 1,
        "chance, gathered": chance_level(3, 8 * 78),
        "factor, one replica": 6.0,
        "factor, each of 8": 6 / 8,
    }


def validation(checkpoint: Checkpoint) -> dict[str, float]:
    """9: spread of the validation loss of one encoder over 20 drawings of the views."""
    stars = training_stars("tiny", 0)
    data, held = prepare(stars), torch.as_tensor(split(len(stars))[1])
    training = Training(checkpoint.encoder, preset("tiny"), checkpoint.recipe)
    losses = [validate(training, data, held, seed)["val_loss"] for seed in range(20)]
    gain = checkpoint.history["val_loss"].dropna().tail(3).diff().abs()
    return {
        "standard deviation": float(np.std(losses)),
        "last changes between validations": float(np.nanmean(gain.to_numpy())),
    }


def colour(data: Prepared, stars: Tensor) -> dict[str, float]:
    """12: median |g - r| offset of the centred magnitudes in a middle crop, centred per star or per band and window."""
    out = {}
    for centring in ("star", "window"):
        tokens = crop_tokens(data, stars, SIZE, "middle", replace(CORRECTED, centring=centring))
        means = []
        for band in data.log_wavelength[:2]:
            there = (~tokens.mask & (tokens.band == band)).double()
            means.append((tokens.mag * there).sum(1) / there.sum(1))
        out[f"colour, one mean a {centring}"] = (means[0] - means[1]).abs().nanmedian().item()
    return out


def middles(data: Prepared, stars: Tensor) -> dict[str, float]:
    """13: share of the epochs of a middle crop that the other rule does not take, at the windows of `tiny`."""
    size = preset("tiny")
    a, b = (crop_tokens(data, stars, size, "middle", replace(CORRECTED, middle_crop=m)) for m in ("band", "epoch"))
    lost = []
    for k in range(len(stars)):
        x, y = ((t.times[k] + 1e4 * t.band[k])[~t.mask[k]] for t in (a, b))
        lost.append(1 - torch.isin(x, y).double().mean().item())
    return {"epochs that differ": float(np.mean(lost))}


def probes(checkpoint: Checkpoint, stars: Splits) -> dict[str, float]:
    """12, 13, 18: linear probe of the shipped encoder, each way of preparing its input and of joining crops."""

    def accuracy(how: Recipe, fusion: str = "mean") -> float:
        other = replace(checkpoint, recipe=how)
        fit, test = (embed(part, other, fusion=fusion) for part in (stars.fit, stars.test))  # type: ignore[arg-type]
        return linear_probe(fit, stars.fit.label, test, stars.test.label).accuracy

    usual = checkpoint.recipe
    return {
        "mean of crops": accuracy(usual),
        "concatenation": accuracy(usual, "concat"),
        "centred per band and window": accuracy(replace(usual, centring="window")),
        "middle of all epochs": accuracy(replace(usual, middle_crop="epoch")),
    }


def dice(checkpoint: Checkpoint, stars: Tensor, data: Prepared) -> dict[str, float]:
    """11: how far two embeddings of one star lie apart when drop-out is left on, beside the spread of stars."""
    tokens = crop_tokens(data, stars, checkpoint.preset, "start")
    quiet = checkpoint.encoder(tokens)
    torch.manual_seed(0)
    a, b = (checkpoint.encoder.train()(tokens) for _ in range(2))
    checkpoint.encoder.eval()
    return {
        "largest difference": (a - b).abs().max().item(),
        "typical difference": (a - b).std().item(),
        "spread of stars": quiet.std(0).mean().item(),
    }


def selection(stars: Splits, n: int = 10) -> dict[str, float]:
    """17: the best of `n` random encoders on the set it was chosen on, and on a third one."""
    found = []
    for seed in range(n):
        control = Checkpoint(new_encoder(preset("tiny"), CORRECTED, seed).eval(), preset("tiny"), CORRECTED, seed)
        fit, choose, test = (embed(part, control) for part in stars)
        found.append(
            [
                linear_probe(fit, stars.fit.label, x, part.label).accuracy
                for x, part in ((choose, stars.choose), (test, stars.test))
            ]
        )
    chosen, third = np.array(found).T
    best = int(chosen.argmax())
    return {
        "best of ten, where chosen": float(chosen[best]),
        "the same on a third set": float(third[best]),
        "all ten on the third set": float(third.mean()),
    }


def thawing(checkpoint: Checkpoint, stars: Splits, seeds: int = 3) -> dict[str, object]:
    """19: trainable numbers of the encoder, and accuracy after 10 epochs of fine-tuning at rate 1e-4, per seed."""
    out: dict[str, object] = {}
    for name, thaw in (("frozen", False), ("thawed", True)):
        other = replace(checkpoint, recipe=replace(checkpoint.recipe, thaw_embedding=thaw))
        found, trainable = [], 0
        for seed in range(seeds):
            model = finetune(
                other,
                stars.fit,
                stars.choose,
                layers=PAPER_LAYERS,
                epochs=10,
                learning_rate=1e-4,
                seed=seed,
                progress=False,
            )
            found.append(float((model.predict(stars.test) == stars.test.label).mean()))
            trainable = sum(p.numel() for p in model.encoder.parameters() if p.requires_grad)
        out[f"accuracy, embedding {name}"] = [round(x, 4) for x in found]
        out[f"trainable, embedding {name}"] = trainable
    return out


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    n = 512
    data, stars = prepare(simulate(n, seed=3)), torch.arange(n)
    shipped, sets = load_checkpoint("tiny"), labelled_stars("tiny")
    rows = {
        "1": bins(data, n),
        "2": real_points(data, stars),
        "3": windows(data, stars),
        "4": noise(data),
        "5": phases(),
        "6, 7": gradients(),
        "8": negatives(),
        "9": validation(shipped),
        "12": colour(data, stars),
        "13": middles(data, stars),
        "12, 13, 18": probes(shipped, sets),
        "11": dice(shipped, stars, data),
        "17": selection(sets),
        "19": thawing(shipped, sets),
    }
    result = {"benchmark": "surprises", "made_with": provenance(), "checkpoint": shipped.name, "results": rows}
    write_results(RESULTS, result)
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
