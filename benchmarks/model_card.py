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
        classifier's name to its scores) and, where real stars were scored, ``real ZTF``
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
        f"| trained for | {_training(len(checkpoint.history), preset.batch_size, found.get('training', {}))} |",
        f"| weights | SHA-256 {code_span(checkpoint.sha256)} |",
        f"| made by | {code_span(made['command'])}, revision {for_markdown(made['revision'])}, "
        f"Python {for_markdown(made['python'])}, torch {for_markdown(made['torch'])} |",
        "",
        "## Scores",
        "",
        f"A head fitted on {found['n_fit']:,} labelled simulated stars, counted on {found['n_test']:,} others, twelve "
        "classes of equal frequency; in brackets the 95 % interval over resampled test stars.",
        "",
        "| | linear probe, C = 1 | linear probe, C = 10 | weighted k-NN |",
        "|---|---|---|---|",
        *(
            f"| {for_markdown(name)} | {' | '.join(_score(row.get(kind)) for kind in KINDS)} |"
            for name, row in found["simulated"].items()
        ),
    ]
    if real := found.get("real ZTF"):
        lines += [
            "",
            f"Of {real['stars']} real ZTF stars {real['flagged']:.0%} are flagged as unlike its training "
            f"stars or short; of {real['labelled']} with one of its labels it meets {real['label_met']:.0%}.",
        ]
    lines += [
        "",
        "## What it is not",
        "",
        "It never saw an observed star. Its classes are those of the simulator (see `data/README.md`), equally "
        "frequent. Read the rows of the controls before its own.",
    ]
    return "\n".join(lines) + "\n"


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
