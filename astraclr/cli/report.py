"""Text for the terminal: summaries of light curves, of scores, of predictions and of exported files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from astraclr.config import Preset
from astraclr.config import preset as preset_named
from astraclr.data.cleaning import MJD_RANGE
from astraclr.data.escaping import for_terminal
from astraclr.data.lightcurves import PAPER_CUT, LightCurves
from astraclr.data.taxonomy import to_class

if TYPE_CHECKING:  # they would load torch
    from astraclr.analysis.classifier import Head
    from astraclr.model.checkpoint import Checkpoint


def describe(lc: LightCurves, cut: Mapping[str, int] | None = None, preset: str | Preset = "tiny") -> str:
    """Summarise light curves as text.

    Parameters
    ----------
    lc : LightCurves
        One star or more.
    cut : mapping, optional
        Smallest number of epochs by band, of which the number of stars kept is printed; by default `PAPER_CUT` and the
        windows of `preset`.
    preset : str or Preset
        Whose windows are used if there is no `cut`.

    Returns
    -------
    str
        Lines of text.

    Raises
    ------
    ValueError
        If `cut` names a band that is not there.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> print(describe(simulate(12, seed=1)).splitlines()[0])
    12 stars, 6,935 observations
    """
    low, high = float(lc.mjd.min()), float(lc.mjd.max())
    is_mjd = MJD_RANGE[0] <= low and high <= MJD_RANGE[1]
    before, after = ("MJD ", "") if is_mjd else ("", ", not MJD")
    lines = [
        f"{len(lc):,} stars, {lc.n_obs:,} observations",
        f"times: {before}{low:.2f} to {high:.2f} ({high - low:,.0f} days){after}",
        "",
        *aligned(["band", "angstrom", "stars", "epochs: min", "median", "max"], _band_rows(lc)),
        "",
        *aligned(["class", "stars"], _class_rows(lc)),
        "",
        *_blemishes(lc),
        "",
        *_cuts(lc, cut, preset_named(preset)),
    ]
    return "\n".join(map(for_terminal, lines))


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table as lines of text: the first column to the left, the others to the right.

    Examples
    --------
    >>> print("\\n".join(aligned(["class", "stars"], [["RR", "30"], ["ECL", "5"]])))
    class  stars
    RR        30
    ECL        5
    """
    cells_shown = [[for_terminal(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells_shown, strict=True)]
    padded = [[cell.rjust(w) for cell, w in zip(row, widths, strict=True)] for row in cells_shown]
    return ["  ".join([cells[0].strip().ljust(widths[0]), *cells[1:]]) for cells in padded]


def repeated_times(lc: LightCurves) -> int:
    """Count the observations that repeat the time of an earlier one of the same star and band.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> repeated_times(simulate(2, seed=1))
    0
    """
    return int(((np.diff(lc.segment) == 0) & (np.diff(lc.mjd) == 0)).sum())


def _band_rows(lc: LightCurves) -> list[list[str]]:
    """Wavelength, number of stars and epochs of each band, as text."""
    rows = []
    for (band, wavelength), counts in zip(lc.bands.items(), lc.counts.T, strict=True):
        seen = counts[counts > 0]
        epochs = [f"{seen.min():,}", f"{np.median(seen):,.0f}", f"{seen.max():,}"] if len(seen) else ["-", "-", "-"]
        rows.append([band, f"{wavelength:.0f}", f"{len(seen):,}", *epochs])
    return rows


def _class_rows(lc: LightCurves) -> list[list[str]]:
    """Each class and its number of stars, as text."""
    names, n = np.unique(lc.label, return_counts=True)
    order = np.lexsort((names, -n, names == ""))  # most frequent first, unlabelled last
    return [[str(names[k]) or "(unlabelled)", f"{n[k]:,}"] for k in order]


def _blemishes(lc: LightCurves) -> list[str]:
    """What was dropped, repeated times and repeated ids, a line each."""
    found = {reason: n for reason, n in lc.notes.items() if not reason.startswith("kept: repeated time")}
    if repeated := repeated_times(lc):
        found["kept: repeated time within a band (--drop-repeated drops it)"] = repeated
    if twice := len(lc) - len(np.unique(lc.object_id)):
        found["kept: object_id that an earlier star has too"] = twice
    return [f"{reason}: {n:,}" for reason, n in found.items()] or ["dropped: nothing; no repeated times or ids"]


def _cuts(lc: LightCurves, cut: Mapping[str, int] | None, preset: Preset) -> list[str]:
    """How many stars a cut keeps, or the paper's cut and the windows of a preset, a line each."""
    windows = {band: preset.window(band, wavelength, lc.bands) for band, wavelength in lc.bands.items()}
    cuts = {"the paper's cut, ": PAPER_CUT, f"windows of preset {preset.name}, ": windows} if cut is None else {"": cut}
    lines = []
    for name, at_least in cuts.items():
        text = f"{name}at least {', '.join(f'{n} in {band}' for band, n in at_least.items())}"
        if cut is None and (missing := [b for b in at_least if b not in lc.bands]):
            lines.append(f"{text}: keeps none, there is no band {', '.join(missing)}")
        else:
            lines.append(f"{text}: keeps {len(lc.with_counts(at_least)):,} of {len(lc):,} stars")
    return lines


def describe_metrics(metrics: Mapping[str, Any]) -> str:
    """Text about the scores of `evaluate.embeddings.evaluate`: three classifiers, random weights, then every class."""
    classifiers = {"linear probe": metrics["linear_probe"], f"weighted {metrics['knn']['k']}-NN": metrics["knn"]}
    control = metrics.get("random_weights", {})
    for name in control:
        classifiers[f"random weights, {name.replace('_', ' ').replace('knn', 'k-NN')}"] = control[name]
    classifiers["most frequent class"] = metrics["majority"]

    def cell(scores: Mapping[str, float], metric: str) -> str:
        low, high = scores.get(f"{metric}_low"), scores.get(f"{metric}_high")
        return f"{scores[metric]:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")

    rows = [[name, cell(scores, "accuracy"), cell(scores, "macro_f1")] for name, scores in classifiers.items()]
    classes = [[name, f"{c['f1']:.3f}", f"{c['train']:,}", f"{c['test']:,}"] for name, c in metrics["classes"].items()]
    lines = [f"{metrics['n_train']:,} stars to train, {metrics['n_test']:,} to test", ""]
    lines += [*aligned(["", "accuracy", "macro-F1"], rows), ""]
    if "accuracy_low" in metrics["linear_probe"]:
        lines += [
            "in brackets: 95 % of refits on resampled training stars (the paper's bootstrap); a resample holds",
            "fewer distinct stars, so the refits can all lie below the value itself",
            "",
        ]
    return "\n".join(lines + aligned(["linear probe, class", "F1", "train", "test"], classes))


