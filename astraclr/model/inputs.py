"""What the encoder reads of an observation: numbers become one vector a token.

Names in the mathematics are the names in the code; tensors are (..., length, d_model) unless said otherwise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from astraclr.data.tokens import Tokens

if TYPE_CHECKING:
    from astraclr.model.config import EncoderConfig

ERROR_RANGE = (1e-4, 10.0)
"""Magnitudes; errors beyond are read as these."""


def angular_rates(d_model: int, kind: str) -> Tensor:
    """(d_model / 2,) float64 angular rates of the time encoding, rad/day.

    "days": ``10000^(-2j/d)``, 1 rad/day and slower (Vaswani et al. 2017, section 3.5).
    "log": periods log-spaced from 0.05 to 1,000 days.
    """
    j = torch.arange(d_model // 2, dtype=torch.float64)
    if kind == "days":
        return torch.exp(-2 * j * math.log(10_000) / d_model)
    return 2 * math.pi / (0.05 * (1_000 / 0.05) ** (j / max(1, len(j) - 1)))


class Steps(nn.Module):
    """An observation and the step that led to it, each number scaled to about 1, through two dense layers.

    From the observation before in the same band: the time since then, the change of magnitude, and that change in
    units of its error; differences show variability of hours beside that of years, which a clock blurs.
    """

    N_INPUTS = 8

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.d_model
        self.dense = nn.Sequential(nn.Linear(self.N_INPUTS, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    @staticmethod
    def numbers(tokens: Tokens) -> Tensor:
        """Turn each observation, and the step from the one before it in its band, into eight numbers.

        Returns
        -------
        (..., length, 8): ``asinh 5m, asinh(m/e)/2, log10 e + 1.5, 10 (log10 wavelength - 3.75)``, and of the step
        ``log10(dt + 0.001) + 0.5, asinh 5dm, asinh(dm/error of dm)/2, 1``, all 0 for the first of a band
        """
        if tokens.magerr is None or tokens.follows is None:
            raise ValueError(
                "this encoder reads errors and steps, and the tokens hold none; make them with its own recipe"
            )
        m, e, there = tokens.mag, tokens.magerr.clamp(*ERROR_RANGE), tokens.follows.to(tokens.mag.dtype)
        m_before, e_before, t_before = (_before(t) for t in (m, e, tokens.times))
        # Beside padding, and at the first observation of a band, the token before is another one's: nothing is read.
        dt = (tokens.times - t_before).clamp(min=0).to(m.dtype) * there
        dm = (m - m_before) * there
        step = (torch.log10(dt + 1e-3) + 0.5) * there, torch.asinh(5 * dm), torch.asinh(dm / e.hypot(e_before)) / 2
        point = torch.asinh(5 * m), torch.asinh(m / e) / 2, e.log10() + 1.5, 10 * (tokens.band - 3.75)
        return torch.stack([*point, *step, there], dim=-1)

    def forward(self, tokens: Tokens) -> Tensor:
        """(..., length, d_model)."""
        return self.dense(self.numbers(tokens))


def _before(t: Tensor) -> Tensor:
    """The element before along the last axis; before the first there is none, and it stands for itself."""
    return torch.cat([t[..., :1], t[..., :-1]], dim=-1)


class Embedding(nn.Module):
    """Sum of what is observed and when: ``Dense(m) + MLP(band)`` or `Steps`, ``PE(t)`` and ``Dense(log10 error)``.

    The latter two where they are asked for.
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
        # Not a plain number: the ONNX exporter would round it to float32, and phases drift over thousands of turns.
        self.register_buffer("turn", torch.tensor(2 * math.pi, dtype=torch.float64), persistent=False)

    def encode_time(self, times: Tensor) -> Tensor:
        """Sines (even entries) and cosines (odd entries) of (batch, length) days; phases are reduced in float64."""
        phase = torch.remainder(times[..., None] * self.rates, self.turn).float()
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(-2)

    def forward(self, tokens: Tokens) -> Tensor:
        """(batch, length, d_model)."""
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
        # Padding has error 0, whose logarithm would spread as NaN.
        return x + self.error(tokens.magerr.clamp(*ERROR_RANGE).log10()[..., None])
