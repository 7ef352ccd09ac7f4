"""How figures look: a small grey copy of each, kept in the repository, tells which one changed since it was accepted.

A copy is `SIDE` x `SIDE` mean greys, written as hexadecimal digits. Figures of real stars and of measured times are
not kept; their cells say why (``astraclr.not_compared`` in the metadata).
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from astraclr.files import replacing
from astraclr.gallery import Figure

SIDE = 32
TOLERANCE = 6.0
ACCEPT = "python book/build.py --accept-figures"


def fingerprint(picture: bytes) -> str:
    """A picture (PNG) as `SIDE` x `SIDE` mean greys, two hexadecimal digits each, row by row."""
    with Image.open(io.BytesIO(picture)) as image:
        opaque = Image.new("RGB", image.size, "white")
        opaque.paste(image, mask=image.getchannel("A") if "A" in image.getbands() else None)
        grey = opaque.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return grey.tobytes().hex()
