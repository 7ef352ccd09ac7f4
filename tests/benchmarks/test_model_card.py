"""The card of a shipped encoder says what its files say."""

import json
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from model_card import model_card

from astraclr.files import shipped_file
from astraclr.model.checkpoint import load_checkpoint

NAMES = sorted(p.parent.name for p in shipped_file("checkpoints").glob("*/README.md"))


def test_a_card_holds_the_facts_and_every_row():
    checkpoint = load_checkpoint("tiny")
    score = {"accuracy": 0.25, "macro_f1": 0.2}
    shares = {"accuracy": 0.5, "confidence": 0.6, "calibration_error": 0.1, "flagged": 0.3}
    shares |= {"accuracy_unflagged": 0.7, "accuracy_flagged": 0.4, "flag_difference": 0.3}
    row: dict[str, float | int | None] = {"n": 8, "calibration_error_of_perfect": 0.09}
    row |= {name + end: value for name, value in shares.items() for end in ("", "_low", "_high")}
    found = {
        "made_with": {"command": "python some.py", "revision": "abc1234", "python": "3.11", "torch": "2.13"},
        "training": {"cpu_seconds": 120.0, "device": "cpu", "kwh_estimate": 0.001, "watts_assumed": 30.0},
        "n_fit": 1500,
        "n_test": 700,
        "simulated": {
            "trained": {"linear_probe_C1": score | {"accuracy_low": 0.2, "accuracy_high": 0.3}},
            "random weights, seed 0": {"weighted_knn": {"accuracy": 0.125}},
        },
        "head": {
            "mean_accuracy_by_C": {"0.1": 0.5, "1.0": 0.4},
            "temperature": {"base": 0.9, "growth": 2.0},
            "n_validation": 300,
            "accuracy": 0.75,
            "damaged": {"lost bands": row | {"calibration_error_as_fitted": 0.25, "accuracy_flagged": None}},
            "one_temperature": {"lost bands": 0.125},
        },
        "real ZTF": {"survey": "ZTF", "stars": 10, "flagged_of_all": 0.5, **row},
    }
    card = model_card(checkpoint, found)
    assert checkpoint.sha256 in card and checkpoint.data in card and "revision abc1234" in card
    assert "400 steps of 128 stars, 2 CPU minutes on cpu; about 0.001 kWh, if it drew 30 W (assumed)" in card
    assert "| trained | 0.250 (0.200 to 0.300) |  |  |" in card
    assert "| random weights, seed 0 |  |  | 0.125 |" in card
    assert "Of 10 real ZTF stars 50% are flagged. On the 8 with" in card
    assert "a difference of 0.30 (0.30 to 0.30)" in card and "0.90 (1 + 2.00 novelty)" in card
    assert "| lost bands | 0.50 | 0.70 |  | 0.30 | 0.60 | 0.10 | 0.25 | 0.12 |" in card
    assert "1,500" in card and "700 others" in card
    plain = model_card(checkpoint, {k: v for k, v in found.items() if k not in ("training", "real ZTF", "head")})
    assert "kWh" not in plain and "## The head" not in plain and "real ZTF" not in plain


def test_names_in_a_card_are_only_text():
    tiny, hostile = load_checkpoint("tiny"), "a|b`<script>alert(1)</script>\n# c"
    checkpoint = replace(
        tiny, preset=replace(tiny.preset, name=hostile), recipe=replace(tiny.recipe, name=hostile), data=hostile
    )
    made = dict.fromkeys(("command", "revision", "python", "torch"), hostile)
    card = model_card(checkpoint, {"made_with": made, "n_fit": 1, "n_test": 1, "simulated": {hostile: {}}})
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(card)
    kinds = [token.type for token in tokens] + [part.type for token in tokens for part in token.children or ()]
    assert not {"html_block", "html_inline"} & set(kinds) and kinds.count("heading_open") == 3
    assert kinds.count("tr_open") == 1 + 6 + 1 + 1 and kinds.count("td_open") == 6 * 2 + 4


@pytest.mark.parametrize("name", NAMES)
def test_shipped_cards_are_what_their_scores_make(name):
    scores = json.loads(shipped_file(f"checkpoints/{name}/scores.json").read_text())
    assert shipped_file(f"checkpoints/{name}/README.md").read_text() == model_card(load_checkpoint(name), scores)
