"""Two processes that train together, against one with the whole batch."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.model.checkpoint import load_checkpoint
from astraclr.simulation.simulate import simulate
from astraclr.train.distributed import ALONE, Ranks, first_rank, joined, shared

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

DRIVER = """
import os, signal, socket, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import torch, torch._dynamo, torch.distributed, safetensors.torch  # once, not in every child
from astraclr.train import pretrain as pretraining
from astraclr.train.distributed import joined
from astraclr.model.encoder import new_encoder
from astraclr.train.counter_rng import Draws
from astraclr.data.tokens import prepare
from astraclr.config import RECIPES, preset
from astraclr.train.pretrain import pretrain, views_of
from astraclr.train.step import Training, update, validate
from astraclr.data.sources import InMemory
from astraclr.simulation.simulate import simulate
from astraclr.train.summary_targets import Summaries

torch.set_num_threads(1)
out, stars = Path(sys.argv[1]), simulate(24, seed=2)
size = replace(preset("tiny"), d_model=32, d_ff=64, n_layers=1, batch_size=16, steps=8, evaluate_every=4, replicas=4)
recipes = {name: replace(RECIPES[name], dropout=0.0) for name in ("corrected", "paper", "recommended")}
recipes["parted"] = replace(recipes["recommended"], negatives="replica")

def gradients(ranks):
    found = {}
    for name, how in recipes.items():
        encoder = new_encoder(size, how, 0)
        rows = np.arange(16)[ranks.share(16)]
        training = Training(encoder, replace(size, warmup=100), how, ranks)
        views = views_of(InMemory(stars), rows, training, Draws(0))
        optimiser = torch.optim.Adam(encoder.parameters())
        summaries = Summaries(InMemory(stars), np.arange(20)) if how.summaries else None
        truth, all_truth = (None, None) if summaries is None else (summaries.of(rows), summaries.of(np.arange(24)))
        taken = update(training, optimiser, views, 5, truth)
        found |= {f"{name}/{term.name}": term.loss for term in taken.terms}
        found |= {f"{name}/{k}": p.grad for k, p in encoder.named_parameters()}
        every, three = torch.arange(24), replace(size, batch_size=8, replicas=1)  # batches, so ranks have two and one
        seen = validate(Training(encoder, three, how, ranks), prepare(stars), every, 0, truth=all_truth)
        found |= {f"{name}/{k}": torch.tensor(v) for k, v in seen.items()}
    return {k: v.detach().numpy() for k, v in found.items()}

def work(where, ranks):
    where.mkdir(exist_ok=True)
    if ranks.size == 2:
        try:
            pretrain(stars, size, seed=ranks.rank, progress=False)
        except ValueError as error:
            (where / f"refused-{ranks.rank}").write_text(str(error))
    np.savez(where / f"gradients-{ranks.rank}.npz", **gradients(ranks))
    for name, how in recipes.items():
        run = pretrain(stars, size, how, progress=False, out=where / name)
        run.history.to_csv(where / f"{name}-{ranks.rank}.csv", index=False)
        np.savez(where / f"{name}-{ranks.rank}.npz", **run.encoder.state_dict())
    # Only the second rank is asked to stop: both do, after the same step, and only the first writes.
    taken = []
    def struck(*args):
        found = update(*args)
        taken.append(1)
        if len(taken) == 3 and ranks.rank == ranks.size - 1:
            signal.raise_signal(signal.SIGTERM)
        return found
    pretraining.update = struck
    try:
        pretrain(stars, size, recipes["corrected"], seed=1, progress=False, out=where / "stopped")
    except SystemExit as end:
        (where / f"stopped-{ranks.rank}").write_text(f"{end.code} {len(taken)}")
    pretraining.update = update
    pretrain(stars, size, recipes["corrected"], seed=1, progress=False, out=where / "stopped")

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
children = []
for rank in range(2):
    children.append(os.fork())
    if children[-1] == 0:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        signal.alarm(90)  # one that waits for the other for ever ends
        with joined("cpu") as ranks:
            work(out / "two", ranks)
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
with joined("cpu") as ranks:
    work(out / "one", ranks)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Folder with what one process ("one") and two ("two") computed from the same command."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    out = tmp_path_factory.mktemp("ranks")
    driver = subprocess.run(
        [sys.executable, "-c", DRIVER, str(out)], capture_output=True, text=True, timeout=120, env=ENVIRONMENT
    )
    assert driver.returncode == 0, driver.stderr
    return out


