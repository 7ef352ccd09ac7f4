"""Input layers of the encoder: the numbers of an observation become one vector, the token's embedding.

Names in the mathematics are the names in the code; tensors are (..., length, d_model) unless stated otherwise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from astraclr.data.folding import N_CYCLE_INPUTS
from astraclr.data.tokens import Tokens

if TYPE_CHECKING:
    from astraclr.model.config import EncoderConfig

ERROR_RANGE = (1e-4, 10.0)
"""Smallest and largest error in magnitudes; errors outside are set to these."""


def angular_rates(d_model: int, kind: str) -> Tensor:
    """Angular rates of the time encoding, (d_model / 2,) float64 rad/day.

    Parameters
    ----------
    d_model : width of the encoder
    kind : "days": ``10000^(-2j/d)``, 1 rad/day and slower (Vaswani et al. 2017, section 3.5); "log": of periods that
        are log-spaced from 0.05 to 1,000 days

    Examples
    --------
    >>> rates = angular_rates(64, "log")
    >>> [round(2 * math.pi / rate, 2) for rate in (rates[0].item(), rates[-1].item())]
    [0.05, 1000.0]
    """
    j = torch.arange(d_model // 2, dtype=torch.float64)
    if kind == "days":
        return torch.exp(-2 * j * math.log(10_000) / d_model)
    return 2 * math.pi / (0.05 * (1_000 / 0.05) ** (j / max(1, len(j) - 1)))


class Steps(nn.Module):
    """Two dense layers on an observation and its differences from the previous one, each number scaled to about 1.

    The differences are from the previous observation in the same band: the time since then, the change of magnitude,
    and that change in units of its error. They resolve hours and years alike, unlike an encoding of absolute time.
    """

    N_INPUTS = 8

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.d_model
        n_inputs = self.N_INPUTS + (N_CYCLE_INPUTS if config.folded_input in ("tokens", "both") else 0)
        self.dense = nn.Sequential(nn.Linear(n_inputs, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    @staticmethod
    def numbers(tokens: Tokens) -> Tensor:
        """Input numbers of every token, (..., length, 8).

        Of the observation ``asinh 5m, asinh(m/e)/2, log10 e + 1.5, 10 (log10 wavelength - 3.75)``; of the differences
        ``log10(dt + 0.001) + 0.5, asinh 5dm, asinh(dm/error of dm)/2, 1``, all 0 where there is no previous one.

        Raises
        ------
        ValueError
            If the tokens hold no errors, or not which observations follow one another.
        """
        if tokens.magerr is None or tokens.follows is None:
            raise ValueError(
                "this encoder reads errors and steps, and the tokens hold none; make them with its own recipe"
            )
        m, e, there = tokens.mag, tokens.magerr.clamp(*ERROR_RANGE), tokens.follows.to(tokens.mag.dtype)
        m_before, e_before, t_before = (_before(t) for t in (m, e, tokens.times))
        # At padding and at the first observation of a band `there` is 0, and so are the differences.
        dt = (tokens.times - t_before).clamp(min=0).to(m.dtype) * there
        dm = (m - m_before) * there
        step = (torch.log10(dt + 1e-3) + 0.5) * there, torch.asinh(5 * dm), torch.asinh(dm / e.hypot(e_before)) / 2
        point = torch.asinh(5 * m), torch.asinh(m / e) / 2, e.log10() + 1.5, 10 * (tokens.band - 3.75)
        return torch.stack([*point, *step, there], dim=-1)

    def forward(self, tokens: Tokens) -> Tensor:
        """Embedding of every token, (..., length, d_model)."""
        numbers = self.numbers(tokens)
        return self.dense(numbers if tokens.cycle is None else torch.cat([numbers, tokens.cycle], dim=-1))


def _before(t: Tensor) -> Tensor:
    """Previous element along the last axis; the first one for itself."""
    return torch.cat([t[..., :1], t[..., :-1]], dim=-1)


class Embedding(nn.Module):
    """Embedding of tokens: ``Dense(m) + MLP(band)`` or `Steps`, plus ``PE(t)`` and ``Dense(log10 error)`` on request.

    Parameters
    ----------
    config : its `inputs`, `time_rates` and `error_input` say which terms there are

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.model.config import EncoderConfig
    >>> from astraclr.model.crops import crop_tokens
    >>> from astraclr.simulation.simulate import simulate
    >>> size = preset("tiny")
    >>> tokens = crop_tokens(prepare(simulate(12, seed=0)), torch.arange(8), size, "start", padded=True)
    >>> Embedding(EncoderConfig.of(size, recipe("corrected")))(tokens).shape
    torch.Size([8, 96, 64])
    """

    rates: Tensor
    turn: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.d_model
        if config.inputs == "steps":
            self.steps = Steps(config)
        else:
            self.magnitude = nn.Linear(1, d)
            self.band = nn.Sequential(nn.Linear(1, config.d_band), nn.ReLU(), nn.Linear(config.d_band, d))
        self.error = nn.Linear(1, d) if config.error_input else None
        self.config = config
        if config.time_rates == "none":
            return
        self.register_buffer("rates", angular_rates(d, config.time_rates), persistent=False)
        # Not a plain number: the ONNX exporter would round it to float32, and phases would be wrong after many turns.
        self.register_buffer("turn", torch.tensor(2 * math.pi, dtype=torch.float64), persistent=False)

    def encode_time(self, times: Tensor) -> Tensor:
        """Time encoding of (batch, length) days: sines (even entries) and cosines (odd entries) of float64 phases."""
        phase = torch.remainder(times[..., None] * self.rates, self.turn).float()
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(-2)

    def forward(self, tokens: Tokens) -> Tensor:
        """Embedding of every token, (batch, length, d_model)."""
        if self.config.inputs == "steps":
            x = self.steps(tokens)
            x = x if self.config.time_rates == "none" else x + self.encode_time(tokens.times)
        else:
            x = self.magnitude(tokens.mag[..., None])
            x = x if self.config.time_rates == "none" else x + self.encode_time(tokens.times)
            x = x + self.band(tokens.band[..., None])
        if self.error is None:
            return x
        if tokens.magerr is None:
            raise ValueError("this encoder reads errors, and the tokens hold none; make them with its own recipe")
        # Padding has error 0, whose logarithm would give NaN.
        return x + self.error(tokens.magerr.clamp(*ERROR_RANGE).log10()[..., None])
