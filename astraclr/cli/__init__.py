"""The command line: simulate, inspect, train, embed, predict, compare, explore, export, and redraw figures.

Each command checks its input, then calls a few functions of `astraclr` and writes a file. Heavy imports stay inside the
commands, so that ``astraclr --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

from astraclr import __version__

try:
    import typer
except ModuleNotFoundError:  # the console script imports this module: only here the error can become one line
    raise SystemExit("the command line needs the package typer: pip install 'astraclr[cli]'") from None

from astraclr.cli import terminal as term
from astraclr.cli.analysis_commands import explore, predict, probe
from astraclr.cli.data_commands import fetch, info, shards, simulate
from astraclr.cli.discover_command import discover
from astraclr.cli.encoder_commands import embed, export, pretrain
from astraclr.cli.figure_command import figure
from astraclr.cli.finetune_command import finetune
from astraclr.cli.publish_command import publish
from astraclr.cli.report_command import report as _report  # the name is taken by the module of texts
from astraclr.cli.similar_command import similar

__all__ = [
    "discover",
    "embed",
    "explore",
    "export",
    "fetch",
    "figure",
    "finetune",
    "info",
    "main",
    "predict",
    "pretrain",
    "probe",
    "publish",
    "shards",
    "similar",
    "simulate",
]

app = typer.Typer(
    cls=term.Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; the console script ``astraclr`` calls this."""
    app(prog_name="astraclr")


def _version(wanted: bool) -> None:
    """Print the version and stop, if it is asked for."""
    if wanted:
        typer.echo(f"astraclr {__version__}")
        raise typer.Exit


def _astraclr(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            help="On an error print where in the code it arose. Write it before the command, and send the "
            "output along when you report a bug.",
        ),
    ] = False,
) -> None:
    """Turn light curves into embeddings, classes and scores.

    Example, in four commands:
      astraclr simulate --n 1200 --seed 7 --out stars.parquet
      astraclr info stars.parquet
      astraclr embed stars.parquet --checkpoint tiny --out embeddings.parquet
      astraclr probe embeddings.parquet
    """


app.callback(help=term.help_text(_astraclr))(_astraclr)
for _command in (
    simulate,
    info,
    pretrain,
    shards,
    embed,
    probe,
    predict,
    finetune,
    similar,
    explore,
    discover,
    _report,
    export,
    publish,
    fetch,
    figure,
):
    app.command(help=term.help_text(_command))(_command)
