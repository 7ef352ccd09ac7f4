"""Astra-CLR: contrastive embeddings of irregular, multi-band light curves (arXiv 2606.31627), and a book about them.

Examples
--------
>>> import astraclr
>>> stars = astraclr.read("my_light_curves.parquet")  # doctest: +SKIP
>>> table = astraclr.embedding_table(stars, astraclr.load_checkpoint("laptop"))  # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astraclr.analysis.predictions import prediction_table
    from astraclr.catalogs import read
    from astraclr.data.lightcurves import LightCurves
    from astraclr.evaluate.probes import linear_probe, weighted_knn
    from astraclr.interop.keras_weights import load_published
    from astraclr.model.checkpoint import load_checkpoint
    from astraclr.model.embedding import embed, embedding_table
    from astraclr.train.pretrain import pretrain

# Threads of PyTorch that wait for one another sleep instead of spinning, so that another program gets the core. OpenMP
# reads this when torch is loaded; what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

__all__ = [
    "LightCurves",
    "__version__",
    "embed",
    "embedding_table",
    "linear_probe",
    "load_checkpoint",
    "load_published",
    "prediction_table",
    "pretrain",
    "read",
    "weighted_knn",
]

_MODULE_OF = {
    "LightCurves": "data.lightcurves",
    "read": "catalogs",
    "load_checkpoint": "model.checkpoint",
    "load_published": "interop.keras_weights",
    "embed": "model.embedding",
    "embedding_table": "model.embedding",
    "pretrain": "train.pretrain",
    "linear_probe": "evaluate.probes",
    "weighted_knn": "evaluate.probes",
    "prediction_table": "analysis.predictions",
}


def __getattr__(name: str) -> Any:
    # Imported when first used, so that `import astraclr` takes no time.
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'astraclr' has no attribute {name!r}")
    return getattr(import_module(f"astraclr.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
