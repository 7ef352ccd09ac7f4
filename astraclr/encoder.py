"""A light curve becomes a vector: embedding, post-norm attention layers, masked mean, and a head for the loss.

Names in the mathematics are the names in the code; tensors are (batch, length, d_model) unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astraclr.preparation import Tokens
from astraclr.presets import Preset, Recipe

GROUPS = 8
"""Groups of like length that a batch is computed in on a CPU."""
ERROR_RANGE = (1e-4, 10.0)
"""Magnitudes; errors beyond are read as these."""


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder; the defaults are the paper's."""

    d_model: int = 512
    n_layers: int = 4
    n_heads: int = 8
    d_ff: int = 2048
    d_projection: int = 256
    d_band: int = 32
    dropout: float = 0.1
    time_rates: Literal["days", "log"] = "days"
    error_input: bool = False
    initial_weights: Literal["glorot", "torch"] = "glorot"

    def __post_init__(self) -> None:
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} must be even and a multiple of n_heads {self.n_heads}")

    @classmethod
    def of(cls, preset: Preset, recipe: Recipe) -> EncoderConfig:
        """The encoder that a preset and a recipe ask for."""
        return cls(preset.d_model, preset.n_layers, preset.n_heads, preset.d_ff, preset.d_model // 2,
                   dropout=recipe.dropout, time_rates=recipe.time_rates, error_input=recipe.error_input,
                   initial_weights=recipe.initial_weights)  # fmt: skip


