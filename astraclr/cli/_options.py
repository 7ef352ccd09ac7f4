"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path,
    typer.Argument(
        help="Light curves: parquet or CSV (a tidy table, one row a star, IRSA, Zubercal), or a folder of such files.",
        show_default=False,
    ),
]
Parquet = Annotated[Path, typer.Option(help="Parquet file to write, one row a star.", show_default=False)]
Band = Annotated[
    list[str] | None,
    typer.Option(
        "--band",
        metavar="NAME=ANGSTROM",
        show_default=False,
        help="A band and its effective wavelength; repeat for each band of the file. Replaces ZTF's g, r, i.",
    ),
]
DropUnknown = Annotated[bool, typer.Option("--drop-unknown-bands", help="Drop and count other bands, do not stop.")]
DropRepeated = Annotated[bool, typer.Option("--drop-repeated", help="Keep one observation where times repeat.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed on the same machine gives the same result.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads; more than one seldom helps a small model.")]
CheckpointName = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        help="Folder that `astraclr pretrain` wrote, or the name of a shipped encoder: laptop, tiny.",
    ),
]
