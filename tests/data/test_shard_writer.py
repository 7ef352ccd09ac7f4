"""Shards of a HATS catalogue, written by Dask workers through LSDB. All data are synthetic."""

import json

import numpy as np
import pytest

from astraclr import catalogs
from astraclr.catalogs.hats_shards import shards_from_hats, write_partition
from astraclr.data.lightcurves import LightCurves
from astraclr.data.shards import Shards

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # LSDB and nested-pandas under pandas 3.1

CUT = {"g": 150, "r": 150}


@pytest.fixture(scope="module")
def hats(stars, tmp_path_factory):
    """A HATS catalogue of the stars in several partitions; every tenth detection is flagged, one star has no time."""
    lsdb = pytest.importorskip("lsdb", reason="needs the extra data")
    rng = np.random.default_rng(1)
    frame = stars.to_nested().rename(columns={"label": "Class"})
    frame["ra"], frame["dec"] = rng.uniform(0, 360, 96), np.degrees(np.arcsin(rng.uniform(-1, 1, 96)))
    flag, mjd = (np.arange(stars.n_obs) % 10 == 0).astype(np.int16), stars.mjd.copy()
    mjd[: stars.offsets[3]] = np.nan
    frame["lc.info"], frame["lc.flag"], frame["lc.mjd"] = np.zeros(stars.n_obs, np.int32), flag, mjd
    folder = tmp_path_factory.mktemp("synthetic") / "catalogue"
    lsdb.from_dataframe(frame, partition_rows=16, margin_threshold=None).write_catalog(
        folder, catalog_name="synthetic", progress_bar=False
    )
    return folder


@pytest.fixture(scope="module")
def alone(hats, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    shards_from_hats(hats, folder, CUT, workers=1, stars_per_shard=7)
    return folder


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.slow  # two processes that import torch and LSDB
def test_two_dask_workers_write_the_same_bytes_as_one(hats, alone, tmp_path):
    found = shards_from_hats(hats, tmp_path, CUT, workers=2, stars_per_shard=7)
    assert len(found["parts"]) > 3
    assert contents(tmp_path) == contents(alone)


def test_the_stars_are_those_that_the_reader_gives(hats, alone):
    wanted = catalogs.zubercal(hats, at_least=CUT)
    shards = Shards(alone, check_hashes=True)
    found = shards.stars(np.arange(len(shards)))
    for c in ("mjd", "mag", "magerr", "offsets", "object_id", "label"):
        np.testing.assert_array_equal(getattr(found, c), getattr(wanted, c))
    notes = shards.manifest["notes"]
    assert notes == wanted.notes and len(notes) == 4, notes  # flags, times, the star without any, the cut
    assert 0 < len(shards) < 95 and max(e["stars"] for p in shards.manifest["parts"] for e in p["shards"]) == 7


def test_a_lost_shard_costs_only_its_partition(hats, alone, tmp_path, monkeypatch):
    for name, data in contents(alone).items():
        (tmp_path / name).write_bytes(data)
    lost = sorted(tmp_path.glob("*.arrow"))[3]
    lost.unlink()
    with pytest.raises(ValueError, match=f"{lost.name} is missing"):
        Shards(tmp_path)
    again = []

    def noted(frame, layout, part, *rest):
        again.append(part)
        return write_partition(frame, layout, part, *rest)

    monkeypatch.setattr("astraclr.catalogs.hats_shards.write_partition", noted)
    for _ in range(2):
        shards_from_hats(hats, tmp_path, CUT, workers=1, stars_per_shard=7)
    assert again == [int(lost.name.split("-")[1])]
    assert contents(tmp_path) == contents(alone)


def test_other_settings_are_refused(hats, alone, tmp_path):
    before = contents(alone)
    with pytest.raises(ValueError, match="written with another at_least: .*'r': 150.*now"):
        shards_from_hats(hats, alone, {"g": 150}, workers=1, stars_per_shard=7)
    with pytest.raises(ValueError, match="cut names the band u"):
        shards_from_hats(hats, tmp_path, {"u": 1}, workers=1)
    with pytest.raises(ValueError, match="workers is 0"):
        shards_from_hats(hats, tmp_path, workers=0)
    with pytest.raises(ValueError, match="is no HATS catalogue"):
        shards_from_hats(tmp_path, tmp_path, workers=1)
    with pytest.raises(ValueError, match="no star is left to write .*g >= 9999"):
        shards_from_hats(hats, tmp_path, {"g": 9999}, workers=1)
    assert contents(alone) == before


def test_without_quality_columns_nothing_is_cut_by_quality(hats, stars, tmp_path):
    found = shards_from_hats(hats, tmp_path, None, workers=1, quality_cut=False)
    assert found["stars"] == 95
    assert json.loads((tmp_path / "manifest.json").read_text()) == found
    shards = Shards(tmp_path)
    lc: LightCurves = shards.stars(np.arange(95))
    place = {name: k for k, name in enumerate(stars.object_id)}
    source = stars[np.array([place[name] for name in lc.object_id])]
    for c in ("mjd", "mag", "magerr", "offsets"):
        np.testing.assert_array_equal(getattr(lc, c), getattr(source, c))
