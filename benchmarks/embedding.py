"""Seconds of `astraclr embed`, imports included, and light curves embedded in one second, as one JSON line.

``python benchmarks/embedding.py`` takes the 125 stars of ztf.parquet in the folder ASTRACLR_REAL_DATA where there are
some, and simulated ones if not. Speed does not depend on what the weights are: without --checkpoint they are random.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from astraclr.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from astraclr.embedding import embed
from astraclr.encoder import new_encoder
from astraclr.lightcurves import LightCurves
from astraclr.presets import preset, recipe
from astraclr.simulate import simulate

TARGET_SECONDS = 20


def command_seconds(file: Path, checkpoint: Path, threads: int, repeats: int) -> tuple[float, int]:
    """Best wall time of the command, and how many stars it embedded."""
    seconds, out = [], checkpoint.parent / "embeddings.parquet"
    command = [sys.executable, "-m", "astraclr.cli", "embed", str(file), "--checkpoint", str(checkpoint),
               "--out", str(out), "--threads", str(threads)]  # fmt: skip
    for _ in range(repeats):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True,
                       env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})  # fmt: skip
        seconds.append(time.perf_counter() - begin)
    import pyarrow.parquet as pq

    return min(seconds), pq.read_metadata(out).num_rows


def rate(stars: LightCurves, checkpoint: Checkpoint, threads: int) -> float:
    """Light curves embedded in one second, after a small first call."""
    torch.set_num_threads(threads)
    embed(stars[:64], checkpoint)
    begin = time.perf_counter()
    embed(stars, checkpoint)
    return len(stars) / (time.perf_counter() - begin)


def main() -> None:
    """Measure the command on 125 stars, then the function on simulated ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2_000, help="simulated stars for the rate (default %(default)s)")
    parser.add_argument("--preset", default="tiny", help="encoder without --checkpoint (default %(default)s)")
    parser.add_argument("--checkpoint", help="folder or shipped name")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="runs of the command, the best counts")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.checkpoint:
            checkpoint = load_checkpoint(given.checkpoint)
        else:
            size, method = preset(given.preset), recipe("corrected")
            checkpoint = Checkpoint(new_encoder(size, method, 0).eval(), size, method, 0)
        save_checkpoint(checkpoint, Path(folder) / "ck")
        real = Path(os.environ.get("ASTRACLR_REAL_DATA", "none")) / "ztf.parquet"
        file = real if real.exists() else Path(folder) / "stars.parquet"
        if file != real:
            simulate(125, seed=0).save(file)
        seconds, n_stars = command_seconds(file, Path(folder) / "ck", given.threads, given.repeats)
    print(json.dumps({
        "benchmark": "embedding", "stars": "real" if file == real else "simulated", "n_stars": n_stars,
        "command_seconds": round(seconds, 2), "target_seconds": TARGET_SECONDS, "preset": checkpoint.preset.name,
        "light_curves_per_second": round(rate(simulate(given.n, seed=1), checkpoint, given.threads)),
        "threads": given.threads, "cores": os.cpu_count(), "machine": platform.machine(),
        "python": platform.python_version(), "torch": torch.__version__,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
