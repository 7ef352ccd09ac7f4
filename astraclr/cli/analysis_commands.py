"""Commands that use embeddings: measure how well they tell classes, predict classes, draw the map of stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astraclr.cli import catalogues, inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, CheckpointName, DropRepeated, DropUnknown, File, Label, Seed, Threads

if TYPE_CHECKING:  # torch would make `astraclr --help` wait
    from astraclr.data.lightcurves import LightCurves
    from astraclr.evaluate.embedding_tables import Embeddings

_MANY = 20_000
"""Stars of a map above which a user is told that it takes long."""

_Embeddings = Annotated[
    Path,
    typer.Argument(
        show_default=False,
        help="Labelled table that `astraclr embed` wrote; with --checkpoint, light curves as for `astraclr info`.",
    ),
]
_Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        show_default=False,
        help="Embed light curves with this encoder and, as a control, with random weights; a folder, or the name of "
        "a shipped encoder.",
    ),
]
_Test = Annotated[
    Path | None,
    typer.Option(show_default=False, help="Test on this file; train on the stars of EMBEDDINGS that are not in it."),
]
_SaveHead = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR|FILE",
        show_default=False,
        help="Fit a head for `astraclr predict` on all labelled stars of EMBEDDINGS, and save it in the folder of a "
        "checkpoint or in a .safetensors file.",
    ),
]
_Head = Annotated[
    Path | None,
    typer.Option(
        show_default=False,
        help="Head that `astraclr probe --save-head` wrote; by default the one in the folder of the checkpoint.",
    ),
]


def probe(
    embeddings: _Embeddings,
    checkpoint: _Encoder = None,
    label: Label = "label",
    test: _Test = None,
    c: Annotated[float, typer.Option("--C", help="Inverse regularisation of the logistic regression.")] = 10.0,
    bootstraps: Annotated[int, typer.Option(min=0, help="Refits on resampled training stars, as in the paper.")] = 50,
    test_share: Annotated[float, typer.Option(help="Share of the stars of each class to test on.")] = 0.3,
    seed: Seed = 0,
    save_head: _SaveHead = None,
    with_features: Annotated[
        bool,
        typer.Option(
            "--with-features",
            help="With --checkpoint: probe embeddings followed by hand-crafted features; a saved head reads both.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the metrics, as JSON.", show_default=False)] = None,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Measure how well embeddings tell classes apart.

    Stars are split by object and class. A linear probe (as in the paper), a weighted k-NN and the most frequent class
    are compared on the same test stars. Unlabelled stars are left out and counted.

    Example: astraclr probe embeddings.parquet --save-head head.safetensors --out metrics.json
    With light curves: astraclr probe stars.parquet --checkpoint tiny --label type
    """
    if out is not None:
        term.check_output(out, [".json"], embeddings, test)
    if checkpoint is None and (label != "label" or band or drop_unknown_bands or drop_repeated or with_features):
        raise ValueError(
            "--label, --with-features, --band, --drop-unknown-bands and --drop-repeated are for light curves: name "
            "the encoder that is to embed them with --checkpoint"
        )
    from astraclr.cli import report
    from astraclr.evaluate import embeddings as evaluation
    from astraclr.evaluate.embedding_tables import read_embeddings
    from astraclr.evaluate.embeddings import train_and_test

    files, control, names = [embeddings] if test is None else [embeddings, test], None, []
    if checkpoint is None:
        tables = [read_embeddings(file) for file in files]
        head_file = inputs.head_file_of(save_head, tables[0].checkpoint, tables[0].fusion)
    else:
        encoder, _ = inputs.find_checkpoint(checkpoint)
        head_file = inputs.head_file_of(save_head, encoder.sha256, "mean")
        curves = [inputs.read_labelled(file, label, band, drop_unknown_bands, drop_repeated) for file in files]
        tables, control = evaluation.embedded_with_control(curves, encoder, progress=True)
        if with_features:
            names = _follow_by_features([tables, control], curves)
    train, held_out, notes = train_and_test(*tables, test_share=test_share, seed=seed)
    term.say_notes(notes)
    metrics = evaluation.evaluate(train, held_out, C=c, bootstraps=bootstraps, seed=seed, progress=True)
    if control is not None:
        control_train, control_test, _ = train_and_test(*control, test_share=test_share, seed=seed)
        random_weights = evaluation.evaluate(control_train, control_test, C=c, bootstraps=0, seed=seed)
        metrics["random_weights"] = {name: random_weights[name] for name in ("linear_probe", "knn")}
    typer.echo(report.describe_metrics(metrics))
    if out is not None:
        term.write_json(metrics | {"notes": notes}, out)
        term.tell(f"metrics: {out}")
    if head_file is not None:
        n = _fit_and_save_head(tables[0], c, metrics["linear_probe"]["accuracy"], head_file, names)
        term.tell(f"head, fitted on all {n:,} labelled stars of {embeddings}: {head_file}")


def _follow_by_features(groups: Sequence[list[Embeddings]], curves: Sequence[LightCurves]) -> list[str]:
    """Join hand-crafted features to the embeddings of each set of light curves, in place; return their names."""
    import numpy as np

    from astraclr.evaluate.features import features

    made = [features(lc) for lc in curves]
    if any(names != made[0][1] for _, names in made):
        raise ValueError("the files have different bands, so their features differ; leave --with-features out")
    for tables in groups:
        tables[:] = [
            replace(table, x=np.concatenate([table.x, x], axis=1)) for table, (x, _) in zip(tables, made, strict=True)
        ]
    return made[0][1]


