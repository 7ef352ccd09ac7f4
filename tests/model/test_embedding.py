import math
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.config import EncoderConfig
from astraclr.model.crops import CROPS, before_place, crop_starts, crop_tokens, spread_crops
from astraclr.model.embedding import embed, embedding_table, fuse, stars_at_once
from astraclr.model.encoder import Encoder, new_encoder


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(
        new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval(), preset("tiny"), RECIPES["corrected"], 0
    )


def test_unknown_crop_and_fusion():
    with pytest.raises(ValueError, match="no crop 'centre'"):
        crop_starts(torch.tensor([3]), torch.tensor([2]), "centre")
    with pytest.raises(ValueError, match="no fusion 'sum'"):
        fuse(torch.zeros(3, 2, 4), cast(Any, "sum"))


def test_fusion():
    crops = torch.arange(12.0).view(3, 2, 2)
    assert torch.equal(fuse(crops, "mean"), crops[1])
    assert torch.equal(fuse(crops, "concat")[0], torch.tensor([0.0, 1, 4, 5, 8, 9]))


def test_batches_and_order_do_not_matter(stars, checkpoint):
    whole = embed(stars[:20], checkpoint)
    assert whole.shape == (20, 64) and whole.dtype == np.float32 and np.isfinite(whole).all()
    np.testing.assert_allclose(embed(stars[:20], checkpoint, batch_size=3), whole, atol=1e-5)
    np.testing.assert_allclose(embed(stars[:20][::-1], checkpoint)[::-1], whole, atol=1e-5)


def test_fused_mean_is_the_mean_of_the_concatenation(stars, checkpoint):
    concatenated = embed(stars[:6], checkpoint, fusion="concat").reshape(6, 3, 64)
    np.testing.assert_allclose(concatenated.mean(1), embed(stars[:6], checkpoint), atol=1e-6)


