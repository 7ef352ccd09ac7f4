import json
from dataclasses import fields, replace

import pytest

from astraclr import config
from astraclr.config import (
    PRESETS,
    RECIPES,
    Preset,
    Recipe,
    View,
    preset,
    preset_from_dict,
    recipe,
    recipe_from_dict,
    to_dict,
)


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


FIRST = {
    Preset: "name d_model n_layers n_heads d_ff windows n_stars n_probe batch_size steps warmup evaluate_every "
    "patience",
    View: "name fraction noise bin_dropout outlier",
    Recipe: "name views noise_unit bin_rule drop_in_place last_start outlier_sides time_rates loss_sum keras_adam "
    "fixed_validation temperature dropout",
}
"""Fields that the first version wrote."""


def as_first_written(settings):
    """What the first version wrote of these settings."""
    values = to_dict(settings)
    if isinstance(settings, Recipe):
        values["views"] = [{k: v for k, v in view.items() if k in FIRST[View].split()} for view in values["views"]]
    return {k: v for k, v in values.items() if k in FIRST[type(settings)].split()}


@pytest.mark.parametrize("kind", FIRST)
def test_every_field_was_there_first_or_says_what_was_done_before_it(kind):
    """A new field gets a line in `presets._BEFORE`; else files written before it could not be read."""
    assert {f.name for f in fields(kind)} == set(FIRST[kind].split()) | set(config._BEFORE[kind])


def test_settings_of_the_first_version_mean_what_they_meant():
    """Today's `paper` has 8 replicas that keep their negatives, and `recommended` another encoder and loss."""
    old = preset_from_dict(json.loads(json.dumps(as_first_written(PRESETS["paper"]))))
    assert old == replace(PRESETS["paper"], replicas=1)
    plain = ("negatives", "thaw_embedding", "inputs", "norm", "pooling", "initial_weights", "contrast", "summaries")
    for name, today in RECIPES.items():
        found = recipe_from_dict(json.loads(json.dumps(as_first_written(today))))
        assert found.name == name and found.dropout == today.dropout and found.bin_rule == today.bin_rule
        assert all(getattr(found, switch) == getattr(RECIPES["corrected"], switch) for switch in plain)
        assert all(view.colour_jitter == view.thinning == 0 for view in found.views)


def test_unknown_and_missing_fields_are_refused():
    values = to_dict(RECIPES["paper"])
    with pytest.raises(ValueError, match="recipe 'paper' has depth, which this version of astraclr does not know"):
        recipe_from_dict({**values, "depth": 3})
    with pytest.raises(ValueError, match="recipe 'paper' lacks noise_unit, which every version has written"):
        recipe_from_dict({k: v for k, v in values.items() if k != "noise_unit"})
    with pytest.raises(ValueError, match="preset 'tiny' has depth"):
        preset_from_dict({**to_dict(PRESETS["tiny"]), "depth": 3})


def test_windows_of_a_preset_for_another_survey():
    """Its bands are not ZTF's: the nearest is found by the light curves' wavelengths, and without any it is said."""
    macho = replace(preset("tiny"), windows=(("B", 40), ("R", 48)))
    bands = {"B": 5200.0, "R": 6900.0, "I": 8000.0}
    assert [macho.window(b, w, bands) for b, w in bands.items()] == [40, 48, 48]
    with pytest.raises(ValueError, match=r"no window for band 'I', and none of its bands \(B, R\) has a known wave"):
        macho.window("I", 8000.0)
    mixed = replace(macho, windows=(("B", 40), ("r", 7)))
    assert mixed.window("I", 8000.0) == 7
