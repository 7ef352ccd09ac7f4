"""Commands about encoders: train one, turn light curves into vectors with it, hand it to other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astraclr.cli import inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, CheckpointName, DropRepeated, DropUnknown, File, Parquet, Seed, Threads


def pretrain(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", show_default=False, help="Folder for the checkpoint, and for the state to resume from."
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            show_default=False, help="Light curves, as for `info`, or a folder of shards; left out: simulated stars."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="How big: tiny, laptop, gpu or paper.")] = "tiny",
    recipe: Annotated[
        str,
        typer.Option(
            help="Which method: corrected; recommended, which learns more; or with its quirks paper, paper-two-views."
        ),
    ] = "corrected",
    seed: Seed = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.", show_default=False)] = None,
    threads: Threads = 1,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default=False,
            metavar="STEPS",
            help="Keep a state to resume from so often; by default at every validation.",
        ),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard scalars.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile; for long runs on a GPU.")] = False,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Train an encoder, without labels.

    Ctrl-C stops it and keeps what was trained; run the same command again to go on. So it does if it was killed.
    log.jsonl in DIR gets a line a step.

    \b
    Example: astraclr pretrain stars.parquet --preset tiny --out runs/mine
    On several GPUs or processes: torchrun --nproc_per_node=2 -m astraclr.cli pretrain ... (as above)
    """
    parsing.parse_bands(band)
    term.check_folder(out)
    from astraclr import config

    size, method = config.preset(preset), config.recipe(recipe)

    def saved() -> str:
        begun = (out / "state.safetensors").exists() or (out / "state-previous.safetensors").exists()
        return f"what was trained so far is in {out}; run the same command to go on" if begun else "nothing trained yet"

    with term.stoppable(saved):
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
        )
    if not first_rank():
        return
    best = checkpoint.history["val_loss"].min()
    typer.echo(f"{checkpoint.name}, best validation loss {best:.3f} of {len(checkpoint.history):,} steps: {out}")
    typer.echo(f"use it with: astraclr embed FILE --checkpoint {out} --out embeddings.parquet")


def embed(
    file: File,
    out: Parquet,
    checkpoint: CheckpointName = "laptop",
    fusion: Annotated[str, typer.Option(help="How the embeddings of the crops are joined: mean or concat.")] = "mean",
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Turn every light curve into a vector.

    The table tells, beside each embedding, the epochs used per band, missing bands, and which encoder made it.

    \b
    Example: astraclr embed stars.parquet --checkpoint tiny --out embeddings.parquet
    """
    term.check_output(out, [".parquet"], file)
    parsing.parse_bands(band)
    if fusion not in ("mean", "concat"):
        raise ValueError(f"no fusion {fusion!r}; choose mean or concat")
    from astraclr.model.embedding import embedding_table

    term.use_threads(threads)
    encoder, _ = inputs.find_checkpoint(checkpoint)
    stars = inputs.read_stars(file, band, drop_unknown_bands, drop_repeated)
    table = embedding_table(stars, encoder, fusion=fusion, progress=True)
    table.insert(len(table.columns) - 1, "fusion", fusion)
    term.write_table(table, out)
    lacking = sum(table["missing_bands"] != "")
    typer.echo(f"{len(table):,} stars embedded with {encoder.name}, {lacking:,} of them lack a band: {out}")


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            show_default=False,
            help="Folder that `astraclr pretrain` wrote, or the name of a shipped encoder: tiny.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="MODEL.onnx", show_default=False, help="ONNX file to write.")],
) -> None:
    """Write an encoder as an ONNX file for other tools.

    light-curve and astra-infer load it unchanged if its embeddings have 512 numbers; onnxruntime loads any. The file
    is run once, and kept only if it agrees with the encoder.

    \b
    Example: astraclr export runs/mine model.onnx
    """
    term.check_output(out, [".onnx"])
    term.need_extra("interop", "onnx", "onnxscript", "onnxruntime")
    encoder, _ = inputs.find_checkpoint(checkpoint)
    from astraclr.cli import report
    from astraclr.interop.onnx_export import export_onnx

    export_onnx(encoder, out)
    typer.echo(report.describe_export(encoder, out))
    for note in report.cautions_on_export(encoder, checkpoint):
        term.say(f"note: {note}")
