"""The encoder: input embedding, attention layers, pooling over tokens, and heads for the losses.

Names in the mathematics are the names in the code; tensors are (batch, length, d_model) unless stated otherwise.
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from astraclr.config import Preset, Recipe
from astraclr.data.folding import N_FOLDED, best_cycle, cycle_inputs, folded
from astraclr.data.tokens import Tokens
from astraclr.model.attention import Form, Mix, best_form, norms_remade, over_rows, over_segments, packed
from astraclr.model.config import EncoderConfig
from astraclr.model.description import Description
from astraclr.model.inputs import Embedding

GROUPS = 8
"""Groups of similar length in which a batch is computed on a CPU."""

WIDE = 256
"""d_model from which saving memory in a training step is worth a little time."""


class Dropout(nn.Dropout):
    """Drop-out that draws as torch's own and keeps its mask as bytes, where that keeps floats on a CPU.

    It is a little slower, and so used for wide encoders only, where memory matters.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply drop-out; the shape is that of `input`."""
        if self.training and self.p and input.shape[-1] >= WIDE:
            return torch.native_dropout(input, self.p, True)[0]
        return super().forward(input)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.q, self.k, self.v, self.out = (nn.Linear(config.d_model, config.d_model) for _ in range(4))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (..., heads, length, d_model / heads)."""
        return tuple(f(x).unflatten(-1, (self.n_heads, -1)).transpose(-3, -2) for f in (self.q, self.k, self.v))

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """Attention weights (batch, heads, query, key), for inspection; `forward` does not compute them as such."""
        q, k, _ = self.heads(x)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return scores.masked_fill(mask[:, None, None], -torch.inf).softmax(-1)

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        """Attention output, (..., d_model) of the shape of `x`."""
        return self.out(mix(*self.heads(x)).transpose(-3, -2).flatten(-2))


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added to its input.

    Normalised are the sums (post-norm, the paper's) or the inputs (pre-norm as in Xiong et al. 2020, arXiv 2002.04745,
    with GELU).
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d = config.d_model
        self.attention = Attention(config)
        self.norm1, self.norm2 = (nn.LayerNorm(d, eps=1e-6) for _ in range(2))
        self.first = config.norm == "pre"
        between = nn.GELU() if self.first else nn.ReLU(inplace=True)
        self.ffn = nn.Sequential(nn.Linear(d, config.d_ff), between, nn.Linear(config.d_ff, d))
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, mix: Mix) -> Tensor:
        """Layer output, (..., d_model) of the shape of `x`."""
        if self.first:
            x = x + self.dropout(self.attention(self.norm1(x), mix))
            return x + self.dropout(self.ffn(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attention(x, mix)))
        return self.norm2(x + self.dropout(self.ffn(x)))