def _fit_and_save_head(table: Embeddings, c: float, accuracy: float, file: Path, features: list[str]) -> int:
    """Fit a head on all labelled stars of a table, save it with its accuracy, and return their number."""
    from astraclr.analysis import classifier
    from astraclr.evaluate.embeddings import labelled

    known, _ = labelled(table)
    head = classifier.fit_head(known.x, known.label, known.checkpoint, c, features)
    classifier.save_head(replace(head, accuracy=accuracy), file)
    return len(known)


def predict(
    file: File,
    out: Annotated[
        Path,
        typer.Option(
            help="Parquet or CSV file to write, with one row for each star; for a HATS catalogue or shards a folder.",
            show_default=False,
        ),
    ],
    checkpoint: CheckpointName = "laptop",
    head: _Head = None,
    with_features: Annotated[
        bool,
        typer.Option(
            "--with-features",
            help="Use the checkpoint's head on embeddings and hand-crafted features; needs the extra interop.",
        ),
    ] = False,
    workers: catalogues.Workers = None,
    scheduler: catalogues.Scheduler = None,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Predict class probabilities for every star.

    Predictions flagged "few epochs" or "unlike training stars" are not reliable. The shipped heads were fitted on
    simulated stars; their confidence falls with the distance from these, and the report says what it was worth on real
    stars. Where OUT is a folder, a HATS catalogue or shards are read as by `astraclr embed`.

    Example: astraclr predict stars.parquet --out predictions.csv
    More stars than memory: astraclr predict my_catalogue --out classes --workers 4
    """
    in_parts = catalogues.is_folder(out, [".parquet", ".csv"], file, workers, scheduler)
    parsing.parse_bands(band)
    if head is not None and with_features:
        raise ValueError("--head names a head already; leave --with-features out")
    from astraclr.analysis.classifier import load_head
    from astraclr.analysis.predictions import prediction_table
    from astraclr.cli.report import describe_predictions

    term.use_threads(threads)
    encoder, folder = inputs.find_checkpoint(checkpoint)
    name = inputs.HEAD_WITH_FEATURES if with_features else inputs.HEAD
    head_file = head or folder / name
    if head is None and not head_file.exists():
        fit = (
            f"fit one to labelled stars with `astraclr probe STARS --checkpoint {checkpoint} --with-features "
            "--save-head FILE`, and name it with --head"
            if with_features
            else f"embed labelled stars, then fit one with `astraclr probe EMBEDDINGS --save-head {folder}`"
        )
        raise FileNotFoundError(f"{folder} holds no head ({name}); {fit}")
    if in_parts:
        from astraclr.analysis.catalogue import predict_catalogue

        how = {"checkpoint": str(folder), "head": head_file, "threads": threads}
        read = (band, drop_unknown_bands, drop_repeated)
        catalogues.run(predict_catalogue, (file, out), (workers, scheduler), read, how)
        return
    classifier = load_head(head_file, encoder)
    stars = inputs.read_stars(file, band, drop_unknown_bands, drop_repeated)
    table = prediction_table(stars, encoder, classifier, progress=True)
    term.write_table(table, out)
    typer.echo(f"{describe_predictions(table, classifier)}\n")
    term.tell(f"{len(table):,} predictions: {out}")


def explore(
    file: File,
    out: Annotated[Path, typer.Option(help="HTML file to write.", show_default=False)],
    checkpoint: CheckpointName = "laptop",
    similar_to: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER",
            show_default=False,
            help="Also mark the stars of this file on the map, each beside its nearest neighbours; at most 1000.",
        ),
    ] = None,
    max_stars: Annotated[
        int, typer.Option(min=16, help="Show at most this many stars, drawn at random; no more than 50000.")
    ] = 5_000,
    label: Label = "label",
    head: _Head = None,
    seed: Seed = 42,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Draw an interactive map of stars as one HTML page.

    A browser shows it without a network: stars coloured by class, predicted class or outlier score; the light curve of
    each star, raw and folded; its neighbours in the embedding; search, and a lasso. OUT contains the light curves
    themselves, thinned out: do not pass it on if they are private.

    Example: astraclr explore stars.parquet --out explorer.html
    Where do other stars belong: astraclr explore stars.parquet --similar-to my_star.csv --out explorer.html
    """
    term.check_output(out, [".html"], file, similar_to)
    term.need_extra("plot", "umap")
    parsing.parse_bands(band)
    from astraclr.analysis.classifier import load_head
    from astraclr.analysis.explorer import explorer
    from astraclr.analysis.packed_curves import POINTS
    from astraclr.analysis.page_size import forecast, need_few_enough
    from astraclr.files import replacing

    term.use_threads(threads)
    encoder, folder = inputs.find_checkpoint(checkpoint)
    head_file = head or folder / inputs.HEAD
    classifier = load_head(head_file, encoder) if head is not None or head_file.exists() else None
    stars = inputs.read_labelled(file, label, band, drop_unknown_bands, drop_repeated)
    shown = min(len(stars), max_stars)
    need_few_enough(shown)
    foreign = None if similar_to is None else inputs.read_stars(similar_to, band, drop_unknown_bands, drop_repeated)
    term.say(forecast(stars, encoder, shown, POINTS))
    page = explorer(stars, encoder, classifier, foreign=foreign, max_stars=max_stars, seed=seed, progress=True)
    with replacing(out) as part:
        part.write_text(page, encoding="utf-8")
    beside = f" and {len(foreign):,} of {similar_to}" if foreign is not None else ""
    term.tell(f"{shown:,} stars{beside} of {encoder.name}, {len(page) / 1e6:,.1f} MB; open it in a browser: {out}")