def describe_predictions(table: pd.DataFrame, head: Head | None = None) -> str:
    """Text about a table of `analysis.predictions.prediction_table`: counts by class and flag, accuracy of the head."""
    label, predicted, flag = (table[c].to_numpy(str) for c in ("label", "predicted", "flag"))
    names, n = np.unique(predicted, return_counts=True)
    rows = [
        [str(name), f"{k:,}", f"{np.count_nonzero((flag != '') & (predicted == name)):,}"]
        for name, k in sorted(zip(names, n, strict=True), key=lambda pair: -pair[1])
    ]
    lines = [*aligned(["predicted", "stars", "flagged"], rows), ""]
    lines += [
        f"flagged {reason!r}: {np.count_nonzero(np.char.find(flag, reason) >= 0):,} of {len(table):,}"
        for reason in ("few epochs", "unlike training stars", "no finite probability")
        if reason != "no finite probability" or np.any(np.char.find(flag, reason) >= 0)
    ]
    label = np.array([to_class(name) or name for name in label])
    known = np.isin(label, [c[2:] for c in table.columns if c.startswith("p_")])
    if head is not None and np.isfinite(head.accuracy):
        lines.append(
            f"this head was right for {head.accuracy:.2f} of the test stars of the kind that it was fitted on "
            f"({len(head.classes)} classes)"
        )
    if head is not None and head.real_sky:
        lines.append(_on_the_sky(head.real_sky))
    if known.any():
        right = np.mean(label[known] == predicted[known])
        lines.append(f"agreement with the labels given: {right:.3f} of {known.sum():,} labelled stars")
    return "\n".join(lines)


