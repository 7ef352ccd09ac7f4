"""The command `publish`: a checkpoint as a folder for a model hub; the hub's own client uploads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astraclr.cli import inputs
from astraclr.cli import terminal as term
from astraclr.cli._options import CheckpointArgument, Licence


def publish(
    checkpoint: CheckpointArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", show_default=False, help="New folder to write.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write and check the folder; without this option the command refuses.")
    ] = False,
    licence: Licence = None,
) -> None:
    """Write a checkpoint as a folder for a model hub.

    The folder holds a card with a YAML header, weights (safetensors), an ONNX file with the encoder's own inputs,
    config, heads, scores and the licence. The card is checked with the parser of huggingface_hub; nothing is uploaded.

    Example: astraclr publish runs/tuned --out hub_folder --licence CC-BY-4.0 --dry-run
    """
    if not dry_run:
        raise ValueError(
            "astraclr uploads nothing: add --dry-run to write and check the folder, read its README.md, then upload it "
            f"with the hub's own client: hf upload OWNER/NAME {out}"
        )
    term.check_folder(out)
    term.need_extra("data", "huggingface_hub")
    term.need_extra("interop", "onnx", "onnxscript", "onnxruntime")
    encoder, folder = inputs.find_checkpoint(checkpoint)
    term.check_apart(out, folder)
    known = inputs.licence_of(folder, licence)
    from astraclr.interop.model_folder import need_ready, write_model_folder

    need_ready(out, known)
    term.say(f"writing {encoder.name} and its ONNX file")
    names = write_model_folder(encoder, folder, out, known)
    term.tell(f"{len(names)} files, the card read by huggingface_hub's parser: {out}")
    for name in names:
        term.tell(f"  {name}, {(out / name).stat().st_size / 1e6:.2f} MB")
    term.tell(f"upload it with: hf upload OWNER/NAME {out}")
