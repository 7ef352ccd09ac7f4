"""Catalogues embedded a partition at a time: HATS and shards, resumed, refused, and with a worker killed. Synthetic."""

import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from astraclr import load_checkpoint
from astraclr.analysis import catalogue
from astraclr.analysis.catalogue import embed_catalogue
from astraclr.analysis.partition_tables import embed_partition
from astraclr.catalogs import _dask, partitions
from astraclr.cli import app
from astraclr.data.shard_writer import write_shards
from astraclr.data.table_parts import part_files, read_manifest
from astraclr.evaluate.embedding_tables import read_embeddings
from astraclr.model.embedding import embed

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # LSDB and nested-pandas under pandas 3.1


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def refused(*args):
    result = run(*args)
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[-1]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def hats(stars, tmp_path_factory):
    """A HATS catalogue of 48 stars in several partitions; one star has no usable time."""
    lsdb = pytest.importorskip("lsdb", reason="needs the extra data")
    some, rng = stars[:48], np.random.default_rng(1)
    frame = some.to_nested().rename(columns={"label": "Class"})
    frame["ra"], frame["dec"] = rng.uniform(5, 85, 48), rng.uniform(5, 40, 48)  # few partitions
    mjd = some.mjd.copy()
    mjd[: some.offsets[3]] = np.nan
    frame["lc.mjd"] = mjd
    folder = tmp_path_factory.mktemp("synthetic") / "catalogue"
    lsdb.from_dataframe(frame, partition_rows=16, margin_threshold=None).write_catalog(
        folder, catalog_name="synthetic", progress_bar=False
    )
    return folder


