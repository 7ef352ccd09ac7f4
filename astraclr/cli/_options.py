"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path,
    typer.Argument(
        help="Light curves: a parquet or CSV file (one row for each observation, one row for each star, IRSA or "
        "Zubercal), or a folder of such files.",
        show_default=False,
    ),
]
Parquet = Annotated[Path, typer.Option(help="Parquet file to write, with one row for each star.", show_default=False)]
Band = Annotated[
    list[str] | None,
    typer.Option(
        "--band",
        metavar="NAME=ANGSTROM",
        show_default=False,
        help="A band of the file and its effective wavelength; repeat it for each band. Replaces ZTF's g, r, i. "
        "`--band rubin` gives the bands of the Rubin Observatory.",
    ),
]
DropUnknown = Annotated[
    bool, typer.Option("--drop-unknown-bands", help="Drop observations in other bands instead of stopping.")
]
DropRepeated = Annotated[
    bool, typer.Option("--drop-repeated", help="Where times repeat within a band, keep one observation.")
]
Seed = Annotated[
    int, typer.Option(min=0, help="Seed of the random numbers; the same seed gives the same result on a machine.")
]
Threads = Annotated[
    int,
    typer.Option(
        min=1,
        help="CPU threads; a small model is rarely faster with more than one. Threads that wait sleep, so that other "
        "programs get the core, unless you set OMP_WAIT_POLICY yourself.",
    ),
]
CheckpointName = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="DIR",
        help="Folder that `astraclr pretrain` or `finetune` wrote, or a shipped encoder: laptop or tiny.",
    ),
]
CheckpointArgument = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        show_default=False,
        help="Folder that `astraclr pretrain` or `finetune` wrote, or a shipped encoder: laptop or tiny.",
    ),
]
Label = Annotated[str, typer.Option(metavar="COLUMN", help="Column of the light curves that holds their labels.")]
Preset = Annotated[str, typer.Option(help="Size of the run: tiny, laptop, gpu or paper.")]
Licence = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default=False,
        help="Licence of the weights, as an SPDX name such as CC-BY-4.0; shipped encoders are MIT.",
    ),
]
PrecisionName = Annotated[
    str,
    typer.Option(
        "--precision",
        help="Of matrix products: float32 or bfloat16, which is faster where the processor or GPU multiplies it in "
        "hardware and refused elsewhere; auto takes it on a GPU.",
    ),
]
