"""Classification heads: torch modules from embeddings of windows to class scores, new or made from a linear probe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astraclr.evaluate.probes import raw_coefficients

Pooling = Literal["mean", "concat", "attention"]
"""How a head joins the windows of a light curve."""


class WindowAttention(nn.Module):
    """Weighted mean of windows, with weights learnt from the windows; it begins as the plain mean.

    As Bahdanau et al. 2015 (arXiv 1409.0473) score words, without their hidden layer.

    Examples
    --------
    >>> WindowAttention(4)(torch.ones(3, 5, 4)).shape
    torch.Size([5, 4])
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.score = nn.Linear(d, 1, bias=False)  # a bias would cancel in the softmax
        nn.init.zeros_(self.score.weight)

    def forward(self, windows: Tensor) -> Tensor:
        """(n_windows, batch, d) to (batch, d)."""
        return (self.score(windows).softmax(0) * windows).sum(0)


class Standardised(nn.Module):
    """Standardise vectors with the mean and standard deviation of (n, d) vectors `x`, which are not trained.

    Drop-out after this layer replaces a number by its mean, and so removes nothing that is constant.

    Examples
    --------
    >>> Standardised(np.array([[1.0], [3.0]]))(torch.tensor([[3.0], [5.0]])).tolist()
    [[1.0], [3.0]]
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, x: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(x.mean(0)))
        self.register_buffer("spread", torch.as_tensor(x.std(0)).clamp(min=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, d), of the shape of `x`."""
        return (x - self.mean) / self.spread


def new_head(d: int, windows: int, pooling: Pooling, n_classes: int, dropout: float) -> nn.Sequential:
    """Make a linear head with random weights for embeddings of several windows.

    Parameters
    ----------
    d, windows : dimensions of an embedding, and number of windows
    pooling : how the head joins them; only "attention" is done by the head itself, the others by `fuse`
    dropout : share of inputs that are set to zero in training

    Raises
    ------
    ValueError
        If `pooling` is unknown.

    Examples
    --------
    >>> new_head(8, windows=3, pooling="concat", n_classes=5, dropout=0.2)(torch.zeros(2, 24)).shape
    torch.Size([2, 5])
    """
    if pooling not in get_args(Pooling):
        raise ValueError(f"no pooling {pooling!r}; choose from {', '.join(get_args(Pooling))}")
    first = [WindowAttention(d)] if pooling == "attention" else []
    width = d * windows if pooling == "concat" else d
    return nn.Sequential(*first, nn.Dropout(dropout), nn.Linear(width, n_classes))


def probe_head(model: Any, x: np.ndarray, dropout: float) -> nn.Sequential:
    """Make a head that gives the class scores of a fitted linear probe, with drop-out for training.

    Parameters
    ----------
    model : `fit_logistic` of (n, d) vectors
    x : (n, c d) vectors that the head gets: concatenations of c windows whose mean `model` was fitted on; c may be 1
    dropout : share of inputs that are set to zero in training

    Examples
    --------
    >>> from astraclr.evaluate.probes import fit_logistic
    >>> x, y = np.array([[0.0], [1.0], [5.0], [6.0], [9.0]], np.float32), np.array(["CV", "CV", "RR", "RR", "S"])
    >>> model = fit_logistic(x, y)
    >>> scores = probe_head(model, x, dropout=0.2).eval()(torch.as_tensor(x)).detach().numpy()
    >>> bool(np.allclose(scores, model.decision_function(x), atol=1e-3))
    True
    """
    weight, bias = (torch.as_tensor(array) for array in raw_coefficients(model))
    copies = x.shape[1] // weight.shape[1]
    weight = weight.repeat(1, copies) / copies  # a probe of the mean is one of the concatenation
    first, last = Standardised(x), nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        last.bias.copy_(bias + weight @ first.mean.to(weight))
        last.weight.copy_(weight * first.spread)
    return nn.Sequential(first, nn.Dropout(dropout), last)


def fit_converged(
    scores: Callable[[], Tensor], target: Tensor, trained: list[nn.Parameter], C: float, max_iter: int
) -> None:
    """Fit a logistic regression that scikit-learn lacks (soft labels, trained pooling) with L-BFGS until it converges.

    The loss is that of `fit_logistic`: cross entropy summed over the stars, and squared weights over 2 C. Biases, which
    have one dimension, are not penalised. All weights begin at zero.

    Parameters
    ----------
    scores : gives the (n, n_classes) class scores of the training stars
    target : (n,) class numbers, or (n, n_classes) probabilities
    trained : parameters that `scores` depends on; changed in place
    C : inverse regularisation
    max_iter : largest number of iterations

    Examples
    --------
    >>> line, x = nn.Linear(1, 2), torch.tensor([[0.0], [1.0], [5.0], [6.0]])
    >>> fit_converged(lambda: line(x), torch.tensor([0, 0, 1, 1]), list(line.parameters()), C=10.0, max_iter=100)
    >>> line(x).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    for weights in trained:
        nn.init.zeros_(weights)
    optimiser = torch.optim.LBFGS(trained, max_iter=max_iter, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        penalty = sum((w.square().sum() for w in trained if w.ndim > 1), torch.zeros(()))
        value = F.cross_entropy(scores(), target, reduction="sum") + penalty / (2 * C)
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType] - it takes a tensor for a number
