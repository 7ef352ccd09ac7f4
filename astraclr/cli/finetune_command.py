"""The command `finetune`: an encoder is trained further on one's own labels, and reported beside its controls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from astraclr.cli import inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, CheckpointName, DropRepeated, DropUnknown, File, Label, Seed, Threads
from astraclr.cli.encoder_commands import saved

_FEW_TEST_STARS = 30
"""Below this the report says that intervals over test stars mean little."""

_Out = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        show_default=False,
        help="Folder for the fine-tuned checkpoint, its head, report and metrics, and for the state to resume from.",
    ),
]


def finetune(
    file: File,
    out: _Out,
    checkpoint: CheckpointName = "laptop",
    label: Label = "label",
    layers: Annotated[int, typer.Option(min=0, help="Number of last encoder layers that are trained.")] = 2,
    passes: Annotated[int, typer.Option(min=1, help="Passes over the training stars, at most.")] = 20,
    labels_per_class: Annotated[int, typer.Option(min=2, help="Training stars of a class, at most.")] = 4_000,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to 0 linearly.")] = 3e-4,
    batch_size: Annotated[int, typer.Option(min=1, help="Stars a step.")] = 32,
    seed: Seed = 0,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Train the last layers of an encoder further on your own labels.

    The labelled stars are split by object: 70 % to train, 20 % to stop by, 10 % to test once at the end. The training
    begins at the linear probe; the report sets both beside a probe of random weights on the same test stars. `embed`,
    `predict` and `export` take the folder. Stars without a label are left out. After Ctrl-C or a kill, the same command
    goes on.

    Example: astraclr finetune stars.parquet --checkpoint laptop --label type --out runs/tuned
    """
    parsing.parse_bands(band)
    term.check_folder(out)
    term.check_apart(out, file)
    from astraclr.analysis.own_labels import HEAD, METRICS, need_free, tune
    from astraclr.evaluate.tuning_settings import Tuning
    from astraclr.files import replacing
    from astraclr.model.device import own_device

    settings = Tuning(
        layers=layers,
        passes=passes,
        labels_per_class=labels_per_class,
        learning_rate=learning_rate,
        batch_size=batch_size,
        seed=seed,
    )
    need_free(out)
    term.use_threads(threads)
    encoder, _ = inputs.find_checkpoint(checkpoint)
    settings.check_layers(encoder)
    encoder.encoder.to(own_device())
    stars = inputs.read_labelled(file, label, band, drop_unknown_bands, drop_repeated)
    with term.stoppable(lambda: saved(out)):
        metrics = tune(encoder, stars, out, settings, column=label)
    report = describe_tuning(metrics)
    with replacing(out / "report.txt") as part:
        part.write_text(report + "\n", encoding="utf-8")
    for line in [*report.splitlines(), ""]:
        term.tell(line)
    term.tell(f"checkpoint, {HEAD}, {METRICS} and report.txt: {out}")
    term.tell(f"use it with: astraclr predict FILE --checkpoint {out} --out classes.csv")


def describe_tuning(metrics: Mapping[str, Any]) -> str:
    """Text about what `analysis.own_labels.tune` measured: classifiers on the same test stars, differences, classes."""
    from astraclr.cli.report import aligned

    stars, scores, chosen = metrics["stars"], metrics["scores"], metrics["probe_chosen"]
    names = {
        "finetuned": "fine-tuned",
        "probe": "linear probe",
        "random_weights": "random weights, linear probe",
        "majority": "most frequent class",
    }

    def cell(found: Mapping[str, float], metric: str, sign: str = "") -> str:
        low, high = found.get(f"{metric}_low"), found.get(f"{metric}_high")
        return f"{found[metric]:{sign}.3f}" + ("" if low is None else f" ({low:{sign}.3f} to {high:{sign}.3f})")

    rows = [[word, cell(scores[name], "accuracy"), cell(scores[name], "macro_f1")] for name, word in names.items()]
    apart = [
        [f"fine-tuned minus {names[name]}", cell(found, "accuracy", "+"), cell(found, "macro_f1", "+")]
        for name, found in scores["finetuned_minus"].items()
    ]
    gain = scores["finetuned_minus"]["probe"]
    verdict = (
        "the interval of its gain over the probe holds 0: these test stars do not show that training the layers helps"
    )
    if gain["accuracy_low"] > 0:
        verdict = "fine-tuning is better than the probe on these test stars, beyond their sampling error"
    elif gain["accuracy_high"] < 0:
        verdict = "fine-tuning is worse than the probe on these test stars: keep the probe (`astraclr probe`)"
    few = stars["test"] < _FEW_TEST_STARS
    counts = [[name, *(f"{n:,}" for n in numbers)] for name, numbers in metrics["classes"].items()]
    recall = scores["finetuned"]["recall"]
    counts = [[*row, f"{recall[row[0]]:.3f}" if row[0] in recall else "-"] for row in counts]
    lines = [
        f"{stars['train']:,} stars to train, {stars['validation']:,} to stop by, {stars['test']:,} to test; "
        f"{stars['unlabelled']:,} without a label left out",
        f"begun at the probe of the {chosen['fusion']} of three crops, C = {chosen['C']:g}; kept pass "
        f"{metrics['best_pass']} of {metrics['passes']}" + (" (the probe itself)" if not metrics["best_pass"] else ""),
        "",
        *aligned(["", "accuracy", "macro-F1"], [*rows, *apart]),
        "",
        "in brackets: 95 % of resampled test objects; differences are paired",
        verdict,
        *(
            [f"only {stars['test']:,} test stars: so few decide little, whatever the intervals; label more"]
            if few
            else []
        ),
        "",
        *aligned(["class", "train", "validation", "test", "recall"], counts),
    ]
    return "\n".join(lines)
