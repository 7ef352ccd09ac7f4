"""The contrastive loss of several views (NT-Xent), its limits, and measures that tell collapse from learning."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent_pairs(z: Tensor, temperature: float = 0.1) -> Tensor:
    """NT-Xent loss of every ordered pair of views of one star.

    ``l(a, p) = -log( exp(s_ap / T) / sum_{k != a} exp(s_ak / T) )`` with cosine similarities s: the sum is over all
    V B - 1 other vectors, other positives included (Chen et al. 2020, arXiv 2002.05709, equation 1, for V views).

    Parameters
    ----------
    z : (views, batch, d) projections, not normalised
    temperature : T

    Returns
    -------
    (views, views - 1, batch) loss of pair (anchor view, other view, star)

    Raises
    ------
    ValueError
        If `z` has not three axes, or fewer than two views.

    Examples
    --------
    >>> nt_xent_pairs(torch.eye(6).view(3, 2, 6)).shape
    torch.Size([3, 2, 2])
    """
    if z.ndim != 3 or z.shape[0] < 2:
        raise ValueError(f"z has shape {tuple(z.shape)}; expected (views >= 2, batch, d)")
    n_views, batch, _ = z.shape
    flat = F.normalize(z.float(), dim=-1).flatten(0, 1)
    logits = (flat @ flat.T / temperature).fill_diagonal_(-torch.inf)
    log_p = logits.log_softmax(-1).view(n_views, batch, n_views, batch)
    same_star = log_p.diagonal(dim1=1, dim2=3)  # (anchor view, other view, star)
    others = ~torch.eye(n_views, dtype=torch.bool, device=z.device)
    return -same_star[others].view(n_views, n_views - 1, batch)


def nt_xent(z: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean of `nt_xent_pairs`, a scalar.

    Examples
    --------
    >>> round(nt_xent(torch.ones(3, 4, 5)).item(), 4), round(chance_level(3, 4), 4)
    (2.3979, 2.3979)
    """
    return nt_xent_pairs(z, temperature).mean()


def chance_level(n_views: int, batch: int) -> float:
    """NT-Xent when all vectors are equal, ``ln(V B - 1)``; a loss that stays there means collapse.

    Examples
    --------
    >>> round(chance_level(n_views=3, batch=128), 2)
    5.95
    """
    return math.log(n_views * batch - 1)


def floor_level(n_views: int) -> float:
    """Lowest NT-Xent possible, ``ln(V - 1)``, since the other positives stay in the denominator.

    Examples
    --------
    >>> round(floor_level(3), 2)
    0.69
    """
    return math.log(n_views - 1)


def local_to_global(views: Tensor, stars: Tensor) -> Tensor:
    """NT-Xent between every view and the description of its star, both ways; a scalar.

    For each view, ``-log( exp(s_ii / T) / sum_j exp(s_ij / T) )`` over the descriptions j of the batch, and for each
    description the same over the views of one kind; s are cosine similarities. The mean of both, over all views. Its
    chance level is ``ln B``.

    Parameters
    ----------
    views : (views, batch, d), of any length
    stars : (batch, d), of length 1/T
    """
    logits = F.normalize(views.float(), dim=-1) @ stars.T
    found, sought = (logits.log_softmax(dim).diagonal(dim1=1, dim2=2) for dim in (2, 1))
    return -(found + sought).mean() / 2


def alignment(z: Tensor) -> Tensor:
    """Mean squared distance between the unit vectors of one star; 0 is best (Wang & Isola 2020, arXiv 2005.10242).

    Parameters
    ----------
    z : (views, batch, d), not normalised

    Examples
    --------
    >>> alignment(torch.ones(2, 3, 4)).item()
    0.0
    """
    unit = F.normalize(z.float(), dim=-1)
    n_views = len(unit)
    pairs = [(unit[a] - unit[b]).square().sum(-1) for a in range(n_views) for b in range(a + 1, n_views)]
    return torch.stack(pairs).mean()


def uniformity(x: Tensor) -> Tensor:
    """``log mean exp(-2 |x_i - x_j|^2)`` over pairs of unit vectors; lower is more spread (arXiv 2005.10242).

    Parameters
    ----------
    x : (n, d), not normalised

    Examples
    --------
    >>> round(uniformity(torch.eye(3)).item(), 4)
    -4.0
    """
    unit = F.normalize(x.float(), dim=-1)
    return torch.pdist(unit).square().mul(-2).exp().mean().log()


def effective_rank(x: Tensor) -> Tensor:
    """Effective number of dimensions: exponential of the entropy of the normalised singular values.

    It does not depend on scale: vectors that have shrunk towards a point keep their rank (Roy & Vetterli 2007).

    Parameters
    ----------
    x : (n, d); it is centred here

    Returns
    -------
    Tensor
        From 1 (also where all vectors are equal) to the smaller of n and d; NaN where a number is not finite.

    Examples
    --------
    >>> line = torch.arange(4.0)[:, None] * torch.tensor([1.0, 2.0, 3.0])
    >>> round(effective_rank(line).item(), 3)
    1.0
    """
    if not x.isfinite().all():  # no singular values exist
        return x.new_full((), torch.nan, dtype=torch.float32)
    s = torch.linalg.svdvals(x.float() - x.float().mean(0))
    if s.sum() == 0:  # all vectors equal
        return torch.ones_like(s.sum())
    p = s / s.sum()
    return torch.exp(-(p * torch.log(p.clamp(min=1e-12))).sum())
