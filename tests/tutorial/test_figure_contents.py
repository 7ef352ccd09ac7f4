"""What a figure is made of: rounding passes; a lost curve, a turned axis, another word or a moved point do not."""

import json

import nbformat
import numpy as np
import papermill
import pytest
from matplotlib.figure import Figure

from astraclr.tutorial import figure_registry
from astraclr.tutorial.figure_contents import describe, differences


def drawn(shift=0.0, lines=2, flipped=False, label="time (days)", order=1, scale=1.0, note="0.83 right") -> dict:
    figure = Figure()
    one, two = figure.subplots(1, 2)
    x = np.linspace(0, 1, 80)
    for k in range(lines):
        one.errorbar(x, x ** (k + 1) + shift * np.sin(50 * x), 0.1, label=f"{'gr'[k]} ({len(x)})")
    one.set(xlabel=label, ylim=(-0.2, 1.2))
    one.yaxis.set_inverted(flipped)
    one.legend()
    two.scatter(x[::order], np.sin(x)[::order] * scale)
    two.bar([0.2, 0.4], [0.5, 0.7 + shift])
    two.set(xticks=[0.2, 0.4], xticklabels=["RR", "CV"], yscale="log")
    two.text(0, 1, note)
    return json.loads(json.dumps(describe(figure)))


def test_the_same_and_what_rounding_moves_pass():
    assert differences(drawn(), drawn()) == []
    assert differences(drawn(), drawn(shift=1e-4)) == []
    assert differences(drawn(), drawn(order=-1)) == [], "points have no order"
    assert differences(drawn(), drawn(note="0.84 right")) == [], "numbers in words are results, and guarded elsewhere"


@pytest.mark.parametrize(
    "change, said",
    [
        ({"shift": 0.2}, "axes 1, line: moved by"),
        ({"lines": 1}, "axes 1, drawn"),
        ({"flipped": True}, "axes 1, limits"),
        ({"label": "time (hours)"}, "axes 1, words"),
        ({"scale": 10}, "axes 2, limits"),
        ({"note": "0.83 wrong"}, "axes 2, words"),
    ],
)
def test_what_a_reader_would_see_does_not_pass(change, said):
    assert any(line.startswith(said) for line in differences(drawn(), drawn(**change)))


def test_without_data_only_words_and_kinds_are_compared():
    assert differences(drawn(), drawn(shift=0.2, flipped=True), data=False) == []
    assert differences(drawn(), drawn(lines=1), data=False)
    assert differences(drawn(), drawn(label="hours"), data=False)


def test_a_built_chapter_records_its_figures_and_a_reader_s_notebook_does_not(tmp_path, monkeypatch):
    code = "from astraclr.tutorial import figures\nimport matplotlib.pyplot as plt\nfigures.use_style()\n"
    code += "plt.plot([0, 1], [1, 2])\nplt.show()"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]), tmp_path / "in.ipynb")
    environment = figure_registry.kernel_environment(tmp_path)
    for recorded in (True, False):
        if not recorded:
            del environment["ASTRACLR_RECORD_FIGURES"]
        with figure_registry._environment(environment):
            papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", kernel_name="python3")
        cell = json.loads((tmp_path / "out.ipynb").read_text())["cells"][-1]
        assert figure_registry.image_of(cell)
        contents = figure_registry.contents_of(cell)
        assert (contents is not None) == recorded
        if contents:
            assert [a["kind"] for a in contents["axes"][0]["artists"]] == ["line"]
