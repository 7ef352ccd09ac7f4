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
    "LightCurves": "data.lightcurves",
    "read": "catalogs",
    "load_checkpoint": "model.checkpoint",
    "load_published": "interop.keras_weights",
    "embed": "model.embedding",
    "embedding_table": "model.embedding",
    "pretrain": "train.pretrain",
    "linear_probe": "evaluate.probes",
    "weighted_knn": "evaluate.probes",
    "prediction_table": "analysis.classifier",
}
__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that `import astraclr` costs nothing.
    if name not in _HOME:
        raise AttributeError(f"module 'astraclr' has no attribute {name!r}")
    return getattr(import_module(f"astraclr.{_HOME[name]}"), name)
