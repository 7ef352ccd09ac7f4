"""Several processes train one encoder, each on its share of every batch, as ``torchrun`` starts them.

Every rank holds the same weights, and takes the same step after gradients were summed over the ranks. That is written
out here instead of using ``DistributedDataParallel``, because gradients must be clipped for each replica before they
are summed (`astraclr.train.step.update`); sending the gradient of an encoder of this size takes a small part of a step.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor

from astraclr.config import Preset, Recipe


@dataclass(frozen=True)
class Ranks:
    """Which of the processes that train together this one is; the default is a single process.

    Examples
    --------
    >>> Ranks(rank=1, size=4).share(128)
    slice(32, 64, None)
    """

    rank: int = 0
    size: int = 1

    def share(self, n: int) -> slice:
        """Rows of this rank, out of n that all ranks share equally."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def gathered(self, z: Tensor) -> Tensor:
        """Vectors of the whole batch, (views, batch, d), from each rank's (views, share, d), in the order of the stars.

        Each rank then computes the loss of the whole batch, but its gradient only through its own share. Summed over
        the ranks, the gradients of the weights are those of one process with the whole batch.
        """
        if self.size == 1:
            return z
        parts = [torch.empty_like(z) for _ in range(self.size)]
        dist.all_gather(parts, z.detach().contiguous())
        parts[self.rank] = z  # the others' are detached from the autograd graph
        return torch.cat(parts, dim=1)

    def sum_(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their sum over the ranks, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([t.ravel() for t in tensors])
        dist.all_reduce(flat)
        for t, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            t.copy_(total.view_as(t))

    def largest(self, value: int, device: torch.device | str = "cpu") -> int:
        """Largest value of all ranks; every rank waits here for the others."""
        if self.size == 1:
            return value
        all_values = torch.tensor(value, device=device)
        dist.all_reduce(all_values, dist.ReduceOp.MAX)
        return int(all_values)

    def check_agreement(self, what: str, device: torch.device | str = "cpu") -> None:
        """Refuse to begin where ranks were given different settings, as `what` describes them.

        Raises
        ------
        ValueError
            On every rank, if any two differ.
        """
        number = zlib.crc32(what.encode())
        if self.largest(number, device) != -self.largest(-number, device):
            raise ValueError(
                "the ranks were started with different settings or stars, or do not see the same run "
                "folder: give all the same command, and a folder that all of them share"
            )


ALONE = Ranks()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the ranks that ``torchrun`` started, for the length of the block (NCCL on CUDA, gloo on CPU).

    Yields
    ------
    Ranks
        `ALONE` where ``torchrun`` started nothing.
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
    elif all(name in os.environ for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")):
        cuda = torch.device(device).type == "cuda"
        if cuda:
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if cuda else "gloo")
        try:
            yield Ranks(dist.get_rank(), dist.get_world_size())
        finally:
            dist.destroy_process_group()
    else:
        yield ALONE


def first_rank() -> bool:
    """Whether this process writes files and messages: the only one, or the first that ``torchrun`` started."""
    return int(os.environ.get("RANK", 0)) == 0


def shared(preset: Preset, recipe: Recipe, batch: int, ranks: Ranks) -> Preset:
    """Return the preset as `ranks` run it: where negatives stay in a replica, a rank holds at least one replica.

    Parameters
    ----------
    batch : stars in a step

    Raises
    ------
    ValueError
        If a batch, or its replicas, cannot be shared equally.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> shared(preset("tiny"), recipe("paper"), 128, Ranks(0, 2)).replicas
    2
    """
    if recipe.negatives == "replica" and preset.replicas == 1:
        preset = replace(preset, replicas=ranks.size)
    replicas = preset.replicas if recipe.negatives == "replica" else ranks.size
    if ranks.size == 1 and recipe.negatives == "replica" and (batch % replicas or batch < 2 * replicas):
        raise ValueError(
            f"a batch of {batch} stars does not make {replicas} equal replicas of two stars or more; "
            "choose another batch_size, more stars, or a recipe with negatives='gathered'"
        )
    if replicas % ranks.size or batch % replicas:
        raise ValueError(
            f"{ranks.size} ranks cannot share a batch of {batch} stars in {replicas} replicas equally; "
            f"start another number of ranks, or change the preset's batch_size or replicas"
        )
    return preset
