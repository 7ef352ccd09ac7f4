"""Few labels, and the unlabelled stars once more: fine-tuning on random windows, and with a teacher's guesses.

Usage: python benchmarks/self_training.py [--checkpoint laptop] [--seeds 3] [--out FILE] [--explored FILE] [--quick]

One thread. Labels are 2 % of the stars that the encoder was trained on, the draws of benchmarks/few_labels.py; test
stars are others than there. The recipe had been fixed before these were simulated: what was tried on other stars lies
beside it under `explored`, which later runs keep. Writes benchmarks/results/self_training.json after every draw.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from _measure import write_results
from _self_training import (
    BATCH,
    DROPOUT,
    PENALTIES,
    UNLABELLED,
    Inputs,
    best_probe,
    self_train,
    soft_probe,
    teacher,
)
from few_labels import LABEL_SEED, SHARE_OF_LABELS

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.heads import probe_head
from astraclr.evaluate.metrics import score
from astraclr.evaluate.probes import best_setting
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.simulation.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "self_training.json"
TEST_SEED, UNLABELLED_SEED = 921_000, 1_000
"""Fresh stars; and those that preset laptop was pre-trained on, of which the first are used again."""
PLAIN_RATE, TAUGHT_RATE = 1e-4, 5e-4
NOTE = (
    "The way with windows and summaries, and the teacher, read numbers of whole light curves that the linear probe "
    "does not: their gain is that of the inputs, and nothing is thawed. What was explored is of other stars "
    "(choosing stars: 2,000 of seed 940000), most of it with five windows, and its thawed runs are of one draw; "
    "the recipe of the last row puts its parts together and was not itself tried before."
)
FULL = {"test": 2_000, "unlabelled": 5_000, "steps": 120}
QUICK = {"test": 60, "unlabelled": 60, "steps": 1, "labels": 60}


class Scoreboard:
    """Rows of one draw of labels: way, accuracy, macro_f1, and its CPU seconds without those of embedding stars."""

    def __init__(self, truth: np.ndarray, facts: dict[str, Any]) -> None:
        self.truth, self.facts, self.begun = truth, facts, time.process_time()
        self.rows: list[dict[str, Any]] = []

    def add(self, way: str, predicted: np.ndarray, **more: Any) -> None:
        """Add a row, whose CPU seconds are those since the row before."""
        found = score(self.truth, predicted)
        row = {"way": way, "accuracy": found.accuracy, "macro_f1": found.macro_f1, **more}
        row["cpu_seconds"] = round(time.process_time() - self.begun)
        self.rows.append({"seed": self.facts["seed"], **row, **self.facts})
        print(f"draw {self.facts['seed']}, {way}: {found.accuracy:.4f}", flush=True)
        self.begun = time.process_time()


def rows(
    checkpoint: Checkpoint,
    size: dict[str, int],
    seed: int,
    test: tuple[LightCurves, Inputs],
    unlabelled: tuple[LightCurves, Inputs],
) -> list[dict[str, Any]]:
    """Rows of every way to use the labels of one draw."""
    n = size.get("labels") or round(SHARE_OF_LABELS * checkpoint.preset.n_stars)
    both = simulate(2 * n, seed=LABEL_SEED + seed)
    train, validation = both[:n], both[n:]
    x, z = Inputs.of(train, checkpoint), Inputs.of(validation, checkpoint)
    classes, code = np.unique(train.label, return_inverse=True)
    (stars, known), (more, their) = test, unlabelled
    board = Scoreboard(stars.label, {"seed": seed, "n_fit": n, "n_choose": n, "n_test": len(stars)})
    probe, C, chosen = best_probe(x.windows, train.label, z.windows, validation.label)
    board.add("linear probe", probe.predict(known.windows), setting=C, chosen=chosen)
    wide = [part.joined(their) for part in (x, z, known)]
    line, wide_C, chosen = best_probe(wide[0], train.label, wide[1], validation.label)
    board.add("linear probe of windows and summaries", line.predict(wide[2]), setting=wide_C, chosen=chosen)
    probabilities = teacher(x, train.label, their, seed)
    guesses = probabilities(their)
    right = score(more.label, classes[guesses.argmax(1)]).accuracy
    board.add("teacher", classes[probabilities(known).argmax(1)], right_about_unlabelled=right)
    target = np.vstack([np.eye(len(classes), dtype=np.float32)[code], guesses])
    heads = {C: soft_probe(np.vstack([x.windows, their.windows]), target, C) for C in PENALTIES}
    predicted = {C: classes[_class_numbers(head, z.windows)] for C, head in heads.items()}
    best, accuracies = best_setting(predicted, validation.label)
    of_test = classes[_class_numbers(heads[best], known.windows)]
    board.add("linear probe of the teacher's guesses", of_test, setting=best, chosen=accuracies[best])
    how: dict[str, Any] = {"steps": size["steps"], "seed": seed}
    taught = {"unlabelled": more, "guesses": guesses}
    for way, rate, also in (
        ("whole encoder, random windows", PLAIN_RATE, {}),
        ("whole encoder, self-training", TAUGHT_RATE, taught),
    ):
        head = probe_head(probe, x.windows, DROPOUT)
        tuned = self_train(checkpoint, train, head, learning_rate=rate, **how, **also)
        board.add(way, tuned.predict(stars), setting=rate)
    return board.rows


def _class_numbers(head: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """(n,) numbers of the most probable classes of (n, d) vectors."""
    with torch.no_grad():
        return head(torch.as_tensor(x)).argmax(1).numpy()


def gains(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Points above the linear probe of the same draw: their mean, standard deviation, and each."""
    by_draw = pd.DataFrame(found).pivot(index="seed", columns="way", values="accuracy")
    apart = 100 * by_draw.sub(by_draw["linear probe"], axis=0).drop(columns="linear probe")
    return {
        str(way): {
            "mean": round(float(column.mean()), 2),
            "sd": round(float(np.std(column.to_numpy(), ddof=1)), 2) if len(column) > 1 else None,
            "draws": column.round(2).tolist(),
        }
        for way, column in apart.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of labels (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    parser.add_argument("--explored", type=Path, help="JSON lines of runs on other stars, to be kept in the file")
    parser.add_argument("--quick", action="store_true", help="few stars, to check that the script works")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, made_with = QUICK if given.quick else FULL, provenance()
    explored = json.loads(given.out.read_text()).get("explored", []) if given.out.exists() else []
    if given.explored:
        explored = [json.loads(line) for line in given.explored.read_text().splitlines()]
    checkpoint = load_checkpoint(given.checkpoint)
    test, more = simulate(size["test"], seed=TEST_SEED), simulate(size["unlabelled"], seed=UNLABELLED_SEED)
    inputs = [(lc, Inputs.of(lc, checkpoint)) for lc in (test, more)]
    found: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        found += rows(checkpoint, size, seed, *inputs)
        result = {
            "benchmark": "self_training",
            "made_with": made_with,
            "note": NOTE,
            "checkpoint": checkpoint.name,
            "seeds": seed + 1,
            "size": size,
            "batches": {"labels alone": BATCH, "unlabelled": UNLABELLED},
            "cpu_seconds": round(time.process_time()),
            "gains": gains(found),
            "rows": found,
            "explored": explored,
        }
        write_results(given.out, result)
    print(json.dumps(gains(found), indent=1))


if __name__ == "__main__":
    main()
