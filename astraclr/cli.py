"""The house from a terminal: each command is a few steps of `astraclr`, with bad input refused before any work starts.

Heavy imports are inside the commands, so that ``astraclr --help`` answers at once.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from astraclr import __version__
from astraclr import terminal as term

app = typer.Typer(cls=term.Commands, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                  pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]})  # fmt: skip

File = Annotated[Path, typer.Argument(help="Light curves: parquet or CSV (a tidy table, one row a star, IRSA, "
                                           "Zubercal), or a folder of such files.", show_default=False)]  # fmt: skip
Parquet = Annotated[Path, typer.Option(help="Parquet file to write, one row a star.", show_default=False)]
Band = Annotated[list[str] | None, typer.Option(
    "--band", metavar="NAME=ANGSTROM", show_default=False,
    help="A band and its effective wavelength; repeat for each band of the file. Replaces ZTF's g, r, i.")]  # fmt: skip
DropUnknown = Annotated[bool, typer.Option("--drop-unknown-bands", help="Drop and count other bands, do not stop.")]
DropRepeated = Annotated[bool, typer.Option("--drop-repeated", help="Keep one observation where times repeat.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed on the same machine gives the same result.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads; more than one seldom helps a small model.")]
CheckpointName = Annotated[str, typer.Option("--checkpoint", metavar="DIR", help="Folder that `astraclr pretrain` "
                                             "wrote, or the name of a shipped encoder: laptop, tiny.")]  # fmt: skip


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="astraclr")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astraclr {__version__}")
        raise typer.Exit


@app.callback()
def _astraclr(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version and stop.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="On an error show where it arose; write it before "
                                            "the command, and send it along when you report a bug.")] = False,
) -> None:  # fmt: skip
    """Light curves in; embeddings, classes and metrics out.

    \b
    A first round, in four commands:
      astraclr simulate --n 1200 --seed 7 --out stars.parquet
      astraclr info stars.parquet
      astraclr embed stars.parquet --checkpoint tiny --out embeddings.parquet
      astraclr probe embeddings.parquet
    """


@app.command()
def simulate(
    out: Parquet,
    n: Annotated[int, typer.Option("--n", min=1, help="How many stars.")] = 600,
    seed: Seed = 0,
) -> None:
    """Make labelled light curves like ZTF's.

    12 classes, as many stars of each, in the bands g, r and i.

    \b
    Example: astraclr simulate --n 600 --seed 7 --out stars.parquet
    """
    term.check_output(out, [".parquet"])
    from astraclr.simulate import simulate as make

    stars = make(n, seed=seed, progress=True)
    stars.save(out)
    typer.echo(f"{len(stars):,} stars, {stars.n_obs:,} observations: {out}")


@app.command()
def info(
    file: File,
    cut: Annotated[str | None, typer.Option(metavar="BAND=EPOCHS,...", show_default=False,
                   help="Say how many stars have at least so many epochs, e.g. g=200,r=200. By default: the paper's "
                        "cut, and the windows of preset tiny.")] = None,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:  # fmt: skip
    """Say what is in a file of light curves.

    Stars, times, epochs per band, classes, what was dropped or repeats, and how many stars a cut would keep.

    \b
    Example: astraclr info stars.parquet --cut g=200,r=200
    """
    at_least = None if cut is None else term.parse_cut(cut)
    from astraclr.summary import describe

    typer.echo(describe(term.read_stars(file, band, drop_unknown_bands, drop_repeated, quiet=True), at_least))


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(metavar="DIR", show_default=False,
                                      help="Folder for the checkpoint, and for the state to resume from.")],
    file: Annotated[Path | None, typer.Argument(show_default=False,
                    help="Light curves, as for `info`, or a folder of shards; left out: simulated stars.")] = None,
    preset: Annotated[str, typer.Option(help="How big: tiny, laptop, gpu or paper.")] = "tiny",
    recipe: Annotated[str, typer.Option(help="Which method: corrected; recommended, which learns more; or "
                                             "with its quirks paper, paper-two-views.")] = "corrected",
    seed: Seed = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the preset's.", show_default=False)] = None,
    threads: Threads = 1,
    save_every: Annotated[int | None, typer.Option(min=1, show_default=False, metavar="STEPS",
                          help="Keep a state to resume from so often; by default at every validation.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard scalars.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile; for long runs on a GPU.")] = False,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:  # fmt: skip
    """Train an encoder, without labels.

    Ctrl-C stops it and keeps what was trained; run the same command again to go on. So it does if it was killed.
    log.jsonl in DIR gets a line a step.

    \b
    Example: astraclr pretrain stars.parquet --preset tiny --out runs/mine
    On several GPUs or processes: torchrun --nproc_per_node=2 -m astraclr.cli pretrain ... (as above)
    """
    term.parse_bands(band)
    term.check_folder(out)
    from astraclr import presets

    size, method = presets.preset(preset), presets.recipe(recipe)

    def saved() -> str:
        begun = (out / "state.safetensors").exists() or (out / "state-previous.safetensors").exists()
        return f"what was trained so far is in {out}; run the same command to go on" if begun else "nothing trained yet"

    with term.stoppable(saved):
        from astraclr.distributed import first_rank
        from astraclr.experiments import training_stars
        from astraclr.pretraining import pretrain as train

        if file is None:
            if first_rank():
                term.say(f"simulating {size.n_stars:,} stars of preset {size.name}")
            stars = training_stars(size, seed)
        else:
            stars = term.read_source(file, band, drop_unknown_bands, drop_repeated, quiet=not first_rank())
        checkpoint = train(stars, size, method, seed=seed, out=out, steps=steps, threads=threads,
                           save_every=save_every, tensorboard=tensorboard, compile=compile)  # fmt: skip
    if not first_rank():
        return
    best = checkpoint.history["val_loss"].min()
    typer.echo(f"{checkpoint.name}, best validation loss {best:.3f} of {len(checkpoint.history):,} steps: {out}")
    typer.echo(f"use it with: astraclr embed FILE --checkpoint {out} --out embeddings.parquet")


@app.command()
def shards(
    source: Annotated[Path, typer.Argument(show_default=False, help="A HATS catalogue, or light curves as for `info`; "
                                           "a folder of files that astraclr saved is read file by file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", show_default=False, help="Folder for the shards.")],
    cut: Annotated[str, typer.Option(metavar="BAND=EPOCHS,...", help="Keep stars with at least so many epochs; "
                                     "\"\" keeps all.")] = "g=200,r=200",
    workers: Annotated[int, typer.Option(min=1, help="Dask processes that read a HATS catalogue.")] = 2,
    stars_per_shard: Annotated[int, typer.Option(min=1, help="At most so many.")] = 10_000,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:  # fmt: skip
    """Cut light curves that do not fit into memory into shards.

    `astraclr pretrain DIR` reads them as it needs them. The same command again goes on where it was stopped, and writes
    lost or damaged shards anew.

    \b
    Example: astraclr shards catalogue --out shards --workers 2
    """
    term.check_folder(out)
    at_least, bands = term.parse_cut(cut) if cut else None, term.parse_bands(band)
    from astraclr.catalogs._zubercal import is_hats
    from astraclr.lightcurves import ZTF_BANDS
    from astraclr.sharding import shards_from_hats, write_shards

    if is_hats(source):
        term.need_extra("data", "lsdb", "distributed")
        found = shards_from_hats(source, out, at_least, workers, stars_per_shard=stars_per_shard,
                                 bands=bands or ZTF_BANDS, drop_unknown_bands=drop_unknown_bands,
                                 drop_repeated=drop_repeated)  # fmt: skip
    else:
        pieces = (term.read_stars(f, band, drop_unknown_bands, drop_repeated) for f in term.pieces(source))
        found = write_shards(pieces, out, stars_per_shard, at_least)
    for reason, n in found["notes"].items():
        term.say(f"note: {reason}: {n:,}")
    observations = sum(found["observations"].values())
    typer.echo(f"{found['stars']:,} stars, {observations:,} observations, {found['bytes'] / 1e6:,.1f} MB: {out}")


@app.command()
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
    term.parse_bands(band)
    if fusion not in ("mean", "concat"):
        raise ValueError(f"no fusion {fusion!r}; choose mean or concat")
    from astraclr.embedding import embedding_table

    term.use_threads(threads)
    encoder, _ = term.find_checkpoint(checkpoint)
    stars = term.read_stars(file, band, drop_unknown_bands, drop_repeated)
    table = embedding_table(stars, encoder, fusion=fusion, progress=True)
    table.insert(len(table.columns) - 1, "fusion", fusion)
    term.write_table(table, out)
    lacking = sum(table["missing_bands"] != "")
    typer.echo(f"{len(table):,} stars embedded with {encoder.name}, {lacking:,} of them lack a band: {out}")


@app.command()
def probe(
    embeddings: Annotated[Path, typer.Argument(show_default=False, help="Labelled table that `astraclr embed` wrote; "
                                               "with --checkpoint, light curves as for `info`.")],
    checkpoint: Annotated[str | None, typer.Option(metavar="DIR", show_default=False,
                          help="Embed light curves with this encoder, and as a control with random weights; a folder, "
                               "or the name of a shipped one.")] = None,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of light curves that holds labels.")] = "label",
    test: Annotated[Path | None, typer.Option(show_default=False,
                    help="Test on this file, and train on all of EMBEDDINGS but its stars.")] = None,
    C: Annotated[float, typer.Option("--C", help="Inverse regularisation of the logistic regression.")] = 10.0,
    bootstraps: Annotated[int, typer.Option(min=0, help="Refits on resampled training stars, as in the paper.")] = 50,
    test_share: Annotated[float, typer.Option(help="Share of the stars of each class to test on.")] = 0.3,
    seed: Seed = 0,
    save_head: Annotated[Path | None, typer.Option(metavar="DIR|FILE", show_default=False,
                         help="Keep a head for `astraclr predict`, fitted on all labelled stars of EMBEDDINGS: into "
                              "a checkpoint's folder, or a .safetensors file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the metrics, as JSON.", show_default=False)] = None,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:  # fmt: skip
    """Measure how well embeddings tell classes.

    Stars are split by object and class; a linear probe (the paper's), a weighted k-NN and the most frequent class are
    compared on the same test stars. Unlabelled stars are left out, with a count.

    \b
    Example: astraclr probe embeddings.parquet --save-head head.safetensors --out metrics.json
    Light curves: astraclr probe stars.parquet --checkpoint tiny --label type
    """
    if out is not None:
        term.check_output(out, [".json"], embeddings, test)
    if checkpoint is None and (label != "label" or band or drop_unknown_bands or drop_repeated):
        raise ValueError("--label, --band, --drop-unknown-bands and --drop-repeated are for light curves: name the "
                         "encoder that is to embed them with --checkpoint")  # fmt: skip
    from astraclr import evaluation, summary

    files, control = [embeddings] if test is None else [embeddings, test], None
    if checkpoint is None:
        tables = [evaluation.read_embeddings(file) for file in files]
        head_file = None if save_head is None else term.head_place(save_head, tables[0].checkpoint, tables[0].fusion)
    else:
        encoder, _ = term.find_checkpoint(checkpoint)
        head_file = None if save_head is None else term.head_place(save_head, encoder.sha256, "mean")
        curves = [term.read_labelled(file, label, band, drop_unknown_bands, drop_repeated) for file in files]
        tables, control = evaluation.embedded_with_control(curves, encoder, progress=True)
    train, held, notes = evaluation.train_and_test(*tables, test_share=test_share, seed=seed)
    for reason, n in notes.items():
        term.say(f"note: {reason}: {n:,}")
    metrics = evaluation.evaluate(train, held, C=C, bootstraps=bootstraps, seed=seed, progress=True)
    if control is not None:
        same = evaluation.train_and_test(*control, test_share=test_share, seed=seed)[:2]
        beside = evaluation.evaluate(*same, C=C, bootstraps=0, seed=seed)
        metrics["random_weights"] = {name: beside[name] for name in ("linear_probe", "knn")}
    typer.echo(summary.describe_metrics(metrics))
    if out is not None:
        term.write_json(metrics | {"notes": notes}, out)
        typer.echo(f"metrics: {out}")
    if head_file is not None:
        from astraclr import prediction

        known, _ = evaluation.labelled(tables[0])
        head = prediction.fit_head(known.x, known.label, known.checkpoint, C)
        prediction.save_head(replace(head, accuracy=metrics["linear_probe"]["accuracy"]), head_file)
        typer.echo(f"head, fitted on all {len(known):,} labelled stars of {embeddings}: {head_file}")


@app.command()
def predict(
    file: File,
    out: Annotated[Path, typer.Option(help="Parquet or CSV file to write, one row a star.", show_default=False)],
    checkpoint: CheckpointName = "laptop",
    head: Annotated[Path | None, typer.Option(show_default=False,
                    help="Head that `astraclr probe --save-head` wrote; by default the one in the checkpoint.")] = None,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:  # fmt: skip
    """Give every star class probabilities.

    Stars flagged "few epochs" or "unlike training stars" are guesses. The shipped head learnt from simulated stars.

    \b
    Example: astraclr predict stars.parquet --out predictions.csv
    """
    term.check_output(out, [".parquet", ".csv"], file)
    term.parse_bands(band)
    from astraclr.prediction import load_head, prediction_table
    from astraclr.summary import describe_predictions

    term.use_threads(threads)
    encoder, folder = term.find_checkpoint(checkpoint)
    head_file = head or folder / term.HEAD
    if head is None and not head_file.exists():
        raise FileNotFoundError(f"{folder} holds no head ({term.HEAD}); embed labelled stars, then fit one with "
                                f"`astraclr probe EMBEDDINGS --save-head {folder}`")  # fmt: skip
    reader = load_head(head_file, encoder)
    stars = term.read_stars(file, band, drop_unknown_bands, drop_repeated)
    table = prediction_table(stars, encoder, reader, progress=True)
    term.write_table(table, out)
    typer.echo(f"{describe_predictions(table, reader)}\n\n{len(table):,} predictions: {out}")


@app.command()
def explore(
    file: File,
    out: Annotated[Path, typer.Option(help="HTML file to write.", show_default=False)],
    checkpoint: CheckpointName = "laptop",
    max_stars: Annotated[int, typer.Option(min=16, help="Of more stars, so many are drawn at random.")] = 5_000,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of light curves that holds labels.")] = "label",
    head: Annotated[Path | None, typer.Option(show_default=False,
                    help="Head that gives predicted classes; by default the one in the checkpoint, if any.")] = None,
    seed: Seed = 42,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:  # fmt: skip
    """Write the map of stars as one page.

    A browser shows it without a network: stars coloured by class, predicted class or outlier score; the light curve of
    each, raw and folded; its neighbours in the embedding; search, and a lasso. OUT holds the light curves themselves,
    thinned: who gets the page gets them.

    \b
    Example: astraclr explore stars.parquet --out explorer.html
    """
    term.check_output(out, [".html"], file)
    term.parse_bands(band)
    from astraclr.explorer import explorer
    from astraclr.files import replacing
    from astraclr.prediction import load_head

    term.use_threads(threads)
    encoder, folder = term.find_checkpoint(checkpoint)
    head_file = head or folder / term.HEAD
    reader = load_head(head_file, encoder) if head is not None or head_file.exists() else None
    stars = term.read_labelled(file, label, band, drop_unknown_bands, drop_repeated)
    page = explorer(stars, encoder, reader, max_stars=max_stars, seed=seed, progress=True)
    with replacing(out) as part:
        part.write_text(page, encoding="utf-8")
    typer.echo(f"{min(len(stars), max_stars):,} stars of {encoder.name}, {len(page) / 1e6:,.1f} MB; open it in a "
               f"browser: {out}")  # fmt: skip


@app.command()
def export(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", show_default=False, help="Folder that `astraclr "
                                              "pretrain` wrote, or the name of a shipped encoder: tiny.")],
    out: Annotated[Path, typer.Argument(metavar="MODEL.onnx", show_default=False, help="ONNX file to write.")],
) -> None:  # fmt: skip
    """Write an encoder as an ONNX file for other tools.

    light-curve and astra-infer load it unchanged if its embeddings have 512 numbers; onnxruntime loads any. The file
    is run once, and kept only if it agrees with the encoder.

    \b
    Example: astraclr export runs/mine model.onnx
    """
    term.check_output(out, [".onnx"])
    term.need_extra("interop", "onnx", "onnxscript", "onnxruntime")
    encoder, _ = term.find_checkpoint(checkpoint)
    from astraclr.exchange import export_onnx

    export_onnx(encoder, out)
    typer.echo(term.describe_export(encoder, out))
    for note in term.cautions_on_export(encoder, checkpoint):
        term.say(f"note: {note}")


@app.command()
def fetch(
    out: Parquet,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many stars.", show_default=False)] = None,
    near: Annotated[str | None, typer.Option(metavar="RA,DEC,RADIUS", show_default=False,
                    help="Only stars in this cone: degrees, degrees, arcsec.")] = None,
    gaia_id: Annotated[list[int] | None, typer.Option("--id", metavar="GAIA_ID", show_default=False,
                       help="Only this star of Gaia DR3; repeat for more.")] = None,
    cut: Annotated[str | None, typer.Option(metavar="BAND=EPOCHS,...", show_default=False,
                   help="Only stars with at least so many epochs, e.g. g=200,r=200.")] = None,
) -> None:  # fmt: skip
    """Download stars of the published data set.

    By number, position or Gaia DR3 id. Needs the network once; the answer to a request is kept.

    \b
    Example: astraclr fetch --limit 100 --cut g=200,r=200 --out published.parquet
    """
    term.check_output(out, [".parquet"])
    cone, at_least = term.parse_near(near), None if cut is None else term.parse_cut(cut)
    if limit is None and cone is None and not gaia_id:
        raise ValueError("say what to fetch: --limit N, --near RA,DEC,RADIUS or --id GAIA_ID")
    from astraclr.catalogs import published

    term.say("asking for the published data set; the first answer may take minutes, the same request later none")
    stars = published(limit, near=cone, ids=gaia_id or None, at_least=at_least)
    stars.save(out)
    typer.echo(f"{len(stars):,} stars, {stars.n_obs:,} observations ({stars.report()}): {out}")


@app.command()
def figure(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Name of a figure, such as fig-views.")] = None,
    preset: Annotated[str, typer.Option(help="How big: tiny, laptop, gpu or paper.")] = "tiny",
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE.png", show_default=False,
                   help="PNG file to write; by default NAME.png here. FILE.json says what it came from.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Name every figure of the book, and stop.")] = False,
) -> None:  # fmt: skip
    """Draw a figure of the book again.

    Its chapter runs up to it, and no further; a chapter that needs a trained encoder trains it once. Needs the
    repository, not only the package.

    \b
    Example: astraclr figure fig-choose-c --preset tiny --out fig-choose-c.png
    """
    from astraclr import gallery, presets

    book = gallery.book_folder()
    if list_all:
        for known in gallery.figures(book).values():
            typer.echo(f"{known.name}  ({known.chapter})\n    {known.alt}")
        return
    if name is None:
        raise ValueError("say which figure: `astraclr figure --list` names them all")
    size, found = presets.preset(preset), gallery.find(name, book)
    file = out or Path(f"{found.name}.png")
    term.check_output(file, [".png"])
    term.need_extra("book", "papermill", "ipykernel", "myst_nb")
    term.say(f"running {found.chapter} up to {found.name}, at preset {size.name}, seed {seed}")
    about = gallery.redraw(found.name, file, size.name, seed, book)
    typer.echo(f"{found.name}: {file}; made from {len(about['inputs'])} files, named in {file.with_suffix('.json')}")


if __name__ == "__main__":
    main()
