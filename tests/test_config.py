from dataclasses import replace

import pytest

from astraclr.config import preset, recipe


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="no preset 'huge'; choose one of tiny, laptop, gpu, paper"):
        preset("huge")
    with pytest.raises(ValueError, match="no recipe 'best'; choose one of paper, paper-two-views, corrected"):
        recipe("best")


def test_the_paper_is_the_paper():
    p, r = preset("paper"), recipe("paper")
    assert (p.d_model, p.n_layers, p.n_heads, p.d_ff) == (512, 4, 8, 2048)
    assert dict(p.windows) == {"g": 300, "r": 350, "i": 50}
    assert [(v.fraction, v.noise, v.bin_dropout, v.outlier) for v in r.views] == [
        (1.0, 0.05, 0.0, False),
        (0.5, 0.0, 0.0, False),
        (1.0, 0.10, 0.5, True),
    ]
    assert [int(n * 0.5) for _, n in p.windows] == [150, 175, 25]


def test_windows_of_a_preset_for_another_survey():
    """Its bands are not ZTF's: the nearest is found by the light curves' wavelengths, and without any it is said."""
    macho = replace(preset("tiny"), windows=(("B", 40), ("R", 48)))
    bands = {"B": 5200.0, "R": 6900.0, "I": 8000.0}
    assert [macho.window(b, w, bands) for b, w in bands.items()] == [40, 48, 48]
    with pytest.raises(ValueError, match=r"no window for band 'I', and none of its bands \(B, R\) has a known wave"):
        macho.window("I", 8000.0)
    mixed = replace(macho, windows=(("B", 40), ("r", 7)))
    assert mixed.window("I", 8000.0) == 7
