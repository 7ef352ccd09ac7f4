"""Commands about encoders: pre-train one, embed light curves with it, export it to other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astraclr.cli import catalogues, inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import (
    Band,
    CheckpointArgument,
    CheckpointName,
    DropRepeated,
    DropUnknown,
    File,
    Licence,
    PrecisionName,
    Preset,
    Seed,
    Threads,
)

_Folder = Annotated[
    Path,
    typer.Option(metavar="DIR", show_default=False, help="Folder for the checkpoint and for the state to resume from."),
]
_Stars = Annotated[
    Path | None,
    typer.Argument(
        show_default=False,
        help="Light curves as for `astraclr info`, or a folder of shards; without it, simulated stars.",
    ),
]
_Recipe = Annotated[
    str,
    typer.Option(
        help="Method: corrected; recommended, which learns more; or with the paper's quirks paper, paper-two-views."
    ),
]
_Steps = Annotated[
    int | None, typer.Option(min=1, help="Number of steps; by default that of the preset.", show_default=False)
]
_SaveEvery = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default=False,
        metavar="STEPS",
        help="Steps between saved states to resume from; by default those between validations.",
    ),
]


def pretrain(
    out: _Folder,
    file: _Stars = None,
    preset: Preset = "tiny",
    recipe: _Recipe = "corrected",
    seed: Seed = 0,
    steps: _Steps = None,
    threads: Threads = 1,
    save_every: _SaveEvery = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard scalars.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile; for long runs on a GPU.")] = False,
    precision: PrecisionName = "auto",
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Train an encoder without labels.

    Ctrl-C stops the training and keeps what was trained. Run the same command again to continue, also after it was
    killed. Each step adds a line to log.jsonl in DIR.

    Example: astraclr pretrain stars.parquet --preset tiny --out runs/mine
    On several GPUs or processes: torchrun --nproc_per_node=2 -m astraclr.cli pretrain ... (as above)
    """
    parsing.parse_bands(band)
    term.check_folder(out)
    if file is not None:
        term.check_apart(out, file)
    from astraclr import config

    size, method, exact = config.preset(preset), config.recipe(recipe), parsing.precision(precision)
    with term.stoppable(lambda: saved(out)):
        from astraclr.simulation.samples import training_stars
        from astraclr.train.distributed import first_rank
        from astraclr.train.pretrain import pretrain as train

        if file is None:
            if first_rank():
                term.say(f"simulating {size.n_stars:,} stars of preset {size.name}")
            stars = training_stars(size, seed)
        else:
            stars = inputs.read_source(file, band, drop_unknown_bands, drop_repeated, quiet=not first_rank())
        checkpoint = train(
            stars,
            size,
            method,
            seed=seed,
            out=out,
            steps=steps,
            threads=threads,
            save_every=save_every,
            tensorboard=tensorboard,
            compile=compile,
            precision=exact,
        )
    if not first_rank():
        return
    best = checkpoint.history["val_loss"].min()
    term.tell(f"{checkpoint.name}, best validation loss {best:.3f} of {len(checkpoint.history):,} steps: {out}")
    term.tell(f"use it with: astraclr embed FILE --checkpoint {out} --out embeddings.parquet")


def saved(folder: Path) -> str:
    """What an interrupted training left in its folder, in words."""
    if any((folder / name).exists() for name in ("state.safetensors", "state-previous.safetensors")):
        return f"what was trained so far is in {folder}; run the same command to go on"
    return "nothing trained yet"


def embed(
    file: File,
    out: Annotated[
        Path,
        typer.Option(
            help="Parquet file to write, with one row for each star; for a HATS catalogue or shards a folder.",
            show_default=False,
        ),
    ],
    checkpoint: CheckpointName = "laptop",
    fusion: Annotated[
        str, typer.Option(help="Join the embeddings of the crops by mean or by concat (one after the other).")
    ] = "mean",
    workers: catalogues.Workers = None,
    scheduler: catalogues.Scheduler = None,
    threads: Threads = 1,
    precision: PrecisionName = "float32",
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Turn every light curve into an embedding, a vector of numbers.

    Beside each embedding the table holds the epochs used per band, missing bands, and which encoder made it.

    Where OUT is a folder, FILE is a HATS catalogue or a folder of shards that need not fit into memory: it is embedded
    a partition at a time, on Dask. The result of a HATS catalogue is one too. After an interruption the same command
    continues.

    Example: astraclr embed stars.parquet --checkpoint tiny --out embeddings.parquet
    More stars than memory: astraclr embed my_catalogue --out embeddings --workers 4
    """
    in_parts = catalogues.is_folder(out, [".parquet"], file, workers, scheduler)
    parsing.parse_bands(band)
    if fusion not in ("mean", "concat"):
        raise ValueError(f"no fusion {fusion!r}; choose mean or concat")
    exact = parsing.precision(precision)
    if in_parts:
        from astraclr.analysis.catalogue import embed_catalogue

        how = {"checkpoint": str(inputs.find_checkpoint(checkpoint)[1]), "fusion": fusion, "threads": threads}
        how["precision"] = exact
        read = (band, drop_unknown_bands, drop_repeated)
        catalogues.run(embed_catalogue, (file, out), (workers, scheduler), read, how)
        return
    from astraclr.analysis.partition_tables import fused_table

    term.use_threads(threads)
    encoder, _ = inputs.find_checkpoint(checkpoint)
    stars = inputs.read_stars(file, band, drop_unknown_bands, drop_repeated)
    table = fused_table(stars, encoder, fusion, progress=True, precision=exact)
    term.write_table(table, out)
    lacking = sum(table["missing_bands"] != "")
    term.tell(f"{len(table):,} stars embedded with {encoder.name}, {lacking:,} of them lack a band: {out}")


def export(
    checkpoint: CheckpointArgument,
    out: Annotated[Path, typer.Argument(metavar="MODEL.onnx", show_default=False, help="ONNX file to write.")],
    inputs_: Annotated[
        str,
        typer.Option(
            "--inputs",
            help="exchange: those of light-curve and astra-infer, without errors; own: all that the encoder reads; "
            "auto: exchange where the recipe allows it, else own.",
        ),
    ] = "auto",
    licence: Licence = None,
) -> None:
    """Write an encoder as an ONNX file for other tools.

    light-curve and astra-infer load a file with the inputs `exchange` unchanged if its embeddings have 512 numbers;
    onnxruntime loads any. The metadata of the file say what each input is. The file is run once, and kept only if its
    embeddings agree with those of the encoder.

    Example: astraclr export runs/mine model.onnx
    """
    term.check_output(out, [".onnx"])
    if inputs_ not in ("auto", "exchange", "own"):
        raise ValueError(f"no inputs {inputs_!r}; choose auto, exchange or own")
    term.need_extra("interop", "onnx", "onnxscript", "onnxruntime")
    encoder, folder = inputs.find_checkpoint(checkpoint)
    from astraclr.cli import report
    from astraclr.interop.onnx_export import export_onnx, needs_native
    from astraclr.interop.onnx_native import export_native

    known = inputs.licence_of(folder, licence)
    if inputs_ == "own" or (inputs_ == "auto" and needs_native(encoder.recipe)):
        typer.echo(report.describe_native(encoder, out, export_native(encoder, out, known)))
        return
    export_onnx(encoder, out, known)
    typer.echo(report.describe_export(encoder, out))
    for note in report.cautions_on_export(encoder, checkpoint):
        term.say(f"note: {note}")