@torch.no_grad()
def test_a_star_that_fits_its_windows_is_computed_once(stars, checkpoint, monkeypatch):
    lc, seen, forward = stars[:24], [], checkpoint.encoder.forward
    place = np.arange(lc.n_obs) - lc.offsets[lc.segment]
    keep = (place < 8) | (lc.segment // 3 % 2 == 0)  # every other star has at most 8 observations a band
    some = LightCurves.from_arrays(*(c[keep] for c in (*np.divmod(lc.segment, 3), lc.mjd, lc.mag, lc.magerr)))
    several = (some.counts > [40, 48, 8]).any(1)
    assert several.sum() == 12
    data, rows = prepare(some), torch.arange(len(some))
    crops = torch.stack([checkpoint.encoder(crop_tokens(data, rows, preset("tiny"), c)) for c in CROPS])
    monkeypatch.setattr(checkpoint.encoder, "forward", lambda tokens: seen.append(len(tokens.mag)) or forward(tokens))
    found = embed(some, checkpoint, fusion="concat", batch_size=1)
    assert sum(seen) == 24 + 2 * several.sum()
    np.testing.assert_allclose(found, fuse(crops, "concat"), atol=1e-5)
    np.testing.assert_allclose(embed(some, checkpoint, batch_size=7), fuse(crops), atol=1e-5)


def test_large_encoders_take_fewer_stars_at_once(checkpoint):
    with torch.device("meta"):
        paper = Encoder(EncoderConfig())
    assert stars_at_once(checkpoint.encoder, 96) == 64 and stars_at_once(paper, 700) == 4
    assert stars_at_once(paper, 10**9) == 1


@torch.no_grad()
def test_the_padded_layout_gives_the_same_embedding(stars, checkpoint):
    data, rows = prepare(stars[:8]), torch.arange(8)
    compact, padded = (
        checkpoint.encoder(crop_tokens(data, rows, preset("tiny"), "middle", padded=p)) for p in (False, True)
    )
    torch.testing.assert_close(compact, padded, atol=1e-5, rtol=0)


def test_one_observation_and_other_bands(checkpoint):
    star = LightCurves.from_arrays(
        np.array([0, 0, 1]),
        np.array([0, 1, 1]),
        np.array([5e4, 5e4, 5e4]),
        np.array([15, 16, 17.0]),
        np.full(3, 0.1),
        bands={"B": 5200.0, "R": 6900.0},
    )
    assert preset("tiny").window("B", 5200.0) == 40 and preset("tiny").window("R", 6900.0) == 48
    assert np.isfinite(embed(star, checkpoint)).all()


def test_table_says_what_was_used(stars, checkpoint):
    table = cast(Any, embedding_table(stars[:12], checkpoint))
    assert table["object_id"].tolist() == stars.object_id[:12].tolist()
    assert (table["n_g"] == np.minimum(stars.counts[:12, 0], 3 * 40)).all()
    assert ((table["missing_bands"] == "i") == (stars.counts[:12, 2] == 0)).all()
    assert (table["recipe"] == "corrected").all()
    assert np.stack(table["embedding"]).shape == (12, 64)


@pytest.mark.parametrize("windows", [1, 2, 3, 5])
def test_crops_are_spread_evenly(windows):
    count, longest = torch.tensor([[3, 10, 11, 57, 400]]), torch.tensor([[5, 10, 5, 8, 100]])
    for k, crop in enumerate(spread_crops(windows)):
        found = crop_starts(count, longest, crop)[0].tolist()
        for n, t, start in zip(count[0].tolist(), longest[0].tolist(), found, strict=True):
            part = Fraction(k, windows - 1) if windows > 1 else Fraction(1, 2)
            assert start == max(0, math.floor(n * part) - math.floor(t * part)) and start <= max(0, n - t)


def test_three_crops_are_the_papers_and_places_name_the_same():
    assert spread_crops(3) == CROPS and spread_crops(1) == ("middle",) and spread_crops(2) == (Fraction(0), Fraction(1))
    n, t = (torch.arange(1, 40)[:, None] * torch.ones(1, 20, dtype=torch.long), torch.arange(1, 21).expand(39, -1))
    for name, place, literal in (
        ("start", Fraction(0), n * 0),
        ("end", Fraction(1), (n - t).clamp(min=0)),
        ("middle", Fraction(1, 2), torch.minimum((n // 2 - t // 2).clamp(min=0), (n - t).clamp(min=0))),
    ):
        assert torch.equal(crop_starts(n, t, name), literal) and torch.equal(crop_starts(n, t, place), literal)
    for wrong in (Fraction(3, 2), Fraction(-1, 2)):
        with pytest.raises(ValueError, match="a fraction from 0 to 1"):
            crop_starts(n, t, wrong)
    with pytest.raises(ValueError, match="0 windows"):
        spread_crops(0)


def test_several_windows(stars, checkpoint):
    lc = stars[:6]
    one, two, three, five = (embed(lc, checkpoint, fusion="concat", windows=w).reshape(6, w, 64) for w in (1, 2, 3, 5))
    np.testing.assert_array_equal(three.reshape(6, -1), embed(lc, checkpoint, fusion="concat"))
    for found, same in ((one, [1]), (two, [0, 2]), (five[:, ::2], [0, 1, 2])):
        np.testing.assert_allclose(found, three[:, same], atol=1e-5)
    assert np.abs(five[:, 1] - five[:, 0]).max() > 1e-3
    table = embedding_table(lc, checkpoint, windows=5)
    assert (table["n_g"] == np.minimum(lc.counts[:, 0], 5 * 40)).all()


def test_the_place_among_all_epochs(stars):
    data, rows = prepare(stars[:4]), torch.arange(4)
    for place in (Fraction(1, 4), Fraction(1, 2)):
        found = before_place(data, rows, place)
        for k in range(4):
            star = stars.star(k)
            every = sorted((t, b) for b, (times, _, _) in enumerate(star.values()) for t in times)
            early = [b for _, b in every[: len(every) * place.numerator // place.denominator]]
            assert found[k].tolist()[: len(star)] == [early.count(b) for b in range(len(star))]


def test_embedding_leaves_the_encoder_as_it_was(stars):
    encoder = new_encoder(preset("tiny"), RECIPES["corrected"], 0).train()
    checkpoint = Checkpoint(encoder, preset("tiny"), RECIPES["corrected"], 0)
    encoder.layers[0].eval()
    before = [part.training for part in encoder.modules()]
    trained = embed(stars[:4], checkpoint)
    assert [part.training for part in encoder.modules()] == before
    np.testing.assert_array_equal(trained, embed(stars[:4], replace(checkpoint, encoder=encoder.eval())))
    with pytest.raises(ValueError, match="no fusion"):
        embed(stars[:4], replace(checkpoint, encoder=encoder.train()), fusion=cast(Any, "sum"))
    assert encoder.training


def test_bfloat16_changes_embeddings_by_little_and_is_refused_where_it_is_emulated(stars, checkpoint, monkeypatch):
    monkeypatch.setattr("astraclr.model.device.multiplies_bfloat16", lambda _: True)
    exact, rounded = (embed(stars, checkpoint, device="cpu", precision=p) for p in ("float32", "bfloat16"))
    assert rounded.dtype == np.float32 and 0 < np.abs(rounded - exact).max() < 0.2 * exact.std()
    monkeypatch.setattr("astraclr.model.device.multiplies_bfloat16", lambda _: False)
    with pytest.raises(ValueError, match="bfloat16: the cpu of this machine would emulate it"):
        embed(stars, checkpoint, device="cpu", precision="bfloat16")
