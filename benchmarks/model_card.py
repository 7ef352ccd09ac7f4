"""The card of a shipped encoder: what it was made from, what it cost, and how good it is beside its controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from astraclr.data.escaping import code_span, for_markdown
from astraclr.model.checkpoint import Checkpoint

KINDS = ("linear_probe_C1", "linear_probe_C10", "weighted_knn")


def model_card(checkpoint: Checkpoint, found: Mapping[str, Any]) -> str:
    """Markdown, from a checkpoint and the `scores.json` beside it; no number in it was typed.

    Parameters
    ----------
    found : ``made_with`` (command, revision, versions), ``training`` (steps, cpu_seconds, seconds, stars_seen, device,
        kwh_estimate, watts_assumed; as far as noted), ``n_fit``, ``n_test``, ``simulated`` (a control's name to a
        classifier's name to its scores), ``head`` (how it was chosen, and its scores under damage) and, where real
        stars were scored, ``real ZTF``
    """
    preset, recipe = checkpoint.preset, checkpoint.recipe
    windows = ", ".join(f"{n} in {for_markdown(band)}" for band, n in preset.windows)
    n_weights = sum(p.numel() for p in checkpoint.encoder.parameters())
    made = found["made_with"]
    lines = [
        f"# {for_markdown(checkpoint.name)}",
        "",
        "Written by the command below; nothing in it was typed. An encoder to learn with and to start from, not a "
        "classifier to publish with.",
        "",
        "| | |",
        "|---|---|",
        f"| preset, recipe, seed | {code_span(preset.name)}, {code_span(recipe.name)}, {checkpoint.seed} |",
        f"| encoder | {preset.n_layers} layers, width {preset.d_model}, {preset.n_heads} heads, {n_weights:,} numbers; "
        f"windows of {windows} |",
        f"| trained on | simulated stars, no labels: {for_markdown(checkpoint.data)} |",
        f"| trained for | {_training(len(checkpoint.history), preset.batch_size, found.get('training', {}))}"
        f"{_precision(checkpoint)} |",
        f"| weights | SHA-256 {code_span(checkpoint.sha256)} |",
        f"| made by | {code_span(made['command'])}, revision {for_markdown(made['revision'])}, "
        f"Python {for_markdown(made['python'])}, torch {for_markdown(made['torch'])} |",
        "",
        "## Scores",
        "",
        f"Probes fitted on {found['n_fit']:,} labelled simulated stars, counted on {found['n_test']:,} others, twelve "
        "classes of equal frequency; in brackets the 95 % interval over resampled test stars.",
        "",
        "| | linear probe, C = 1 | linear probe, C = 10 | weighted k-NN |",
        "|---|---|---|---|",
        *(
            f"| {for_markdown(name)} | {' | '.join(_score(row.get(kind)) for kind in KINDS)} |"
            for name, row in found["simulated"].items()
        ),
    ]
    if head := found.get("head"):
        lines += _head(head)
    if real := found.get("real ZTF"):
        lines += _real(real)
    if real := found.get("real ZTF, with features"):
        lines += ["", "The head on embedding and features on the same stars:", *_real(real)]
    lines += [
        "",
        "## What it is not",
        "",
        "It never saw an observed star. Its classes are those of the simulator (see `data/README.md`), equally "
        "frequent. Read the rows of the controls before its own.",
    ]
    return "\n".join(lines) + "\n"


def _head(found: Mapping[str, Any]) -> list[str]:
    """How the head was chosen, and what its confidence is worth on each kind of damage that its fit has not seen."""
    t, by_C = found["temperature"], found["mean_accuracy_by_C"]
    lines = [
        "",
        "## The head",
        "",
        f"Its C, {max(by_C, key=lambda C: by_C[C])}, has the best mean accuracy on {found['n_validation']:,} "
        "validation stars as they are and damaged as other surveys would damage them. On the same stars its "
        f"temperature was fitted, {t['base']:.2f} (1 + {t['growth']:.2f} novelty): the farther a star from the "
        f"training stars, the lower the confidence. On the test stars it is right for {found['accuracy']:.3f}. In the "
        "table, each row has "
        "a temperature that was fitted without that kind of damage.",
        "",
        "| validation stars | accuracy | not flagged | flagged | share flagged | confidence | calibration error | "
        "without temperature | one temperature for all |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    keys = ("accuracy", "accuracy_unflagged", "accuracy_flagged", "flagged", "confidence", "calibration_error")
    for kind, row in found["damaged"].items():
        values = [*(row[key] for key in keys), row["calibration_error_as_fitted"], found["one_temperature"][kind]]
        lines.append(f"| {kind} | {' | '.join('' if v is None else f'{v:.2f}' for v in values)} |")
    if both := found.get("with_features"):
        gain = {kind: row["accuracy"] for kind, row in both["accuracy_gain"].items()}
        worst, best = min(gain, key=lambda kind: gain[kind]), max(gain, key=lambda kind: gain[kind])
        lines += [
            "",
            "A head on embedding and hand-crafted features, chosen in the same way, has a mean accuracy over these "
            f"rows of {max(both['mean_accuracy_by_C'].values()):.3f}; this head has {max(by_C.values()):.3f}. Its "
            f"difference runs from {gain[worst]:+.3f} ({worst}) to {gain[best]:+.3f} ({best}).",
        ]
    return lines


def _real(found: Mapping[str, Any]) -> list[str]:
    """What confidence and flags are worth on labelled real stars, which decided nothing."""

    def value(name: str) -> str:
        return f"{found[name]:.2f} ({found[f'{name}_low']:.2f} to {found[f'{name}_high']:.2f})"

    text = (
        f"Of {found['stars']} real {found['survey']} stars {found['flagged_of_all']:.0%} are flagged. On the "
        f"{found['n']} with one of its labels, which decided nothing, it is right for {value('accuracy')} at a mean "
        f"confidence of {found['confidence']:.2f}; calibration error {value('calibration_error')}. Perfect "
        f"probabilities would show {found['calibration_error_of_perfect']:.2f} on so few stars."
    )
    if found["accuracy_flagged"] is not None and found["accuracy_unflagged"] is not None:
        text += (
            f" It is right for {value('accuracy_unflagged')} of the stars without a flag and "
            f"{value('accuracy_flagged')} of those with one, a difference of {value('flag_difference')}."
        )
    return ["", text]


def _precision(checkpoint: Checkpoint) -> str:
    """What the history says of matrix products in bfloat16."""
    history = checkpoint.history
    rounded = sum(history["bfloat16"] == 1) if "bfloat16" in history else 0
    return f", {rounded:,} of these steps in bfloat16" if rounded else ""


def _training(steps: int, batch_size: int, spent: Mapping[str, Any]) -> str:
    out = f"{steps:,} steps of {batch_size} stars"
    if "cpu_seconds" in spent:
        out += f", {spent['cpu_seconds'] / 60:.0f} CPU minutes on {for_markdown(spent['device'])}"
    if "kwh_estimate" in spent:
        out += f"; about {spent['kwh_estimate']:.2g} kWh, if it drew {spent['watts_assumed']:g} W (assumed)"
    return out


def _score(found: Mapping[str, float] | None) -> str:
    if not found:
        return ""
    interval = f" ({found['accuracy_low']:.3f} to {found['accuracy_high']:.3f})" if "accuracy_low" in found else ""
    return f"{found['accuracy']:.3f}{interval}"
