"""How the text of a file is encoded."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import BinaryIO

BLOCK = 2**24
"""Bytes read at once; a row must fit."""


def encoding_of(head: bytes) -> str | None:
    """utf-8, utf-16, utf-32, cp1252 or latin-1, judged by the first bytes; None if they are no text."""
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[0:2000:2].count(0), head[1:2000:2].count(0)
    if even + odd:
        for zeros, rest, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
            if zeros > 0.8 * len(head[:2000]) / 2 and rest < 0.1 * zeros:
                return name
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        if re.search(rb"[\x00-\x08\x0e-\x1f]", head):
            return None
        return "cp1252" if re.search(rb"[\x80\x82-\x8c\x8e\x91-\x9c\x9e\x9f]", head) else "latin-1"
    return "utf-8"


def is_utf8(stream: Callable[[], BinaryIO]) -> bool:
    """Whether all of a file is UTF-8; its first bytes were. Arrow would print an error for each row that is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with stream() as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True
