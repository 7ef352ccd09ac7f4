"""The report through the command line."""

import numpy as np
import pytest
from typer.testing import CliRunner

from astraclr.cli import app


def run(*args):
    return CliRunner().invoke(app, ["report", *map(str, args)], catch_exceptions=False)


@pytest.fixture(autouse=True)
def no_umap(monkeypatch):
    monkeypatch.setattr("astraclr.analysis.star_report.ODDITIES", 2)
    monkeypatch.setattr("astraclr.analysis.star_report.NEAREST", 1)
    monkeypatch.setattr("astraclr.analysis.star_report.umap_map", lambda x, seed: np.ascontiguousarray(x[:, :2]))


def test_report_of_a_file(stars, tmp_path):
    stars[:6].save(tmp_path / "stars.parquet")
    result = run(tmp_path / "stars.parquet", "--checkpoint", "tiny", "--out", tmp_path / "report.html")
    assert result.exit_code == 0 and result.stdout.startswith("report on 6 stars, "), result.output
    assert "<h1>Report on 6 light curves: stars.parquet</h1>" in (tmp_path / "report.html").read_text()


def test_what_is_refused(stars, tmp_path):
    stars[:1].save(tmp_path / "one.parquet")
    for args, reason in (
        ((tmp_path / "none.parquet", "--out", tmp_path / "r.html"), "does not exist"),
        ((tmp_path / "one.parquet", "--out", tmp_path / "r.pdf"), "must end in .html"),
        ((tmp_path / "one.parquet", "--out", tmp_path / "r.html", "--checkpoint", "no"), "no checkpoint no"),
        ((tmp_path / "one.parquet", "--out", tmp_path / "r.html", "--checkpoint", "tiny"), "1 star is too few"),
    ):
        result = run(*args)
        assert result.exit_code == 2 and reason in result.stderr, result.output
    assert not (tmp_path / "r.html").exists()


@pytest.mark.real
@pytest.mark.parametrize(("name", "bands"), [("ztf", ()), ("macho", ("--band", "B=5200", "--band", "R=6900"))])
def test_report_of_real_stars(real_data, tmp_path, name, bands):
    out = tmp_path / "report.html"
    result = run(real_data / f"{name}.parquet", "--checkpoint", "tiny", "--max-stars", 12, "--out", out, *bands)
    assert result.exit_code == 0, result.output
    assert ("come from another survey" in out.read_text()) == (name == "macho")
