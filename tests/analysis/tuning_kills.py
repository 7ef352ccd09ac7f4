"""Fine-tuning killed at random moments and started again: the folder must end with the bytes of an undisturbed run.

Usage: python tests/analysis/tuning_kills.py FOLDER --kills 20

Each round kills a run at a random moment, until it is found finished; rounds go on until all kills are spent. Prints
what happened as JSON; exits with 1 where a folder differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from astraclr.analysis.own_labels import tune
from astraclr.config import RECIPES, Preset
from astraclr.evaluate.tuning_settings import Tuning
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate

MINI = Preset("mini", 8, 2, 2, 16, (("g", 8), ("r", 8), ("i", 2)), 10, 10, 8, 1)
SETTINGS = Tuning(layers=1, passes=6, batch_size=8, patience=6, learning_rate=1e-3)


def small():
    """An encoder with random weights, and labelled stars."""
    recipe = RECIPES["recommended"]
    encoder = new_encoder(MINI, recipe, 0).eval()
    return Checkpoint(encoder, MINI, recipe, 0, sha256="0" * 64), simulate(36, seed=3, classes=["RR", "AGN", "LPV"])


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of the files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def started(checkpoint, stars, folder: Path) -> int:
    """The process that fine-tunes; forked, since imports would take longer than the training."""
    child = os.fork()
    if child == 0:
        tune(checkpoint, stars, folder, SETTINGS, progress=False)
        os._exit(0)
    return child


def main(folder: Path, kills: int, seed: int = 5) -> dict[str, int]:
    torch.set_num_threads(1)
    checkpoint, stars = small()
    moments, done = random.Random(seed), {"kills": 0, "after_a_state": 0, "finished": 0, "differ": 0}
    begun = time.monotonic()
    os.waitpid(started(checkpoint, stars, folder / "whole"), 0)
    lasts, wanted, killed = time.monotonic() - begun, contents(folder / "whole"), folder / "killed"
    while done["kills"] < kills:
        child, until = started(checkpoint, stars, killed), time.monotonic() + moments.random() * lasts
        ended = 0
        while time.monotonic() < until and not ended:
            ended = os.waitpid(child, os.WNOHANG)[0]
            time.sleep(0.001)
        if not ended:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            done["kills"] += 1
            done["after_a_state"] += (killed / "state.safetensors").exists()
            if done["kills"] < kills:
                continue
            os.waitpid(started(checkpoint, stars, killed), 0)
        done["finished"] += 1
        done["differ"] += contents(killed) != wanted
        shutil.rmtree(killed)
    return done


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    given = parser.parse_args()
    found = main(given.folder, given.kills)
    print(json.dumps(found))
    sys.exit(found["differ"] > 0)
