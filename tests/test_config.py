import json

import pytest

from astraclr.config import PRESETS, RECIPES, preset, preset_from_dict, recipe, recipe_from_dict, to_dict


def test_settings_survive_json():
    for p in PRESETS.values():
        assert preset_from_dict(json.loads(json.dumps(to_dict(p)))) == p == preset(p) == preset(p.name)
    for r in RECIPES.values():
        assert recipe_from_dict(json.loads(json.dumps(to_dict(r)))) == r == recipe(r) == recipe(r.name)


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
