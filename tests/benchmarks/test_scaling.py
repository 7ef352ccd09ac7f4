"""What a user who outgrows one machine takes along: the SLURM script, and the benchmark of scaling."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from astraclr.config import preset, recipe
from astraclr.data.shard_writer import write_shards
from astraclr.data.sources import InMemory
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.train.optimizer import BETAS, EPSILON
from astraclr.train.pretrain import views_of
from astraclr.train.step import Training, update

SRUN = '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
TORCHRUN = f'#!/bin/bash\nexec {sys.executable} -m torch.distributed.run "$@"\n'
ALONE = f'#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec {sys.executable} "$@"\n'
SCONTROL = '#!/bin/bash\nif [ "$1" = show ]; then echo localhost; else echo "$@" > "$REQUEUED"; fi\n'


@pytest.fixture
def cluster(tmp_path):
    """The environment of a job of one machine with "2 GPUs", and stand-ins for SLURM's programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"srun": SRUN, "torchrun": TORCHRUN, "scontrol": SCONTROL}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    job = {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_GPUS_ON_NODE": "2",
        "SLURM_JOB_NODELIST": "localhost",
        "REQUEUED": str(tmp_path / "requeued"),
    }
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return os.environ | job | {"PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.mark.slow  # three processes that import torch
def test_the_slurm_script_trains_stops_on_sigterm_and_goes_on(root, cluster, tmp_path):
    """Two ranks, 20 steps on shards: SIGTERM to the batch shell saves the state and asks for a new job."""
    script = root / "book" / "scaling" / "pretrain.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
    write_shards(simulate(60, seed=3), tmp_path / "shards", stars_per_shard=25)
    run, log = tmp_path / "run", tmp_path / "run" / "log.jsonl"
    more = ["--preset", "tiny", "--recipe", "corrected", "--steps", "20"]  # a later word wins over the script's own
    command = ["bash", str(script), str(tmp_path / "shards"), str(run), *more]
    first = subprocess.Popen(command, env=cluster, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while first.poll() is None and time.monotonic() < deadline and not (log.exists() and log.read_text()):
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0 and (run / "state.safetensors").exists(), said
    assert Path(cluster["REQUEUED"]).read_text().split() == ["requeue", cluster["SLURM_JOB_ID"]]
    stopped_at = len(log.read_text().splitlines())
    assert 1 <= stopped_at < 20
    # The same call again; one process can go on with what two began, and torch is imported once.
    (tmp_path / "bin" / "torchrun").write_text(ALONE)
    second = subprocess.run(command, env=cluster, capture_output=True, text=True, timeout=90)
    assert second.returncode == 0, second.stderr
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, 21))
    assert load_checkpoint(run).history["step"].tolist() == list(range(1, 21))


def test_a_fault_is_no_reason_to_be_queued_again(root, cluster, tmp_path):
    (tmp_path / "bin" / "srun").write_text("#!/bin/bash\nexit 3\n")
    command = ["bash", str(root / "book" / "scaling" / "pretrain.sbatch"), "shards", "run"]
    assert subprocess.run(command, env=cluster, check=False).returncode == 3
    assert not Path(cluster["REQUEUED"]).exists()


@pytest.fixture
def scaling(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("scaling")


def test_the_step_that_is_taken_apart_is_the_step_of_pretraining(scaling, stars):
    size, how = replace(preset("tiny"), batch_size=16), recipe("corrected")
    source, rows, weights = InMemory(stars), np.arange(16), []
    for apart in (True, False):
        torch.manual_seed(0)
        encoder = new_encoder(size, how, 0).train()
        optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS, eps=EPSILON)
        for done in range(2):
            if apart:
                clock, _ = scaling.step_in_parts(encoder, optimiser, source, rows, size, how, done)
                assert set(clock.wall) == set(scaling.PARTS) and clock.wall["backward"] > 0
            else:
                training = Training(encoder, size, how)
                update(training, optimiser, views_of(source, rows, training, scaling.Draws(0, done)), done)
        weights.append(torch.cat([p.detach().ravel() for p in encoder.parameters()]))
    assert torch.equal(*weights)


@pytest.mark.slow  # three processes that import torch
def test_scaling_is_measured_along_every_axis(scaling, tmp_path):
    small = {"tiny": (8, 1)}
    ranks = scaling.in_parts(small) + scaling.by_ranks((2,), small, tmp_path)
    found = {
        "stars": scaling.by_stars((40, 60), 1, tmp_path),
        "epochs": scaling.by_epochs((70, 140), 2, 1),
        "batch": scaling.by_batch(("tiny",), (4, 8), 1),
        "ranks": ranks,
    }
    places = [(r["stars"], r["place"]) for r in found["stars"]]
    assert places == [(40, "memory"), (40, "shards"), (60, "memory"), (60, "shards")]
    assert [r["tokens"] for r in found["epochs"]] == [
        pytest.approx(2.5 * n, rel=0.2) for n in (70, 140)
    ]  # the whole star, half of the window, and the hard view without half of its bins
    assert [(r["preset"], r["batch"]) for r in found["batch"]] == [("tiny", 4), ("tiny", 8)]
    assert [r["ranks"] for r in found["ranks"]] == [1, 2]
    scaling.add_floors(found, 1e9)
    for row in [r for rows in found.values() for r in rows]:
        total = sum(row["parts"].values())
        assert row["per_s"] == pytest.approx(row["batch"] / total)  # of one step: medians are sums
        assert row["floor_per_cpu_s"] == pytest.approx(1e9 / row["operations"])
    one, two = ranks
    assert two["floor_per_s"] == pytest.approx(2 * two["floor_per_cpu_s"])
    assert one["parts"].keys() == two["parts"].keys()
