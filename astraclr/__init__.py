"""Astra-CLR, the book: contrastive embeddings of irregular, multi-band light curves (arXiv 2606.31627).

>>> import astraclr
>>> stars = astraclr.read("my_light_curves.parquet")  # doctest: +SKIP
>>> table = astraclr.embedding_table(stars, astraclr.load_checkpoint("laptop"))  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "LightCurves": "lightcurves",
    "read": "catalogs",
    "load_checkpoint": "checkpoints",
    "load_published": "published",
    "embed": "embedding",
    "embedding_table": "embedding",
    "pretrain": "pretraining",
    "linear_probe": "probing",
    "weighted_knn": "probing",
    "prediction_table": "prediction",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that `import astraclr` costs nothing.
    if name not in _HOME:
        raise AttributeError(f"module 'astraclr' has no attribute {name!r}")
    return getattr(import_module(f"astraclr.{_HOME[name]}"), name)
