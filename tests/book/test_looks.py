"""What the gallery of figures says: how long a chapter ran up to each figure."""

import json

import looks


def test_time_up_to_a_figure_adds_up(tmp_path):
    def cell(seconds, name=""):
        figure = {"mystnb": {"figure": {"name": name}}} if name else {}
        return {"cell_type": "code", "metadata": {"papermill": {"duration": seconds}, **figure}}

    cells = [
        cell(1.5),
        {"cell_type": "markdown", "metadata": {"papermill": {}}},
        cell(2.0, "fig-a"),
        cell(None),
        cell(1, "fig-b"),
    ]
    (tmp_path / "one.ipynb").write_text(json.dumps({"cells": cells}))
    assert looks.seconds_to([tmp_path / "one.ipynb"]) == {"fig-a": 3.5, "fig-b": 4.5}
