"""The house from a terminal: each command is a few steps of `astraclr`, with bad input refused before any work starts.

Heavy imports are inside the commands, so that ``astraclr --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

from astraclr import __version__

try:
    import typer
except ModuleNotFoundError:  # in one line: the console script imports this module, and nothing could catch an error
    raise SystemExit("the command line needs the package typer: pip install 'astraclr[cli]'") from None

from astraclr.cli import terminal as term
from astraclr.cli.analysis_commands import explore, predict, probe
from astraclr.cli.data_commands import fetch, info, shards, simulate
from astraclr.cli.encoder_commands import embed, export, pretrain
from astraclr.cli.figure_command import figure

__all__ = [
    "simulate",
    "info",
    "pretrain",
    "shards",
    "embed",
    "probe",
    "predict",
    "explore",
    "export",
    "fetch",
    "figure",
    "main",
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
    """Entry point of the console script."""
    app(prog_name="astraclr")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"astraclr {__version__}")
        raise typer.Exit


@app.callback()
def _astraclr(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            help="On an error show where it arose; write it before "
            "the command, and send it along when you report a bug.",
        ),
    ] = False,
) -> None:
    """Light curves in; embeddings, classes and metrics out.

    \b
    A first round, in four commands:
      astraclr simulate --n 1200 --seed 7 --out stars.parquet
      astraclr info stars.parquet
      astraclr embed stars.parquet --checkpoint tiny --out embeddings.parquet
      astraclr probe embeddings.parquet
    """


for _command in (simulate, info, pretrain, shards, embed, probe, predict, explore, export, fetch, figure):
    app.command()(_command)
