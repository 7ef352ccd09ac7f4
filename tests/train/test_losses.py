import pytest
import torch

from astraclr.train.losses import alignment, chance_level, effective_rank, floor_level, nt_xent, uniformity


def test_collapse_is_chance_and_perfection_is_the_floor():
    assert nt_xent(torch.ones(3, 8, 4)).item() == pytest.approx(chance_level(3, 8), abs=1e-5)
    perfect = torch.eye(8).expand(3, 8, 8)
    assert nt_xent(perfect, 0.02).item() == pytest.approx(floor_level(3), abs=1e-5)


def test_one_view_is_refused():
    with pytest.raises(ValueError, match=r"expected \(views >= 2, batch, d\)"):
        nt_xent(torch.ones(1, 8, 4))


def test_gauges_tell_collapse_from_spread():
    collapsed = torch.ones(2, 50, 6) + 1e-6 * torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(0))
    spread = torch.randn(1, 400, 6, generator=torch.Generator().manual_seed(0)).expand(2, 400, 6)
    assert alignment(spread).item() == 0
    assert uniformity(collapsed[0]).item() == pytest.approx(0, abs=1e-4)
    assert uniformity(spread[0]).item() < -2
    assert effective_rank(spread[0]).item() == pytest.approx(6, abs=0.1)
    assert effective_rank(torch.ones(20, 6)).item() == 1
    assert effective_rank(torch.outer(torch.arange(20.0), torch.ones(6))).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("odd", [torch.nan, torch.inf])
def test_effective_rank_of_what_is_not_finite_is_nan(odd):
    x = torch.randn(8, 4)
    x[3, 2] = odd
    assert effective_rank(x).isnan()
