"""Log of a training run: one JSON line a step, and on request scalars for TensorBoard."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

from astraclr.files import replacing


class RunLog:
    """Writer of ``log.jsonl``: step, loss, learning_rate, light_curves_per_s, seconds, and the numbers of validations.

    ``seconds`` is the time spent training since the first step, without pauses between interrupted runs. A line that
    cannot be written is kept and written with the next.

    Parameters
    ----------
    path : of the lines; None writes nothing
    tensorboard : also write scalars, into the folder ``tensorboard`` beside `path`

    Raises
    ------
    ValueError
        If TensorBoard is asked for and not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = RunLog(Path(folder) / "log.jsonl")
    ...     log.begin(history=[])
    ...     log.add({"step": 1, "loss": 5.5})
    ...     json.loads((Path(folder) / "log.jsonl").read_text())
    {'step': 1, 'loss': 5.5}
    """

    def __init__(self, path: Path | None, tensorboard: bool = False) -> None:
        self.path, self.end, self.waiting, self.warned = path, 0, [], False
        self._scalars: Any = None
        self._writer = _summary_writer() if tensorboard and path is not None else None

    def begin(self, history: list[dict[str, float]]) -> None:
        """Make the log agree with `history`: drop lines of steps that will be taken again, add lines that were lost."""
        if self.path is None:
            return
        known = _lines_by_step(self.path)
        text = "".join(known.get(int(record["step"]), _line(record)) for record in history)
        with replacing(self.path) as part:
            part.write_text(text)
        self.end = len(text.encode())
        if self._writer is not None:
            self._scalars = self._writer(str(self.path.parent / "tensorboard"), purge_step=len(history) + 1)

    def add(self, record: dict[str, float]) -> None:
        """Append a step, {"step": number, name: number, ...}."""
        if self.path is None:
            return
        self.waiting.append(_line(record))
        content = "".join(self.waiting).encode()
        try:
            with self.path.open("r+b") as file:
                file.seek(self.end)  # over a line that a full disk cut short
                file.write(content)
        except OSError as error:
            if not self.warned:
                warnings.warn(f"cannot write {self.path} ({error}); its lines wait in memory", stacklevel=3)
            self.warned = True
        else:
            self.end, self.waiting, self.warned = self.end + len(content), [], False
        if self._scalars is not None:
            for name, value in record.items():
                if name != "step":
                    self._scalars.add_scalar(name, value, record["step"])

    def close(self) -> None:
        """Flush and close TensorBoard's file."""
        if self._scalars is not None:
            self._scalars.close()


def _line(record: dict[str, float]) -> str:
    """One line of JSON; a number that is not finite becomes null, since JSON has no NaN."""
    return json.dumps({k: v if math.isfinite(v) else None for k, v in record.items()}) + "\n"


def _lines_by_step(path: Path) -> dict[int, str]:
    """Step -> line, of a log whose last line may be cut short."""
    found = {}
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            found[int(json.loads(line)["step"])] = line + "\n"
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _summary_writer() -> Any:
    """Class that writes scalars for TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            "tensorboard=True needs the package tensorboard: pip install tensorboard, or leave it out; "
            "log.jsonl holds the same numbers"
        ) from error
    return SummaryWriter