@pytest.fixture(scope="module")
def alone(hats, tmp_path_factory):
    """Its embeddings, made without a cluster."""
    out = tmp_path_factory.mktemp("alone") / "embeddings"
    result = run("embed", hats, "--out", out, "--checkpoint", "tiny", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert f"47 stars in {len(read_manifest(out)['parts'])} partitions" in result.stdout
    assert "note: dropped: " in result.stderr
    return out


def test_the_embeddings_are_those_of_the_stars(alone, stars):
    table, tiny = read_embeddings(alone), load_checkpoint("tiny")
    place = {name: k for k, name in enumerate(stars.object_id)}
    same = stars[np.array([place[name] for name in table.object_id])]
    assert len(table) == 47 and table.checkpoint == tiny.sha256 and table.label.tolist() == same.label.tolist()
    np.testing.assert_allclose(table.x, embed(same, tiny), atol=1e-5)
    assert not list(alone.rglob("*.part"))


def test_a_partition_is_read_in_bounded_pieces(hats, monkeypatch):
    source = partitions.catalogue_of(hats)
    part = max(source.parts, key=lambda p: p.where.stat().st_size)
    (whole,) = source.reader.pieces(part)
    monkeypatch.setattr(partitions, "PIECE_STARS", 3)
    by_stars = list(source.reader.pieces(part))
    monkeypatch.setattr(partitions, "PIECE_BYTES", 1)
    by_bytes = list(source.reader.pieces(part))
    for pieces, most in ((by_stars, 3), (by_bytes, 1)):
        assert max(piece.rows for piece in pieces) == most < whole.rows == sum(piece.rows for piece in pieces)
        names = [name for piece in pieces if piece.stars is not None for name in piece.stars.object_id]
        assert whole.stars is not None and names == whole.stars.object_id.tolist()
        assert pa.concat_tables([p.carried for p in pieces if p.carried is not None]).equals(whole.carried)


def test_lsdb_opens_the_result_and_joins_it_with_its_source(hats, alone):
    lsdb = pytest.importorskip("lsdb", reason="needs the extra data")
    from dask import config

    found, source = lsdb.open_catalog(alone), lsdb.open_catalog(hats)
    with config.set(scheduler="synchronous"):
        joined = source.join(
            found,
            left_on="object_id",
            right_on="object_id",
            suffixes=("", "_found"),
            suffix_method="overlapping_columns",
        ).compute(progress_bar=False)
    assert len(joined) == 47
    assert (joined["Class"] == joined["label"]).all() and (joined["ra"] == joined["ra_found"]).all()


def test_a_second_run_writes_nothing_and_what_is_lost_is_written_again(hats, alone, tmp_path):
    out = shutil.copytree(alone, tmp_path / "copy")
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    result = run("embed", hats, "--out", out, "--checkpoint", "tiny")  # two workers, which need not start
    assert result.stdout == f"all 47 stars were done before: {out}\n"
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before
    part_files(out)[1].write_bytes(b"damaged")
    with pytest.raises(ValueError, match="1 of .* files are missing or damaged"):
        read_embeddings(out)
    assert run("embed", hats, "--out", out, "--checkpoint", "tiny", "--workers", 1).exit_code == 0
    assert contents(out) == contents(alone)


def test_an_interrupted_run_goes_on(hats, alone, tmp_path, monkeypatch):
    out, do_part, calls = tmp_path / "out", catalogue.do_part, []

    def stopping(*call):
        calls.append(call)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return do_part(*call)

    monkeypatch.setattr(catalogue, "do_part", stopping)
    result = run("embed", hats, "--out", out, "--checkpoint", "tiny", "--workers", 1)
    assert result.exit_code == 130 and f"what is done is in {out}" in result.stderr
    assert "not all written yet" in refused("probe", out)
    assert run("embed", hats, "--out", out, "--checkpoint", "tiny", "--workers", 1).exit_code == 0
    assert len(calls) == 1 + len(read_manifest(out)["parts"])
    assert contents(out) == contents(alone)


def test_another_source_checkpoint_or_place_is_refused(hats, alone, tmp_path, stars):
    before = contents(alone)
    line = refused("embed", hats, "--out", alone, "--checkpoint", "laptop")
    assert "holds the results of another run (checkpoint 7d99614a" in line and "choose another folder" in line
    write_shards(stars[:20], tmp_path / "shards", stars_per_shard=8)
    assert "another run (source " in refused("embed", tmp_path / "shards", "--out", alone, "--checkpoint", "tiny")
    assert contents(alone) == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    line = refused("embed", hats, "--out", tmp_path / "full", "--checkpoint", "tiny")
    assert "holds files that this command did not write (notes.txt)" in line
    assert "it would lie among the files of" in refused("embed", hats, "--out", hats / "out")
    stars[:4].save(tmp_path / "s.parquet")
    assert "a folder is written for a HATS" in refused("embed", tmp_path / "s.parquet", "--out", tmp_path / "new")
    one_file = ("embed", hats, "--out", tmp_path / "e.parquet", "--workers", 2)
    assert "give --out the name of a folder" in refused(*one_file)
    assert "give one of them" in refused(*one_file, "--scheduler", "tcp://127.0.0.1:1")
    assert "holds shards" in refused("embed", tmp_path / "shards", "--out", tmp_path / "e.parquet")


def test_shards_are_classified_in_parts(tmp_path, stars):
    write_shards(stars[:20], tmp_path / "shards", stars_per_shard=8)
    how = ("--checkpoint", "tiny", "--workers", 1)
    assert run("predict", tmp_path / "shards", "--out", tmp_path / "classes", *how).exit_code == 0
    stars[:20].save(tmp_path / "s.parquet")
    assert run("predict", tmp_path / "s.parquet", "--out", tmp_path / "one.parquet", *how[:2]).exit_code == 0
    found = pd.concat(map(pd.read_parquet, part_files(tmp_path / "classes")), ignore_index=True)
    wanted = pd.read_parquet(tmp_path / "one.parquet")
    assert [len(pd.read_parquet(f)) for f in part_files(tmp_path / "classes")] == [8, 8, 4]
    assert list(found) == list(wanted) and found["predicted"].tolist() == wanted["predicted"].tolist()
    np.testing.assert_allclose(found["novelty"], wanted["novelty"], rtol=1e-3)
    shard = tmp_path / "shards" / "part-00001-000.arrow"
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    catalogue = partitions.catalogue_of(tmp_path / "shards")
    assert sum(len(p.stars or ()) for p in catalogue.reader.pieces(catalogue.parts[0])) == 8
    with pytest.raises(ValueError, match=r"part-00001-000.arrow has the SHA-256"):
        list(catalogue.reader.pieces(catalogue.parts[1]))


def test_map_partitions_knows_the_columns_from_an_empty_frame(hats, alone):
    lsdb = pytest.importorskip("lsdb", reason="needs the extra data")
    from dask import config

    mapped = lsdb.open_catalog(hats).map_partitions(embed_partition, load_checkpoint("tiny"))
    with config.set(scheduler="synchronous"):
        found = mapped.compute(progress_bar=False)
    assert found.dtypes.to_dict() == mapped.dtypes.to_dict() and found.index.name == "_healpix_29"
    table = read_embeddings(alone)
    x = dict(zip(found["object_id"], found["embedding"], strict=True))
    np.testing.assert_allclose(np.array([x[name] for name in table.object_id]), table.x, atol=1e-5)


@pytest.mark.slow  # two processes that import torch, and a third
def test_a_killed_worker_loses_nothing_and_changes_no_byte(hats, alone, tmp_path):
    out, pid = tmp_path / "out", []

    def kill():
        while not list(out.rglob("Npix=*.parquet")):
            time.sleep(0.005)
        os.kill(pid[0], signal.SIGKILL)

    with _dask.cluster(2) as client:
        pid.append(next(iter(client.run(os.getpid).values())))
        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        found = embed_catalogue(hats, out, "tiny", client=client)
        killer.join(timeout=30)
        assert pid[0] not in client.run(os.getpid).values()
    assert found["rows"] == 47
    assert contents(out) == contents(alone)


def test_damaged_manifests_are_one_line(alone, tmp_path):
    out = shutil.copytree(alone, tmp_path / "copy")
    manifest = json.loads((out / "manifest.json").read_text())
    first = manifest["parts"][0]
    for text in (
        "[]",
        '{"format": "astraclr.tables"',
        *(json.dumps(manifest | {"parts": p}) for p in (3, [3], [first | {"rows": "5"}], manifest["parts"][1:])),
    ):
        (out / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match="is not the manifest of a table in parts"):
            read_manifest(out)
    (out / "manifest.json").write_text(json.dumps(manifest | {"version": 2}))
    with pytest.raises(ValueError, match="format version 2"):
        read_manifest(out)