def _on_the_sky(found: Mapping[str, Any]) -> str:
    """What the confidence of a head was worth on labelled real stars."""
    error = f"{found['calibration_error']:.2f}"
    error += f" (95 % {found['calibration_error_low']:.2f} to {found['calibration_error_high']:.2f})"
    text = (
        f"on {found['n']:,} labelled real stars of {found['survey']} it was right for {found['accuracy']:.2f} "
        f"at a mean confidence of {found['confidence']:.2f}: calibration error {error}"
    )
    if found["accuracy_flagged"] is None or found["accuracy_unflagged"] is None:
        return text
    return text + f"; right for {found['accuracy_unflagged']:.2f} without a flag, {found['accuracy_flagged']:.2f} with"


def describe_export(checkpoint: Checkpoint, path: Path) -> str:
    """Text about an exported file: its size, inputs and outputs, and whether light-curve and astra-infer load it."""
    from astraclr.interop.onnx_export import DROP_IN_WIDTH, TOLERANCE
    from astraclr.interop.onnx_inputs import N_TOKENS

    width = checkpoint.encoder.config.d_embedding
    fits = (
        f"a drop-in for light-curve and astra-infer: embeddings of {width} numbers"
        if width == DROP_IN_WIDTH
        else f"no drop-in: embeddings of {width} numbers, light-curve and astra-infer document {DROP_IN_WIDTH}"
    )
    return (
        f"{for_terminal(checkpoint.name)}, {path.stat().st_size / 1e6:.1f} MB, agrees with torch within "
        f"{TOLERANCE:.0e}: {for_terminal(path)}\n"
        f"takes input, times, band_info (n, {N_TOKENS}, 1) and mask (n, {N_TOKENS}), float32, mask 1 = padding; "
        f"gives mean (n, {width})\n{fits}"
    )


def describe_native(checkpoint: Checkpoint, path: Path, metadata: Mapping[str, str]) -> str:
    """Text about a file with the encoder's own inputs: its size, its inputs with units, and its output."""
    import json

    from astraclr.interop.onnx_native import TOLERANCE

    inputs, outputs = (json.loads(metadata[name]) for name in ("inputs", "outputs"))
    rows = [[name, f"({i['shape']})", i["type"], i["unit"] or "-"] for name, i in {**inputs, **outputs}.items()]
    meanings = [f"{name}: {i['meaning']}" for name, i in inputs.items()]
    first = (
        f"{for_terminal(checkpoint.name)}, {path.stat().st_size / 1e6:.1f} MB, agrees with torch within "
        f"{TOLERANCE:.0e}: {for_terminal(path)}"
    )
    listed = aligned(["input or output", "shape", "type", "unit"], rows)
    return "\n".join([first, "", *listed, "", *meanings, f"licence: {for_terminal(metadata['licence'])}"])


def cautions_on_export(checkpoint: Checkpoint, name: str) -> list[str]:
    """Warnings about an exported file: shorter windows in training, and how other tools centre magnitudes."""
    from astraclr.interop.onnx_export import trained_shorter
    from astraclr.interop.onnx_inputs import LAYOUT

    notes, windows = [], dict(checkpoint.preset.windows)
    if trained_shorter(checkpoint.preset):
        notes.append(
            f"trained on windows {'/'.join(str(windows.get(b, 0)) for b in LAYOUT)}, used here at "
            f"{'/'.join(map(str, LAYOUT.values()))}: measure its scores at that length before you use it: "
            f"`python benchmarks/exchange.py --checkpoint {name}`"
        )
    as_trained = "`astraclr.interop.onnx_runtime.embed_with_onnx` prepares as in training"
    if checkpoint.recipe.centring == "star":
        notes.append(
            f"light-curve subtracts a mean from each band, and so hides colour that this encoder was "
            f"trained with; {as_trained}"
        )
    else:
        notes.append(
            f"astra-infer subtracts one mean from each star, and so keeps colour that this encoder was trained "
            f"without; {as_trained}"
        )
    return notes
