"""Settings of files, also of earlier versions, mean what they meant."""

import json
from dataclasses import fields, replace

import pytest

from astraclr.config import PRESETS, RECIPES, Preset, Recipe, View, preset, recipe, to_dict
from astraclr.model import saved_settings
from astraclr.model.saved_settings import preset_from_dict, recipe_from_dict


def test_settings_survive_json():
    for p in PRESETS.values():
        assert preset_from_dict(json.loads(json.dumps(to_dict(p)))) == p == preset(p) == preset(p.name)
    for r in RECIPES.values():
        assert recipe_from_dict(json.loads(json.dumps(to_dict(r)))) == r == recipe(r) == recipe(r.name)


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
    """A new field gets a line in `saved_settings._BEFORE`; else files written before it could not be read."""
    assert {f.name for f in fields(kind)} == set(FIRST[kind].split()) | set(saved_settings._BEFORE[kind])


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