def close(a, b, tolerance):
    with np.load(a) as ours, np.load(b) as theirs:
        assert ours.files == theirs.files and len(ours.files) > 10
        for name in ours.files:
            scale = max(1e-3, np.abs(theirs[name]).max())
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("rank", [0, 1])
def test_loss_and_gradients_of_two_ranks_are_those_of_one_process(ran, rank):
    """Negatives from the whole batch, and inside four replicas, clipped each for itself (paper, parted)."""
    close(ran / "two" / f"gradients-{rank}.npz", ran / "one" / "gradients-0.npz", 2e-5)


@pytest.mark.parametrize("name", ["corrected", "paper", "recommended", "parted"])
def test_the_steps_of_two_ranks_are_those_of_one_process(ran, name):
    one = pd.read_csv(ran / "one" / f"{name}-0.csv")
    for rank in (0, 1):
        pd.testing.assert_frame_equal(pd.read_csv(ran / "two" / f"{name}-{rank}.csv"), one, rtol=1e-4)
    with np.load(ran / "two" / f"{name}-0.npz") as a, np.load(ran / "two" / f"{name}-1.npz") as b:
        assert all(np.array_equal(a[k], b[k]) for k in a.files)  # ranks never drift apart
    assert len((ran / "two" / name / "log.jsonl").read_text().splitlines()) == 8


def test_a_signal_to_one_rank_stops_both_after_the_same_step(ran):
    assert [(ran / "two" / f"stopped-{rank}").read_text() for rank in (0, 1)] == ["143 3", "143 3"]
    steps = [json.loads(line)["step"] for line in (ran / "two" / "stopped" / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))
    close_losses = [load_checkpoint(ran / n / "stopped").history["loss"].to_numpy() for n in ("one", "two")]
    np.testing.assert_allclose(*close_losses, rtol=1e-4)


def test_ranks_that_were_started_differently_refuse(ran):
    for rank in (0, 1):
        assert "ranks were started with different settings" in (ran / "two" / f"refused-{rank}").read_text()


def test_torchrun_and_the_command_line(tmp_path):
    """Two processes as a user starts them; with drop-out, which each rank draws for itself, losses differ a little."""
    stars = simulate(30, seed=2)
    stars.save(tmp_path / "stars.parquet")
    command = ["-m", "astraclr.cli", "pretrain", str(tmp_path / "stars.parquet"), "--steps", "20", "--out"]
    rank = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    two = subprocess.run(
        [sys.executable, *rank, *command, str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=120,
        env=ENVIRONMENT,
    )
    assert two.returncode == 0, two.stderr
    assert len(two.stdout.splitlines()) == 2 and two.stdout.startswith("tiny-corrected-0-")  # one rank speaks
    history = cast(Any, load_checkpoint(tmp_path / "two").history)
    assert history["step"].tolist() == list(range(1, 21)) and history["val_loss"].notna().sum() == 1
    from astraclr.train.pretrain import pretrain

    one = pretrain(stars, steps=3, progress=False).history
    np.testing.assert_allclose(history["loss"][:3], one["loss"], atol=0.1)


def test_alone_nothing_is_sent():
    z = torch.zeros(3, 4, 2)
    assert ALONE.gathered(z) is z and ALONE.largest(7) == 7 and ALONE.share(10) == slice(0, 10)
    ALONE.sum_([z])
    ALONE.check_agreement("whatever")


def test_shares_are_equal_and_whole():
    rows = [np.arange(12)[Ranks(rank, 3).share(12)] for rank in range(3)]
    assert np.concatenate(rows).tolist() == list(range(12)) and {len(r) for r in rows} == {4}


def test_only_torchruns_variables_make_a_process_join(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert first_rank()
    monkeypatch.setenv("WORLD_SIZE", "2")  # of some other program
    with joined("cpu") as ranks:
        assert ranks == ALONE
    monkeypatch.setenv("RANK", "1")
    assert not first_rank()


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    corrected, paper, size = RECIPES["corrected"], RECIPES["paper"], preset("tiny")
    two, three = Ranks(0, 2), Ranks(0, 3)
    assert shared(size, corrected, 128, two) is size
    assert shared(size, paper, 128, two).replicas == 2  # recorded in the checkpoint: it changes the method
    assert shared(preset("paper"), paper, 624, two).replicas == 8
    assert shared(preset("paper"), paper, 624, ALONE).replicas == 8
    with pytest.raises(ValueError, match="3 ranks cannot share a batch of 128 stars in 3 replicas equally"):
        shared(size, corrected, 128, three)
    with pytest.raises(ValueError, match="3 ranks cannot share a batch of 624 stars in 8 replicas"):
        shared(preset("paper"), paper, 624, three)
    with pytest.raises(ValueError, match="in 5 replicas"):
        shared(replace(size, replicas=5), paper, 128, Ranks(0, 5))
