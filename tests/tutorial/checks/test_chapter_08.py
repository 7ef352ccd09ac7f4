"""Graders of chapter 8: right answers pass, and each typical mistake gets the hint that belongs to it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from astraclr.config import preset, recipe
from astraclr.interop.onnx_inputs import model_inputs
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.train.losses import nt_xent
from astraclr.tutorial.checks import check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


def strict(z, temperature=0.1, own=True, unit=True):
    """The loss pair by pair, slowly."""
    flat = z.flatten(0, 1)
    flat = F.normalize(flat, dim=-1) if unit else flat
    losses = []
    for i in range(len(flat)):
        for j in range(len(flat)):
            if i != j and i % z.shape[1] == j % z.shape[1]:
                strangers = [k for k in range(len(flat)) if k % z.shape[1] != i % z.shape[1]]
                close = flat[i] @ flat[j] / temperature
                rivals = flat[strangers] @ flat[i] / temperature
                total = torch.cat([rivals, close[None]]) if own else rivals
                losses.append(total.logsumexp(0) - close)
    return torch.stack(losses).mean()


def test_denominator():
    lowest = {"kept": float(np.log(2)), "left out": 0.0}
    assert check("ex-ch8-denominator", strict, lowest)
    for wrong, hint in (
        (lambda z: nt_xent(z, 0.1), "still the loss of the reference"),
        (lambda z: strict(z, own=False), "fall below any floor"),
        (lambda z: strict(z, 1.0), "ignores the temperature"),
        (lambda z: strict(z, unit=False), "length 1"),
        (0.5, "function itself"),
        (lambda z: strict(z) + 1, "by hand"),
    ):
        assert hint in repr(check("ex-ch8-denominator", wrong, lowest))
    for answer, hint in (
        ({"kept": 0.0, "left out": np.log(2)}, "exchanged"),
        ({"kept": 0.5}, "lacks left out"),
        ({"kept": np.log(3), "left out": 0.0}, "Which terms remain"),
        ({"kept": np.log(3 * 128 - 1), "left out": 0.0}, "constant output"),
        ({"kept": np.log(2), "left out": 0.4}, "others left out"),
    ):
        said = repr(check("ex-ch8-denominator", strict, answer))
        assert hint in said and "0.69" not in said and "ln 2" not in said


def test_middle():
    few = simulate(24, seed=100)
    a, b = (model_inputs(few, ("middle",), middle=rule) for rule in ("band", "epoch"))
    differ = []
    for k in range(len(few)):
        one, other = (
            {
                (t, band)
                for t, band, gone in zip(
                    part.times[k, 0, :, 0], part.band_info[k, 0, :, 0], part.mask[k, 0], strict=True
                )
                if not gone
            }
            for part in (a, b)
        )
        differ.append(len(one - other))
    differ = np.array(differ)
    assert differ.any() and not differ.all()
    assert check("ex-ch8-middle", differ, few)
    spread = ((a.times != b.times) & (a.mask == 0)).sum((1, 2, 3))  # (n, 1, 700, 1) and (n, 1, 700)
    places = ((a.times != b.times)[..., 0] & (a.mask == 0)).sum((1, 2))
    for wrong, hint in (
        (spread, "unlike shape"),
        (differ > 0, "how many observations"),
        (0 * differ, "same rule"),
        (differ[:, None], "shape"),
        (2 * differ, "one side"),
        (places, "Those are places"),
        (differ + 1, "padding left out"),
    ):
        said = repr(check("ex-ch8-middle", wrong, few))
        assert hint in said and f" {differ.max()}" not in said


def test_refuse():
    size = preset("tiny")
    with_errors = replace(recipe("corrected"), name="with errors", error_input=True)
    first = Checkpoint(new_encoder(size, with_errors, 0).eval(), size, with_errors, 0)
    second = Checkpoint(new_encoder(size, recipe("corrected"), 0).eval(), size, recipe("corrected"), 0)
    whole = Checkpoint(new_encoder(size, recipe("corrected"), 0).eval(), size, recipe("corrected"), 0)
    second.encoder.get_parameter("layers.0.norm1.weight").data[0] = torch.nan
    from astraclr.interop.onnx_export import export_onnx

    messages = []
    for broken in (first, second):
        with pytest.raises(ValueError) as error:
            export_onnx(broken, "broken.onnx")
        messages.append(str(error.value))
    assert check("ex-ch8-refuse", first, second, messages, "first")
    for answer, hint in (
        ((second, second, messages, "first"), "set its switch"),
        ((first, whole, messages, "first"), "are finite"),
        ((first, second, messages[::-1], "first"), "exchanged"),
        ((first, second, ["no", messages[1]], "first"), "Message 1"),
        ((first, second, messages[:1], "first"), "Two messages"),
        ((first, second, messages, "both"), "should be"),
        ((first, second, messages, "second"), "does anything stop it"),
    ):
        assert hint in repr(check("ex-ch8-refuse", *answer))
