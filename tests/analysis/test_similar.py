"""Stars that are like a given one: exact, through an index, from ids and from light curves. All data are synthetic."""

import json
import shutil
import socket

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from astraclr.analysis.similar import exact, rows_of, similar, unit
from astraclr.cli import app
from astraclr.evaluate.embedding_tables import Embeddings
from astraclr.folders import LOCK, locked
from astraclr.simulation.simulate import simulate


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def refused(*args):
    result = run(*args)
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def table(tmp_path_factory, stars):
    """Folder with stars.parquet and embeddings.parquet of the encoder tiny."""
    folder = tmp_path_factory.mktemp("table")
    stars.save(folder / "stars.parquet")
    out = folder / "embeddings.parquet"
    assert run("embed", folder / "stars.parquet", "--out", out, "--checkpoint", "tiny").exit_code == 0
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A table of 3,000 made-up embeddings in 30 groups."""
    rng = np.random.default_rng(0)
    group = rng.integers(30, size=3_000)
    x = (rng.normal(size=(30, 16))[group] + 0.3 * rng.normal(size=(3_000, 16))).astype(np.float32)
    columns = {"object_id": [f"s{k}" for k in range(3_000)], "label": group.astype(str), "checkpoint": "a" * 64}
    path = tmp_path_factory.mktemp("large") / "embeddings.parquet"
    pd.DataFrame(columns | {"fusion": "mean", "embedding": list(x)}).to_parquet(path)
    return path


def test_exact_search_is_that_of_a_slow_loop():
    x = unit(np.random.default_rng(0).normal(size=(400, 5)))
    index, similarity = exact(x, x[:300], 4)
    for k in (0, 7, 299):
        cosines = np.array([float(np.dot(x[k], other)) for other in x])
        order = np.argsort(-cosines)[:4]
        assert index[k].tolist() == order.tolist() and index[k, 0] == k
        np.testing.assert_allclose(similarity[k], cosines[order], rtol=1e-5)


def test_ids_of_the_table_on_the_terminal_and_in_a_file(table, tmp_path):
    names = ("sim-11-000003", "sim-11-000010")
    out = tmp_path / "similar.csv"
    result = run("similar", table / "embeddings.parquet", "--to", names[0], "--to", names[1], "--k", 3, "--out", out)
    assert result.exit_code == 0 and f"6 neighbours of 2 stars: {out}" in result.stdout
    found = pd.read_csv(out)
    assert found["query"].tolist() == [n for n in names for _ in range(3)] and found["rank"].tolist() == [1, 2, 3] * 2
    assert not (found["query"].to_numpy() == found["object_id"].to_numpy()).any()
    assert all(name in result.stdout for name in found["object_id"])


def test_light_curves_are_embedded_with_the_encoder_of_the_table(table, tmp_path):
    new = simulate(3, seed=5)
    new.save(tmp_path / "new.parquet")
    made, out = table / "embeddings.parquet", tmp_path / "similar.parquet"
    line = refused("similar", made, "--to", tmp_path / "new.parquet")
    assert "the table was made with checkpoint 7d99614a, not f08447a2" in line and "--checkpoint" in line
    how = ("--to", tmp_path / "new.parquet", "--checkpoint", "tiny", "--k", 2, "--out", out)
    assert run("similar", made, *how).exit_code == 0
    found = pd.read_parquet(out)
    assert found["query"].unique().tolist() == new.object_id.tolist() and len(found) == 6
    assert found["similarity"].between(-1, 1.00001).all()


def test_what_cannot_be_compared_is_refused(table, large):
    made = table / "embeddings.parquet"
    assert "the table has no star nobody among its 96" in refused("similar", made, "--to", "nobody")
    assert "k is 96; give 1 to 95" in refused("similar", made, "--to", "sim-11-000003", "--k", 96)
    assert "are for light curves; x is no file" in refused("similar", made, "--to", "x", "--checkpoint", "tiny")
    assert "give one file, or ids" in refused("similar", made, "--to", table / "stars.parquet", "--to", "x")
    a, b = (Embeddings(np.array(["a", "b"]), np.array(["", ""]), np.eye(2), c, "mean") for c in ("x", "y"))
    with pytest.raises(ValueError, match="embed both with the same"):
        similar(a, b, 1)
    assert rows_of(a, ["b", "a"]).tolist() == [1, 0]


def test_an_index_finds_the_nearest_and_is_kept(large, tmp_path):
    pytest.importorskip("faiss", reason="needs the extra similar")
    folder = tmp_path / "index"
    asked = [word for k in range(0, 3_000, 60) for word in ("--to", f"s{k}")]
    for name, more in (("exact.csv", ()), ("made.csv", ("--index", folder)), ("kept.csv", ("--index", folder))):
        result = run("similar", large, *asked, "--out", tmp_path / name, *more)
        assert result.exit_code == 0, result.output
    assert "of the 10 nearest" in result.stderr
    true, made, kept = (pd.read_csv(tmp_path / f) for f in ("exact.csv", "made.csv", "kept.csv"))
    pd.testing.assert_frame_equal(made, kept)
    both = true.merge(made, on=["query", "object_id"])
    assert len(both) >= 0.98 * len(true) == 0.98 * 500
    facts = json.loads((folder / "index.json").read_text())
    assert facts["recall"] >= 0.98 and facts["probes"] <= facts["lists"] == 54


def test_an_index_whose_making_was_killed_is_made_anew(large, tmp_path):
    pytest.importorskip("faiss", reason="needs the extra similar")
    folder = tmp_path / "index"
    assert run("similar", large, "--to", "s1", "--index", folder).exit_code == 0
    whole = (folder / "index.faiss").read_bytes()
    (folder / LOCK).write_text(f"99999999\n{socket.gethostname()}\n")  # killed when all was written
    assert run("similar", large, "--to", "s1", "--index", folder).exit_code == 0
    assert sorted(p.name for p in folder.iterdir()) == ["index.faiss", "index.json"]
    (folder / "index.faiss").unlink()  # its facts have appeared, it has not
    assert run("similar", large, "--to", "s1", "--index", folder).exit_code == 0
    assert (folder / "index.faiss").read_bytes() == whole
    (folder / "index.json").unlink()  # this is no state that a kill leaves: the index may be another's
    assert "did not write (index.faiss)" in refused("similar", large, "--to", "s1", "--index", folder)
    with locked(tmp_path / "new"):
        assert "is being written by process" in refused("similar", large, "--to", "s1", "--index", tmp_path / "new")


def test_an_index_of_another_table_or_encoder_is_refused(large, tmp_path):
    pytest.importorskip("faiss", reason="needs the extra similar")
    folder, copy = tmp_path / "index", shutil.copy(large, tmp_path / "copy.parquet")
    assert run("similar", copy, "--to", "s1", "--index", folder).exit_code == 0
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    table = pd.read_parquet(copy)
    table.assign(label="new").to_parquet(copy)
    assert "the table has changed since" in refused("similar", copy, "--to", "s1", "--index", folder)
    table.assign(checkpoint="b" * 64).to_parquet(copy)
    assert "is of embeddings of checkpoint aaaaaaaa" in refused("similar", copy, "--to", "s1", "--index", folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    (folder / "index.faiss").write_bytes(b"damaged")
    assert "index.faiss is missing or damaged" in refused("similar", large, "--to", "s1", "--index", folder)
    (folder / "index.json").write_text("[1]")
    assert "is not that of an index" in refused("similar", large, "--to", "s1", "--index", folder)
