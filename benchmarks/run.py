"""Speed as ratios: two ways to the same end, measured side by side in one run. ``make bench``, or with names of benchmarks.

Seconds are of this machine in this minute; ratios hold elsewhere, more or less. No figure here is a test.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Measured, measure
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NAMES = (
    "training_loop",
    "films",
    "images",
    "generation",
    "causal_lm",
    "adapters",
    "constant_floor",
    "warm_worker",
    "sharing",
    "start_up",
)
ROUNDS, QUICK_ROUNDS = 5, 3
THREADS = 1


def machine() -> dict[str, Any]:
    """What the seconds depend on."""
    import torch

    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def table(measured: list[Measured], rounds: int) -> Table:
    """One line a comparison."""
    title = escape(f"second / first: median [least, most] of up to {rounds} rounds, in turns")
    made = Table("benchmark", "first", "", "second", "", "second / first", title=title, title_justify="left")
    for column in (2, 4, 5):
        made.columns[column].justify = "right"
    for each in measured:
        told = each.json()
        ratio, (first, second) = told["ratio"], (_figure(told[side]["median"], each) for side in ("first", "second"))
        spread = f" [{ratio['least']:.3g}, {ratio['most']:.3g}]" if len(each.first) > 1 else ""
        made.add_row(each.title, each.labels[0], first, each.labels[1], second, escape(f"{ratio['median']:.3g}{spread}"))
    return made


def _figure(value: float, measured: Measured) -> str:
    if measured.unit != "s":
        return f"{value:,.0f}"
    rate = f" ({measured.items / value:,.0f}/s)" if measured.items else ""
    return (f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.1f} ms") + rate


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which benchmarks: {', '.join(NAMES)} [all]")
    parser.add_argument("--quick", action="store_true", help="less of everything, fewer rounds")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all values to this file too")
    parser.add_argument("--films", type=Path, metavar="FOLDER", help="the benchmark `images` reads PNG and JPEG films below it")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in NAMES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}")
    from world import World  # after the arguments are read: torch and the components take seconds

    from rrgbench.training import reset_process

    rounds = QUICK_ROUNDS if asked.quick else ROUNDS
    reset_process(0, THREADS)
    about, began = machine(), time.perf_counter()
    progress, found = Console(stderr=True), dict[str, list[Measured]]()
    with tempfile.TemporaryDirectory(prefix="rrgbench-benchmarks-") as folder, progress.status("") as status:
        world = World(Path(folder), asked.quick, asked.films)
        for name in asked.names or NAMES:
            status.update(name)
            compared = importlib.import_module(name).comparisons(world)
            groups = ([each] if isinstance(each, Measured) else measure(each, rounds) for each in compared)
            found[name] = [measured for group in groups for measured in group]
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table([each for group in found.values() for each in group], rounds))
    console.print(", ".join(f"{key} {value}" for key, value in about.items()), f"; {time.perf_counter() - began:.0f} s in all")
    if asked.json is not None:
        results = {name: [each.json() for each in group] for name, group in found.items()}
        told = {"machine": about, "quick": asked.quick, "rounds": rounds, "benchmarks": results}
        asked.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
