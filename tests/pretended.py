"""A second device without a GPU: tensors on the CPU that say they are elsewhere, and refuse to meet those here.

`elsewhere` pretends that device "meta" computes. A tensor that was made on it, moved to it, or computed from such a
tensor is told by its storage. What CUDA refuses is refused: operands on two devices (but for single numbers, copies,
and indices on the CPU), NumPy arrays of what is elsewhere, and random generators of the other device.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

THERE = torch.device("meta")
_COPIES = ("aten.copy_", "aten._to_copy", "aten._local_scalar_dense", "aten._has_compatible_shallow_copy_type")
_INDEXED = ("aten.index.", "aten.index_put", "aten._unsafe_index")


class _Marks:
    """Storages that are elsewhere; a weak reference keeps their numbers from being given out again."""

    def __init__(self) -> None:
        self.known: dict[int, StorageWeakRef] = {}
        self.generators: set[int] = set()
        self.at_work = False

    def there(self, tensor: torch.Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self.known

    def put(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        self.known.setdefault(storage._cdata, StorageWeakRef(storage))

    def taken_back(self, tensor: torch.Tensor) -> torch.Tensor:
        """The same tensor, which is here from now on."""
        del self.known[tensor.untyped_storage()._cdata]
        return tensor


def _tensors(values: Any) -> list[torch.Tensor]:
    return [value for value in tree_flatten(values)[0] if isinstance(value, torch.Tensor)]


class _Operations(TorchDispatchMode):
    """What is computed, gradients and optimiser steps too."""

    def __init__(self, marks: _Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name, asked = dict(kwargs or {}), str(func), (kwargs or {}).get("device")
        given = _tensors((args, kwargs))
        there = [self.marks.there(tensor) for tensor in given]
        operands = given[:1] if name.startswith(_INDEXED) else given
        met = {self.marks.there(tensor) for tensor in operands if tensor.ndim}
        if name.startswith(_INDEXED) and len(given) > 1 and not there[0] and any(there):
            met = {True, False}
        if len(met) > 1 and not name.startswith(_COPIES):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device")
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        out = func(*args, **kwargs)
        # Moves to the CPU, where all is in truth, are made by `_Calls`; what a call makes on the way is where it works.
        goes = asked == THERE or any(there) or (self.marks.at_work and not given)
        if there[0] if name.startswith("aten.copy_") else goes:
            for tensor in _tensors(out):
                self.marks.put(tensor)
        return out


class _Calls(TorchFunctionMode):
    """What a tensor says of itself, and ways out of torch."""

    def __init__(self, marks: _Marks) -> None:
        super().__init__()
        self.marks = marks

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == torch.Tensor.device.__get__:
            return THERE if self.marks.there(args[0]) else func(*args, **kwargs)
        if func in (torch.Tensor.numpy, torch.Tensor.__array__) and self.marks.there(args[0]):
            raise TypeError("can't convert a tensor of another device to numpy: use Tensor.cpu()")
        if (generator := kwargs.get("generator")) is not None:
            place = torch.device(kwargs.get("device") or "cpu")
            if (id(generator) in self.marks.generators) != (place == THERE):
                raise RuntimeError(f"expected a generator of {place}")
        moves = func in (torch.Tensor.to, torch.Tensor.cpu) and self.marks.there(args[0])
        if moves and self._to_cpu(*args[1:], **kwargs):
            return self.marks.taken_back(args[0].clone()).to(*args[1:], **kwargs)
        if func in (torch.tensor, torch.as_tensor) and torch.device(kwargs.get("device") or "cpu") == THERE:
            # From other data than tensors these make their result out of sight.
            return func(*args, **kwargs | {"device": None}).to(THERE)
        before = self.marks.at_work
        self.marks.at_work = any(self.marks.there(tensor) for tensor in _tensors((args, kwargs)))
        try:
            return func(*args, **kwargs)
        finally:
            self.marks.at_work = before

    def _to_cpu(self, *args: Any, **kwargs: Any) -> bool:
        """Whether arguments of `Tensor.to`, or none of `Tensor.cpu`, ask for the CPU."""
        if not args and not kwargs:
            return True
        asked = args[0] if args else kwargs.get("other", kwargs.get("device"))
        if isinstance(asked, torch.Tensor):
            return not self.marks.there(asked)
        return isinstance(asked, (str, torch.device)) and torch.device(asked).type == "cpu"


@contextmanager
def elsewhere(monkeypatch: Any) -> Iterator[torch.device]:
    """Within, the device that it gives is one of its own."""
    marks, made, kept = _Marks(), torch.Generator, []

    def generator(device: Any = "cpu") -> torch.Generator:
        new = made()
        kept.append(new)
        if torch.device(device) == THERE:
            marks.generators.add(id(new))
        return new

    with monkeypatch.context() as patch, _Operations(marks), _Calls(marks):
        patch.setattr(torch, "Generator", generator)
        patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it computes in full precision
        yield THERE