class Encoder(nn.Module):
    """Transformer encoder: from the tokens of light curves to one embedding for each.

    Attributes
    ----------
    config : its shape
    form : how batches are computed (`attention.Form`); None is the fastest on the device

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.model.crops import crop_tokens
    >>> from astraclr.simulation.simulate import simulate
    >>> encoder = Encoder(EncoderConfig.of(preset("tiny"), recipe("corrected")))
    >>> tokens = crop_tokens(prepare(simulate(12, seed=0)), torch.arange(8), preset("tiny"), "middle")
    >>> encoder(tokens).shape, encoder.project(encoder(tokens)).shape
    (torch.Size([8, 64]), torch.Size([8, 32]))
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.form: Form | None = None
        self.embedding = Embedding(config)
        self.dropout = Dropout(config.dropout)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model, eps=1e-6) if config.norm == "pre" else nn.Identity()
        width = config.d_embedding
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, config.d_projection))
        self._begin(self)
        # Made last, so that the other random weights are the same without it.
        self.summaries = nn.Linear(width, config.n_summaries) if config.n_summaries else None
        if self.summaries is not None:
            self._begin(self.summaries)
        self.description = Description(config) if config.n_described else None
        if self.description is not None:
            self._begin(self.description)
        d = config.d_model
        self.folded = None
        if config.folded_input in ("window", "both"):
            self.folded = nn.Sequential(nn.Linear(N_FOLDED, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
            self._begin(self.folded)

    @property
    def device(self) -> torch.device:
        """Device of its weights."""
        return next(self.parameters()).device

    def _begin(self, part: nn.Module) -> None:
        for module in part.modules():
            if isinstance(module, nn.Linear) and self.config.initial_weights == "glorot":
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def tokens_out(self, tokens: Tokens, mix: Mix | None = None) -> Tensor:
        """Output of the last layer, one vector a token, (..., d_model) of the shape of `tokens`.

        `mix` is the attention; by default within the rows of a rectangle, where masked keys get no weight.
        """
        mix = over_rows(tokens.mask) if mix is None else mix
        x = self.dropout(self.embedding(tokens))
        for layer in self.layers:
            x = layer(x, mix)
        return self.norm(x)

    def forward(self, tokens: Tokens) -> Tensor:
        """Embeddings, (batch, d_embedding), pooled over the tokens that are not masked."""
        if self.config.folded_input == "none":
            return self._seen(tokens)
        cycle = best_cycle(tokens)
        of_tokens = None if self.config.folded_input == "window" else cycle_inputs(cycle)
        return self.with_cycle(tokens, of_tokens, None if self.folded is None else folded(cycle))

    def with_cycle(self, tokens: Tokens, of_tokens: Tensor | None, of_window: Tensor | None) -> Tensor:
        """Embeddings, (batch, d_embedding), where the best period of each row is known.

        Parameters
        ----------
        tokens : of windows
        of_tokens : (batch, length, 8) `folding.cycle_inputs`, for an encoder that reads phases; else None
        of_window : (batch, 61) `folding.folded`, for an encoder that reads folded windows; else None
        """
        seen = self._seen(tokens if of_tokens is None else tokens._replace(cycle=of_tokens))
        if self.folded is None or of_window is None:
            return seen
        return torch.cat([seen, self.folded(of_window)], dim=-1)

    def _seen(self, tokens: Tokens) -> Tensor:
        """Pooled over the tokens."""
        if torch.compiler.is_compiling() and tokens.mask.device.type == "cpu":
            form = self.form or "padded"  # groups would each be a graph of its own
        else:
            form = self.form or best_form(tokens.mask.device, self.config.d_model // self.config.n_heads)
        if form == "grouped":
            return self._grouped(tokens)
        return self._pooled(self._packed(tokens) if form == "packed" else self.tokens_out(tokens), tokens.mask)

    def _pooled(self, x: Tensor, mask: Tensor) -> Tensor:
        return masked_mean(x, mask) if self.config.pooling == "mean" else masked_mean_std(x, mask)

    def _packed(self, tokens: Tokens) -> Tensor:
        """Output of the last layer by packed attention, (batch, length, d_model), 0 where a token is masked."""
        where, flat, filled = packed(tokens)
        x = self.tokens_out(flat, over_segments(filled, tokens.mask.shape[1]))
        return x.new_zeros(tokens.mask.numel(), x.shape[-1]).index_copy(0, where, x).unflatten(0, tokens.mask.shape)

    def _grouped(self, tokens: Tokens) -> Tensor:
        """Embeddings, (batch, d_embedding), in groups of similar length, each as wide as its longest light curve."""
        place = torch.arange(1, tokens.mask.shape[1] + 1, device=tokens.mask.device)
        extent = (place * ~tokens.mask).amax(1)
        order = extent.argsort(stable=True)
        parts = []
        for rows in order.chunk(GROUPS) if tokens.mask.any() else (order,):
            group = tokens.each(lambda t, rows=rows: t[rows, : int(extent[rows].max())])
            with norms_remade(self) if self.config.d_model >= WIDE else nullcontext():
                out = self.tokens_out(group, None if group.mask.any() else over_rows(None))
            parts.append(self._pooled(out, group.mask))
        return torch.cat(parts)[order.argsort()]

    def project(self, embedding: Tensor) -> Tensor:
        """Projection for the contrastive loss, (..., d_projection), of embeddings (..., d_embedding)."""
        return self.projection(embedding)

    def summarise(self, embedding: Tensor) -> Tensor:
        """Predict the standardised `summaries` of the whole light curve, (..., n_summaries), for a loss.

        Raises
        ------
        ValueError
            If the encoder learns no summaries.
        """
        if self.summaries is None:
            raise ValueError("this encoder learns no summaries; its recipe gives them no weight")
        return self.summaries(embedding)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of (batch, length, d) over the tokens where `mask` is False; NaN where all are masked.

    Examples
    --------
    >>> x = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> masked_mean(x, torch.tensor([[False, False, True]])).tolist()
    [[2.0]]
    """
    keep = (~mask)[..., None].to(x.dtype)
    return (x * keep).sum(1) / keep.sum(1)


def masked_mean_std(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation of (batch, length, d) over the tokens where `mask` is False, as (batch, 2d).

    As in the pooling of Snyder et al. 2018 (ICASSP). 1e-4 is added to the variance, since the gradient of its root is
    infinite at 0. NaN where all are masked.

    Examples
    --------
    >>> x = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> masked_mean_std(x, torch.tensor([[False, False, True]])).round(decimals=2).tolist()
    [[2.0, 1.0]]
    """
    mean = masked_mean(x, mask)
    return torch.cat([mean, (masked_mean((x - mean[:, None]).square(), mask) + 1e-4).sqrt()], dim=-1)


def new_encoder(preset: Preset, recipe: Recipe, seed: int, n_bands: int | None = None) -> Encoder:
    """Make an encoder with random weights that depend on `seed` alone; the global random state is not changed.

    Parameters
    ----------
    preset, recipe, n_bands : as for `EncoderConfig.of`

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> new_encoder(preset("laptop"), recipe("recommended"), seed=0).config.d_embedding
    128
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Encoder(EncoderConfig.of(preset, recipe, n_bands))
