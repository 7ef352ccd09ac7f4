"""Embedding of light curves: crops are encoded and fused into one vector; many vectors become a table."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS, crop_tokens, spread_crops, window_lengths
from astraclr.model.device import Precision, matrix_products, own_device, uses_bfloat16
from astraclr.model.encoder import Encoder

Fusion = Literal["mean", "concat"]

_CACHED = 6_000_000
"""Numbers of the widest layer that a CPU computes at once: 24 MB, which stay in its cache."""


def fuse(crops: Tensor, fusion: Fusion = "mean") -> Tensor:
    """Fuse the embeddings of crops into one, by their mean or by concatenation (late fusion).

    Parameters
    ----------
    crops : (n_crops, batch, d)
    fusion : "mean" or "concat"

    Returns
    -------
    (batch, d), or (batch, n_crops * d) for "concat"

    Raises
    ------
    ValueError
        For another `fusion`.

    Examples
    --------
    >>> fuse(torch.ones(3, 2, 64)).shape, fuse(torch.ones(3, 2, 64), "concat").shape
    (torch.Size([2, 64]), torch.Size([2, 192]))
    """
    if fusion not in ("mean", "concat"):
        raise ValueError(f"no fusion {fusion!r}; choose mean or concat")
    return crops.mean(0) if fusion == "mean" else torch.cat(list(crops), dim=-1)


@torch.inference_mode()
def embed(
    lc: LightCurves,
    checkpoint: Checkpoint,
    *,
    fusion: Fusion = "mean",
    windows: int = len(CROPS),
    batch_size: int | None = None,
    device: str | None = None,
    progress: bool = False,
    precision: Precision = "float32",
) -> np.ndarray:
    """Embed light curves: each becomes one vector.

    The checkpoint's encoder stays on its device and in its mode.

    Parameters
    ----------
    lc : any number of stars; a band that the checkpoint's preset does not name gets the window of the nearest one
    checkpoint : from `load_checkpoint` or `pretrain`
    fusion : "mean" of the crops' embeddings (the paper's probe), or "concat", which joins them (its fine-tuning head)
    windows : number of crops, spread evenly along the light curve; the paper's three are start, middle and end
    batch_size : stars at once; by default 1024 on a GPU, and on a CPU 64 or, for large encoders, what fits its cache
    device : "cpu" or "cuda"; the fastest there is by default
    progress : show a progress bar
    precision : of matrix products: "float32", or "bfloat16", faster on a device that multiplies it in hardware, with
        embeddings that differ by a few per cent of their spread

    Returns
    -------
    (n_stars, d_embedding) float32, or (n_stars, windows * d_embedding) for "concat", in the order of `lc`

    Raises
    ------
    ValueError
        For fewer than one window, another `fusion`, a star without observations, an embedding that is not finite, or
        bfloat16 where it would be emulated.

    Examples
    --------
    >>> from astraclr import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> embed(simulate(12, seed=0), load_checkpoint("tiny"), device="cpu").shape
    (12, 64)
    """
    crops = spread_crops(windows)
    device = device or own_device()
    mixed = uses_bfloat16(precision, device)
    data = prepare(lc, device)
    longest = np.array(window_lengths(lc.bands, checkpoint.preset))
    if batch_size is None:
        batch_size = stars_at_once(checkpoint.encoder, int(longest.sum())) if device == "cpu" else 1024
    # Where no band exceeds its window all crops are equal. Such stars come first, and all are sorted by length, so that
    # the stars of a batch need little padding.
    several = np.any(lc.counts > longest, axis=1)
    order = np.lexsort((np.minimum(lc.counts, longest).sum(1), several))
    width = checkpoint.encoder.config.d_embedding * (1 if fusion == "mean" else windows)
    out = np.empty((len(lc), width), np.float32)
    bar = tqdm(total=len(lc), desc="embedding", unit="star", disable=not progress)
    with bar, evaluating(checkpoint.encoder, device) as encoder, matrix_products(device, mixed):
        for first in range(0, len(lc), batch_size):
            rows = order[first : first + batch_size]
            stars = torch.as_tensor(rows, device=device)
            distinct = crops if several[rows].any() else crops[:1]
            parts = [encoder(crop_tokens(data, stars, checkpoint.preset, c, checkpoint.recipe)) for c in distinct]
            out[rows] = fuse(torch.stack(parts).float().expand(windows, -1, -1), fusion).cpu().numpy()
            bar.update(len(rows))
    if (odd := np.flatnonzero(~np.isfinite(out).all(axis=1))).size:
        named = ", ".join(str(name)[:50] for name in lc.object_id[odd[:3]])
        raise ValueError(
            f"{odd.size:,} of {len(lc):,} embeddings are not finite (stars {named}): the weights of {checkpoint.name} "
            "are too large for them; take another checkpoint, or leave these stars out"
        )
    return out


@contextmanager
def evaluating(encoder: Encoder, device: torch.device | str) -> Iterator[Encoder]:
    """Give the encoder in evaluation mode on `device`, a copy if it is on another; its mode is restored afterwards."""
    there = torch.empty(0, device=device).device  # "cuda" is "cuda:0", or whichever is current
    used = encoder if next(encoder.parameters()).device == there else copy.deepcopy(encoder).to(there)
    modes = [(part, part.training) for part in used.modules()]
    used.eval()
    try:
        yield used
    finally:
        for part, training in modes:
            part.training = training


def stars_at_once(encoder: Encoder, length: int) -> int:
    """Number of light curves of at most `length` tokens that a CPU embeds fastest at once.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.model.encoder import new_encoder
    >>> stars_at_once(new_encoder(preset("tiny"), recipe("corrected"), 0), length=96)
    64
    """
    return max(1, min(64, _CACHED // (length * encoder.config.d_ff)))


def embedding_table(lc: LightCurves, checkpoint: Checkpoint, *, windows: int = len(CROPS), **how: Any) -> pd.DataFrame:
    """Embeddings as a table, one row a star, with what they were made from.

    Parameters
    ----------
    lc, checkpoint, windows : as for `embed`
    how : further options of `embed`

    Returns
    -------
    DataFrame
        Columns object_id, label, ``n_<band>`` (observations used by at least one crop), missing_bands, checkpoint
        (SHA-256 of the weights), preset, recipe, embedding (array of d_embedding float32).

    Examples
    --------
    >>> from astraclr import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> table = embedding_table(simulate(12, seed=0), load_checkpoint("tiny"), device="cpu")
    >>> len(table), list(table)[:3], len(table["embedding"][0])
    (12, ['object_id', 'label', 'n_g'], 64)
    """
    vectors = embed(lc, checkpoint, windows=windows, **how)
    longest = np.array(window_lengths(lc.bands, checkpoint.preset))
    used = np.minimum(lc.counts, windows * longest)
    names = np.array(list(lc.bands))
    table = pd.DataFrame({"object_id": lc.object_id, "label": lc.label})
    for k, band in enumerate(lc.bands):
        table[f"n_{band}"] = used[:, k].astype(np.int32)
    table["missing_bands"] = [" ".join(names[row == 0]) for row in lc.counts]
    table["checkpoint"] = checkpoint.sha256
    table["preset"], table["recipe"] = checkpoint.preset.name, checkpoint.recipe.name
    table["embedding"] = list(vectors)
    return table
