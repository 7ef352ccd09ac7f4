"""Shards give back what went in, are written once, name what is damaged, and read as a seeded shuffle."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import preset, recipe
from astraclr.data import shard_manifest, shard_writer
from astraclr.data.lightcurves import concatenate
from astraclr.data.shard_writer import write_shards
from astraclr.data.shards import Shards
from astraclr.data.sources import InMemory, fingerprint, shuffled
from astraclr.data.tokens import prepare
from astraclr.folders import locked
from astraclr.train.counter_rng import Draws
from astraclr.train.pretrain import pretrain
from astraclr.train.views import make_views

COLUMNS = ("mjd", "mag", "magerr", "offsets", "object_id", "label", "period")


@pytest.fixture(scope="module")
def written(stars, tmp_path_factory):
    """The 96 stars in four shards, of three pieces that are cut elsewhere."""
    folder = tmp_path_factory.mktemp("shards")
    pieces = [replace(stars[:17], notes={"dropped: a": 2}), stars[17:80], replace(stars[80:], notes={"dropped: a": 1})]
    write_shards(iter(pieces), folder, stars_per_shard=30)
    return folder


@pytest.fixture
def copy(written, tmp_path):
    for file in written.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def assert_same(found, wanted):
    for c in COLUMNS:
        ours, theirs = getattr(found, c), getattr(wanted, c)
        assert ours.dtype.kind == theirs.dtype.kind, c
        np.testing.assert_array_equal(ours, theirs, err_msg=c)
    assert list(found.bands.items()) == list(wanted.bands.items())
    assert found.mag.dtype == found.magerr.dtype == np.float32 and found.mjd.dtype == np.float64


def test_every_star_comes_back_bit_for_bit(stars, written):
    shards = Shards(written)
    assert (len(shards), shards.n_obs) == (len(stars), stars.n_obs)
    assert_same(shards.stars(np.arange(96)), stars)
    np.testing.assert_array_equal(shards.counts, stars.counts)
    rows = np.array([95, 3, 3, 29, 30, 0, 61])  # from all four shards, out of order, one twice
    assert_same(shards.stars(rows), stars[rows])
    assert len(shards.stars(np.array([], int))) == 0


def test_the_manifest_adds_up(stars, written):
    book = json.loads((written / "manifest.json").read_text())
    assert [p["shards"][0]["stars"] for p in book["parts"]] == [30, 30, 30, 6]
    assert book["stars"] == 96 and book["notes"] == {"dropped: a": 3}
    assert list(book["observations"].values()) == stars.counts.sum(axis=0).tolist()
    assert book["bytes"] == sum(p.stat().st_size for p in written.glob("*.arrow"))
    assert book["bands"] == stars.bands and "/" not in json.dumps(book["settings"])


def test_the_same_bytes_whatever_the_pieces_and_nothing_is_written_twice(stars, copy):
    before, times = contents(copy), {p.name: p.stat().st_mtime_ns for p in copy.glob("*.arrow")}
    for pieces in (stars, [stars[k : k + 1] for k in range(96)]):
        write_shards(pieces, copy, 30)
        assert contents(copy) == before
    assert {p.name: p.stat().st_mtime_ns for p in copy.glob("*.arrow")} == times


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(stars, tmp_path, monkeypatch):
    write_shards(stars, tmp_path / "once", 20)
    monkeypatch.setattr(shard_manifest, "_SECONDS_BETWEEN_SAVES", 0)
    original, calls = shard_writer._write, []

    def write(lc, file):
        if file is not None:
            calls.append(1)
            if len(calls) == 3:
                file.write(b"half a shard")
                raise KeyboardInterrupt
        return original(lc, file)

    monkeypatch.setattr(shard_writer, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        write_shards(stars, tmp_path / "twice", 20)
    assert sorted(p.name for p in (tmp_path / "twice").iterdir()) == [
        "manifest.json",
        "part-00000-000.arrow",
        "part-00001-000.arrow",
    ]
    with pytest.raises(ValueError, match="not all written yet"):
        Shards(tmp_path / "twice")
    (tmp_path / "twice" / ".part-00002-000.arrow.1.part").write_bytes(b"left by SIGKILL")
    write_shards(stars, tmp_path / "twice", 20)
    assert len(calls) == 3 + 3  # the two that were whole are not written again
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")


def test_a_lost_or_damaged_shard_is_named_and_alone_written_again(stars, copy):
    before = contents(copy)
    (copy / "part-00001-000.arrow").unlink()
    short = copy / "part-00002-000.arrow"
    short.write_bytes(short.read_bytes()[:-100])
    size = len(before[short.name])
    with pytest.raises(ValueError) as error:
        Shards(copy)
    assert "part-00001-000.arrow is missing" in str(error.value) and "2 of 4" in str(error.value)
    assert f"part-00002-000.arrow has {size - 100:,} bytes, not {size:,}" in str(error.value)
    untouched = (copy / "part-00000-000.arrow").stat().st_mtime_ns
    write_shards(stars, copy, 30)
    assert contents(copy) == before and (copy / "part-00000-000.arrow").stat().st_mtime_ns == untouched


def test_a_changed_byte_is_found_when_hashes_are_asked_for_and_mended(stars, copy):
    damaged = bytearray((copy / "part-00000-000.arrow").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (copy / "part-00000-000.arrow").write_bytes(damaged)
    Shards(copy)
    entry = json.loads((copy / "manifest.json").read_text())["parts"][0]["shards"][0]
    with pytest.raises(ValueError, match=f"part-00000-000.arrow has the SHA-256 .*, not {entry['sha256']}"):
        Shards(copy, check_hashes=True)
    write_shards(stars, copy, 30)
    Shards(copy, check_hashes=True)


def test_bytes_of_the_right_size_that_are_no_shard_are_named(copy):
    path = copy / "part-00000-000.arrow"
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(ValueError, match="part-00000-000.arrow is not a shard"):
        Shards(copy).stars(np.array([2]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "not a manifest"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "format version 2; this version"),
        (lambda text: text.replace('"stars": 96', '"stars": 97'), "do not add up"),
        (lambda text: text.replace('"file": "part-00000', '"file": "../part-00000'), "no name of a file"),
        (lambda text: "[]", "not a manifest"),
    ],
)
def test_a_damaged_manifest_is_refused(copy, change, said):
    path = copy / "manifest.json"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(ValueError, match=said):
        Shards(copy)


def test_no_manifest_other_settings_and_other_stars_are_refused(stars, copy, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match="manifest.json does not exist"):
        Shards(tmp_path_factory.mktemp("empty"))
    before = contents(copy)
    for other, size, said in (
        (stars, 31, "another stars_per_shard"),
        (stars[::-1], 30, "part 0 differs"),
        (stars[:30], 30, "holds 4 parts, these stars make 1"),
    ):
        with pytest.raises(ValueError, match=said):
            write_shards(other, copy, size)
    with pytest.raises(ValueError, match="bands differ"):
        write_shards(replace(stars, bands={"u": 3500.0, "g": 4700.0, "r": 6200.0}), copy, 30)
    assert contents(copy) == before  # and still complete
    with pytest.raises(ValueError, match="give at least 1"):
        write_shards(stars, copy, 0)


def test_parts_that_end_in_any_order_make_the_same_manifest(written, tmp_path):
    parts = json.loads((written / "manifest.json").read_text())["parts"]
    for name, order in (("a", parts), ("b", parts[::-1])):
        with shard_manifest.Book(tmp_path / name, {}) as book:
            book.in_bands({"g": 1.0})
            for part in order:
                book.add(part)
            book.finished(4)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_nothing_to_write_and_a_star_in_two_pieces_are_refused(stars, tmp_path):
    with pytest.raises(ValueError, match="no star is left"):
        write_shards([], tmp_path / "a")
    with pytest.raises(ValueError, match="1 object ids .* more than once"):
        write_shards([stars[:5], stars[4:8]], tmp_path / "b")
    with pytest.raises(ValueError, match="not all written"):
        Shards(tmp_path / "b")


def test_only_what_is_asked_for_is_read(copy, stars):
    shards, wanted = Shards(copy), prepare(stars[[1]])
    for name in ("part-00001-000.arrow", "part-00002-000.arrow", "part-00003-000.arrow"):
        (copy / name).unlink()
    path = copy / "part-00000-000.arrow"
    held = path.read_bytes()
    for column in (stars.mjd, stars.mag, stars.magerr):  # the other stars' observations are spoilt
        spoilt = column[: stars.offsets[90]].copy()
        spoilt[: stars.offsets[3]] = spoilt[stars.offsets[6] :] = -1
        assert held.count(column[: stars.offsets[90]].tobytes()) == 1
        held = held.replace(column[: stars.offsets[90]].tobytes(), spoilt.tobytes())
    path.write_bytes(held)
    found = shards.prepared(np.array([1]))
    assert torch.equal(found.mag, wanted.mag) and torch.equal(found.times, wanted.times)


def test_a_shard_cut_short_while_in_use_is_named(copy):
    shards = Shards(copy)
    shards.prepared(np.arange(5))
    path = copy / "part-00000-000.arrow"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="part-00000-000.arrow has become shorter"):
        shards.prepared(np.arange(5))


@pytest.mark.parametrize("rows", [[96], [-1], [0.5]])
def test_numbers_of_no_star_are_refused(written, rows):
    with pytest.raises(IndexError, match="numbered 0 to 95"):
        Shards(written).stars(np.array(rows))


@pytest.mark.parametrize("n", [1, 63, 500, 1_000, 1_537])
def test_shuffled_is_a_seeded_permutation(n):
    rows = np.random.default_rng(0).permutation(5 * n)[:n]
    order = shuffled(rows, 3, 1, block=16, buffer=256)
    np.testing.assert_array_equal(np.sort(order), np.sort(rows))
    np.testing.assert_array_equal(order, shuffled(rows, 3, 1, block=16, buffer=256))
    if n > 1:
        assert (order != shuffled(rows, 3, 2, block=16, buffer=256)).any()
        assert (order != shuffled(rows, 4, 1, block=16, buffer=256)).any()
    if n <= 256:
        np.testing.assert_array_equal(order, rows[np.random.default_rng([3, 1]).permutation(n)])


def test_shuffled_reads_locally_and_mixes_the_whole():
    n, block, buffer = 20_000, 16, 1_024
    rows = np.random.default_rng(9).permutation(n)  # as a split into training and validation gives them
    order = shuffled(rows, 0, 0, block, buffer)
    for k in range(0, n - buffer, buffer):
        some = np.sort(order[k : k + buffer])
        runs = 1 + np.count_nonzero(np.diff(some) > 1)
        assert runs <= buffer // block + 1  # as many reads as blocks, not as many as stars
        assert abs(some.mean() / n - 0.5) < 0.2  # from everywhere: six standard errors of 64 blocks are 0.22
    cuts = []
    for epoch in range(3):
        some = np.sort(shuffled(rows, 0, epoch, block, buffer)[:buffer])
        cuts.append(np.bincount(some[1:][np.diff(some) > 1] % block, minlength=block).argmax())
    assert len(set(cuts)) > 1  # neighbours are parted elsewhere every epoch
    batch = order[: 128 * (n // 128)].reshape(-1, 128)
    mates = [np.mean([np.sum(b // block == s // block) - 1 for s in b]) for b in batch]
    assert 1.2 < np.mean(mates) < 2.2  # 15 * 127 / 1023 = 1.86, fewer where a block is cut by the shift


def test_batches_are_the_same_on_every_machine(written):
    found = list(Shards(written).batches(seed=5, epoch=2, batch_size=20))
    assert [len(b) for b in found] == [20, 20, 20, 20]
    assert found[0][:6].tolist() == np.random.default_rng([5, 2]).permutation(96)[:6].tolist()
    rows = np.arange(40, 90)
    some = np.concatenate(list(Shards(written).batches(5, 2, 25, rows)))
    np.testing.assert_array_equal(np.sort(some), rows)


def test_a_prepared_batch_is_what_prepare_makes_of_it(stars, written):
    rows = np.array([70, 2, 33, 95, 31])
    for source in (Shards(written), InMemory(stars)):
        found, wanted = source.prepared(rows), prepare(stars[rows])
        for c in ("mag", "times", "magerr", "offsets", "log_wavelength"):
            assert torch.equal(getattr(found, c), getattr(wanted, c)), c
        assert found.bands == wanted.bands and len(found) == 5
        views = [
            make_views(data, at, preset("tiny"), recipe("corrected"), Draws(1), torch.as_tensor(rows))
            for data, at in ((found, torch.arange(5)), (prepare(stars), torch.as_tensor(rows)))
        ]
        for ours, theirs in zip(*views, strict=True):
            assert torch.equal(ours.mag, theirs.mag) and torch.equal(ours.times, theirs.times)


def test_sources_agree_on_order_and_tell_stars_apart(stars, written):
    here, there = Shards(written), InMemory(stars)
    rows = np.random.default_rng(1).permutation(96)[:76]
    np.testing.assert_array_equal(here.order(rows, 0, 3), there.order(rows, 0, 3))
    assert len(here) == len(there) == 96 and there.fingerprint == fingerprint(stars)
    assert here.fingerprint == Shards(written).fingerprint and here.fingerprint.startswith("96 stars")


def test_a_cut_is_counted_and_belongs_to_the_settings(stars, tmp_path):
    cut = {"g": 200, "r": 200}
    wanted = stars.with_counts(cut)
    pieces = [replace(stars[:40], notes={"dropped: a": 1}), stars[40:]]
    found = write_shards(pieces, tmp_path, 25, cut)
    assert_same(Shards(tmp_path).stars(np.arange(len(wanted))), wanted)
    lost = {"dropped: star without g >= 200, r >= 200 observations": 96 - len(wanted)}
    assert found["notes"] == {"dropped: a": 1} | lost and 0 < len(wanted) < 96
    with pytest.raises(ValueError, match="written with another at_least"):
        write_shards(pieces, tmp_path, 25)


def test_pieces_may_be_larger_and_smaller_than_a_shard(stars, tmp_path):
    write_shards(stars[:50], tmp_path / "many", 8)
    assert_same(Shards(tmp_path / "many").stars(np.arange(50)), stars[:50])
    one = write_shards(stars[:1], tmp_path / "one")
    assert one["stars"] == 1
    assert_same(Shards(tmp_path / "one").stars(np.array([0])), stars[:1])
    assert_same(concatenate([Shards(tmp_path / "many").stars(np.array([k])) for k in (4, 9)]), stars[[4, 9]])


def test_a_shard_of_a_later_version_or_in_other_bands_than_its_manifest_is_refused(stars, tmp_path, monkeypatch):
    write_shards(stars[:4], tmp_path / "a")
    text = (tmp_path / "a" / "manifest.json").read_text()
    (tmp_path / "a" / "manifest.json").write_text(text.replace('"g": 4746.48', '"g": 4800.0'))
    with pytest.raises(ValueError, match=r"part-00000-000.arrow is in the bands .*4746.48.*, its manifest says .*4800"):
        Shards(tmp_path / "a").stars(np.array([0]))
    monkeypatch.setattr("astraclr.data.parquet._VERSION", 2)
    write_shards(stars[:4], tmp_path / "b")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="part-00000-000.arrow has format version 2; this version"):
        Shards(tmp_path / "b").stars(np.array([0]))


def test_files_of_others_are_neither_overwritten_nor_removed(stars, copy, tmp_path_factory):
    for name in (".theirs.123.part", ".notes.part", ".part-00000-000.arrow.part"):
        (copy / name).write_text("theirs")
    (copy / ".part-00000-000.arrow.123.part").write_text("ours")
    write_shards(stars, copy, 30)
    assert sorted(p.name for p in copy.glob(".*")) == [".notes.part", ".part-00000-000.arrow.part", ".theirs.123.part"]
    for name in ("notes.txt", "part-00000-000.arrow"):
        folder = tmp_path_factory.mktemp("theirs")
        (folder / name).write_text("theirs")
        with pytest.raises(ValueError, match=f"did not write .{name}.*choose an empty or a new folder"):
            write_shards(stars, folder, 30)
        assert contents(folder) == {name: b"theirs"}


def test_shards_of_a_run_killed_before_its_first_manifest_are_its_own(stars, copy):
    before = contents(copy)
    (copy / "manifest.json").unlink()
    write_shards(stars, copy, 30)
    assert {k: v for k, v in contents(copy).items() if k != "manifest.json"} == {
        k: v for k, v in before.items() if k != "manifest.json"
    }


def test_a_second_run_into_a_folder_is_refused(stars, copy):
    before = contents(copy)
    with locked(copy), pytest.raises(ValueError, match=f"is being written by process {os.getpid()} on"):
        write_shards(stars, copy, 30)
    assert contents(copy) == before


def test_training_reads_no_damaged_shard(stars, copy, tmp_path_factory):
    path = copy / "part-00001-000.arrow"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    out = tmp_path_factory.mktemp("out")
    with pytest.raises(ValueError, match="1 of 4 shards are missing or damaged: part-00001-000.arrow has the SHA-256"):
        pretrain(Shards(copy), "tiny", steps=1, out=out, progress=False)
    assert not list(out.iterdir())


def test_a_cut_that_drops_all_or_the_last_stars_is_counted(stars, tmp_path):
    lost = "dropped: star without g >= 9999 observations"
    with pytest.raises(
        ValueError, match=f"no star is left to write .{lost}: 96.; if a cut dropped them, ask for fewer"
    ):
        write_shards([stars[:50], stars[50:]], tmp_path / "a", cut={"g": 9999})
    assert not list((tmp_path / "a").iterdir())
    nothing = replace(stars[50:51][np.zeros(1, bool)], notes={"dropped: b": 3})
    found = write_shards([stars[:50], nothing], tmp_path / "b", 30)
    assert found["notes"] == {"dropped: b": 3} and found["stars"] == 50


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m | {"bands": ["g"]}, "bands, complete or settings"),
        (lambda m: m | {"bands": {"g": "4746"}}, "bands, complete or settings"),
        (lambda m: m | {"complete": 1}, "bands, complete or settings"),
        (lambda m: m | {"settings": None}, "bands, complete or settings"),
        (lambda m: m | {"parts": {}}, "parts are no list"),
        (lambda m: m | {"parts": [7]}, "not a manifest"),
        (lambda m: m | {"parts": [m["parts"][0]] * 2}, "more than once"),
        (lambda m: {k: v for k, v in m.items() if k != "parts"}, "it lacks parts"),
        (lambda m: {k: v for k, v in m.items() if k != "notes"}, "it lacks 'notes'"),
        (lambda m: changed_entry(m, stars=10**15), "more stars or observations than bytes"),
        (lambda m: changed_entry(m, stars=-1), "no count of stars"),
        (lambda m: changed_entry(m, bytes="9"), "no count of stars"),
        (lambda m: changed_entry(m, sha256=None), "no SHA-256"),
        (lambda m: changed_entry(m, observations=[1]), "not a count for each name"),
        (lambda m: changed_entry(m, file=7), "no name of a file"),
        (lambda m: m | {"version": "1"}, "format version 1"),
        (lambda m: m | {"settings": {"a": json.loads("[" * 900 + "]" * 900)}}, ""),
    ],
)
def test_a_manifest_of_wrong_types_or_sizes_is_refused(copy, change, said):
    path = copy / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    if said:
        with pytest.raises(ValueError, match=f"manifest.json.*{said}"):
            Shards(copy)
    else:
        Shards(copy)  # what settings hold is nobody's business but the writer's


def changed_entry(manifest, **changes):
    part = manifest["parts"][0]
    return manifest | {"parts": [part | {"shards": [part["shards"][0] | changes]}, *manifest["parts"][1:]]}
