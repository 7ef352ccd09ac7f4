import numpy as np
import pytest
import torch

from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare, ranges, to_tokens


def one_star(mag, magerr, band=None):
    n = len(mag)
    band = np.zeros(n, int) if band is None else band
    return LightCurves.from_arrays(np.zeros(n, int), band, 58_000.0 + np.arange(n), mag, magerr)


def test_one_mean_over_all_bands_keeps_colour():
    star = one_star([15.0, 15.0, 16.0, 16.0], [0.1] * 4, band=[1, 1, 0, 0])
    centred = prepare(star).mag
    assert centred[:2].mean() - centred[2:].mean() == pytest.approx(1.0, abs=1e-5)


def test_ranges():
    positions, owner = ranges(torch.tensor([5, 0, 9]), torch.tensor([2, 0, 3]))
    assert positions.tolist() == [5, 6, 9, 10, 11] and owner.tolist() == [0, 0, 2, 2, 2]


def test_layouts_hold_the_same_observations(stars):
    data = prepare(stars[:4])
    first, count = data.segments(torch.arange(4))
    index, segment = ranges(first.ravel(), count.ravel().clamp(max=30))
    compact = to_tokens(data, segment, index, 4)
    padded = to_tokens(data, segment, index, 4, layout=(30, 32, 30))
    assert compact.mag.shape[1] <= padded.mag.shape[1] == 92
    for a, b in zip(compact[:3], padded[:3], strict=True):
        assert torch.equal(a[~compact.mask], b[~padded.mask])
        assert (b[padded.mask] == 0).all()
    # The first token of the second band stands where the layout reserves its place.
    row = int(torch.nonzero(count[:, 1])[0])
    assert padded.times[row, 30] == data.times[first[row, 1]]


def test_a_row_without_observations_is_refused(stars):
    data = prepare(stars[:2])
    with pytest.raises(ValueError, match="1 light curves have no observation"):
        to_tokens(data, torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long), 2)