def angular_rates(d_model: int, kind: Literal["days", "log"]) -> Tensor:
    """(d_model / 2,) float64 angular rates of the time encoding, rad/day.

    "days": ``10000^(-2j/d)``, 1 rad/day and slower (Vaswani et al. 2017, section 3.5).
    "log": periods log-spaced from 0.05 to 1,000 days.
    """
    j = torch.arange(d_model // 2, dtype=torch.float64)
    if kind == "days":
        return torch.exp(-2 * j * math.log(10_000) / d_model)
    return 2 * math.pi / (0.05 * (1_000 / 0.05) ** (j / max(1, len(j) - 1)))


class Embedding(nn.Module):
    """Sum of magnitude, time and band: ``Dense(m) + PE(t) + MLP(band)``, and where asked for ``Dense(log10 error)``."""

    rates: Tensor
    turn: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.d_model
        self.magnitude = nn.Linear(1, d)
        self.band = nn.Sequential(nn.Linear(1, config.d_band), nn.ReLU(), nn.Linear(config.d_band, d))
        self.error = nn.Linear(1, d) if config.error_input else None
        self.register_buffer("rates", angular_rates(d, config.time_rates), persistent=False)
        # Not a plain number: the ONNX exporter would round it to float32, and phases drift over thousands of turns.
        self.register_buffer("turn", torch.tensor(2 * math.pi, dtype=torch.float64), persistent=False)

    def encode_time(self, times: Tensor) -> Tensor:
        """Sines (even entries) and cosines (odd entries) of (batch, length) days; phases are reduced in float64."""
        phase = torch.remainder(times[..., None] * self.rates, self.turn).float()
        return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(-2)

    def forward(self, tokens: Tokens) -> Tensor:
        """(batch, length, d_model)."""
        x = (self.magnitude(tokens.mag[..., None]) + self.encode_time(tokens.times)
             + self.band(tokens.band[..., None]))  # fmt: skip
        if self.error is None:
            return x
        if tokens.magerr is None:
            raise ValueError("this encoder reads errors, and the tokens hold none; make them with its own recipe")
        # Padding has error 0, whose logarithm would spread as NaN.
        return x + self.error(tokens.magerr.clamp(*ERROR_RANGE).log10()[..., None])


class Dropout(nn.Dropout):
    """Drop-out that keeps its mask as bytes; `torch.nn.functional.dropout` keeps floats on a CPU. The draws are equal."""

    def forward(self, input: Tensor) -> Tensor:
        """Of the shape of `input`."""
        return torch.native_dropout(input, self.p, True)[0] if self.training and self.p else input


class Attention(nn.Module):
    """Multi-head scaled dot-product attention; masked keys get no weight."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.q, self.k, self.v, self.out = (nn.Linear(config.d_model, config.d_model) for _ in range(4))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (batch, heads, length, d_model / heads)."""
        return tuple(f(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """(batch, heads, query, key) attention weights, for looking at; `forward` does not build them."""
        q, k, _ = self.heads(x)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return scores.masked_fill(mask[:, None, None], -torch.inf).softmax(-1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, length, d_model); no mask where nothing is masked, which is faster."""
        q, k, v = self.heads(x)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else ~mask[:, None, None])
        return self.out(mixed.transpose(1, 2).flatten(-2))


@contextmanager
def remade(norm: nn.LayerNorm, x: Tensor) -> Iterator[Tensor]:
    """``norm(x)``, of which nothing is kept for the gradient within: `x` is kept, and makes it again in less time
    than memory is worth."""
    y = norm(x)
    place = y.untyped_storage().data_ptr()

    def pack(saved: Tensor) -> Tensor | torch.Size:
        return saved.shape if saved.untyped_storage().data_ptr() == place else saved

    def unpack(kept: Tensor | torch.Size) -> Tensor:
        return kept if isinstance(kept, Tensor) else norm(x.detach()).detach().view(kept)

    if torch.compiler.is_compiling():
        yield y
    else:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield y


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added to its input and then normalised (post-norm)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.d_model
        self.attention = Attention(config)
        self.norm1, self.norm2 = (nn.LayerNorm(d, eps=1e-6) for _ in range(2))
        self.ffn = nn.Sequential(nn.Linear(d, config.d_ff), nn.ReLU(inplace=True), nn.Linear(config.d_ff, d))
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, length, d_model)."""
        return self.norm2(self.unnormalised(x, mask))

    def unnormalised(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """What the last normalisation reads."""
        with remade(self.norm1, x + self.dropout(self.attention(x, mask))) as x:
            return x + self.dropout(self.ffn(x))


class Encoder(nn.Module):
    """The paper's encoder: tokens in, one embedding a light curve out.

    Weights start from Glorot's uniform distribution with zero biases, as Keras has it, or are torch's own.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_layers))
        self.projection = nn.Sequential(
            nn.Linear(config.d_model, config.d_model), nn.ReLU(), nn.Linear(config.d_model, config.d_projection)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear) and config.initial_weights == "glorot":
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def tokens_out(self, tokens: Tokens, whole: bool = False) -> Tensor:
        """(batch, length, d_model) after the last layer, one vector a token; `whole`: nothing is masked."""
        x = self.dropout(self.embedding(tokens))
        with ExitStack() as stack:
            for layer in self.layers:
                x = stack.enter_context(remade(layer.norm2, layer.unnormalised(x, None if whole else tokens.mask)))
        return x

    def forward(self, tokens: Tokens) -> Tensor:
        """(batch, d_model) embeddings: the mean over the tokens that are not masked.

        On a CPU light curves of like length are computed together, each group no wider than its longest.
        """
        if tokens.mask.device.type != "cpu" or torch.compiler.is_compiling() or not tokens.mask.any():
            return masked_mean(self.tokens_out(tokens), tokens.mask)
        place = torch.arange(1, tokens.mask.shape[1] + 1)
        extent = (place * ~tokens.mask).amax(1)
        order = extent.argsort(stable=True)
        parts = []
        for rows in order.chunk(GROUPS):
            group = tokens.each(lambda t, rows=rows: t[rows, : int(extent[rows].max())])
            parts.append(masked_mean(self.tokens_out(group, whole=not group.mask.any()), group.mask))
        return torch.cat(parts)[order.argsort()]

    def project(self, embedding: Tensor) -> Tensor:
        """(batch, d_projection) vectors for the contrastive loss only."""
        return self.projection(embedding)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of (batch, length, d) over the tokens where `mask` is False; a row that is all masked gives NaN."""
    keep = (~mask)[..., None].to(x.dtype)
    return (x * keep).sum(1) / keep.sum(1)


def new_encoder(preset: Preset, recipe: Recipe, seed: int) -> Encoder:
    """An encoder with random weights that depend on `seed` alone; the global random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(EncoderConfig.of(preset, recipe))
