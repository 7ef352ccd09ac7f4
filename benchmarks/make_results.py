"""Make every stale result, shipped encoder, head and card again, in the right order.

Usage: make results [JOBS=2] [ARGS="--list"] [ARGS="--only 'checkpoint-*' beyond"]

benchmarks/result_tasks.py says which command makes what, and what makes it stale; benchmarks/made.json, written by the
runs, how each was made and what it cost. First come all stale results, with the reason and the hours of the last run;
then the tasks run, JOBS at once; measurements of speed come last, one at a time. --list stops after the list. --only
takes names or patterns of tasks, and what these need.

After a stop of any kind, the same command goes on: what is done is kept, and a task that keeps rows or states of its
own continues there. Logs are in _build/results.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

from _records import ROOT, cannot, cost, table, why_stale
from _runner import Runner
from result_tasks import TASKS, Task, makers

MOST_REASON = 110
"""Characters of a reason in the list."""


def chosen(patterns: Sequence[str] | None, tasks: Sequence[Task]) -> list[Task]:
    """Tasks that patterns ask for, with all that these need; all tasks without patterns."""
    if not patterns:
        return list(tasks)
    for pattern in patterns:
        if not any(fnmatch(t.name, pattern) for t in tasks):
            raise SystemExit(f"no task {pattern!r}; there are {', '.join(t.name for t in tasks)}")
    names = {t.name for t in tasks if any(fnmatch(t.name, p) for p in patterns)}
    while more := {m for t in tasks if t.name in names for m in makers(t, tasks)} - names:
        names |= more
    return [t for t in tasks if t.name in names]


def states(tasks: Sequence[Task], root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """For each task "fresh", "stale", "waits" (may become stale by what it needs) or "cannot", and the reason."""
    records, found = table(root), {}
    for task in ordered(tasks):
        reasons, missing = why_stale(task, records, root), cannot(task)
        moving = [m for m in makers(task, tasks) if m not in task.after and found.get(m, ("fresh",))[0] != "fresh"]
        if reasons:
            more = f" (and {len(reasons) - 1} more)" if reasons[1:] else ""
            found[task.name] = ("cannot", f"{missing}; {reasons[0]}") if missing else ("stale", reasons[0] + more)
        else:
            found[task.name] = ("waits", f"runs if {moving[0]} makes other files") if moving else ("fresh", "")
    return found


def ordered(tasks: Sequence[Task]) -> list[Task]:
    """Tasks, each after those that it needs."""
    graph = {t.name: [m for m in makers(t, tasks) if m in {x.name for x in tasks}] for t in tasks}
    by_name = {t.name: t for t in tasks}
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]


def told(tasks: Sequence[Task], jobs: int, root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """Print what is stale, why, and what it will cost; return the states."""
    found = states(tasks, root)
    costs = {t.name: cost(t, root) for t in tasks}
    width = max(len(t.name) for t in tasks)
    for task in tasks:
        state, why = found[task.name]
        if state != "fresh":
            print(f"{task.name:{width}s}  {state:6s}  {costs[task.name][1]:>16s}  {why[:MOST_REASON]}")
    count = {state: [n for n, (s, _) in found.items() if s == state] for state in ("fresh", "stale", "waits", "cannot")}
    print(f"{len(tasks)} tasks: " + ", ".join(f"{len(names)} {state}" for state, names in count.items()) + ".")
    for state, words in (("stale", "Stale tasks"), ("waits", "Tasks that wait")):
        known = [costs[n][0] or 0.0 for n in count[state]]
        unknown = sum(costs[n][0] is None for n in count[state])
        if known:
            line = f"{words}: at least {sum(known) / 3600:.1f} CPU hours by their last runs; unknown for {unknown}."
            print(f"{line} With {jobs} at once at best {sum(known) / jobs / 3600:.1f} hours.")
    made_at = {r["revision"] for r in table(root)["tasks"].values()}
    if len(made_at) > 1:
        print(f"The results were made at {len(made_at)} revisions: {', '.join(sorted(made_at))}.")
    return found


def main(arguments: Sequence[str] | None = None, tasks: Sequence[Task] = TASKS, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="say what is stale and why, and run nothing")
    parser.add_argument("--jobs", type=int, default=2, help="tasks at once, each on one core (default %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="TASK", help="names or patterns of tasks; what they need too")
    given = parser.parse_args(arguments)
    if given.jobs < 1:
        parser.error(f"--jobs {given.jobs}: give 1 or more")
    some = chosen(given.only, tasks)
    found = told(some, given.jobs, root)
    needed = {m for t in some for m in makers(t, some)}
    some = [t for t in some if found[t.name][0] != "cannot" or t.name in needed]
    if given.list or all(found[t.name][0] == "fresh" for t in some):
        return 0
    return 0 if Runner(some, root).all(given.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
