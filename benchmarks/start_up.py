"""Whether the shell feels instant: commands that need no torch against ``python -c "import torch"``.

A ratio well under one says that listing, planning and reading a leaderboard stay out of torch's way. What they print is
compared with nothing, but they must succeed and say what they are for.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from measuring import Comparison, Second, Side
from sharing import FEW_STUDIES, QUICKSTART
from world import World, run_here, tiny_experiment


def comparisons(world: World) -> Iterator[Comparison]:
    """Help, a plan of data that is there, and a leaderboard of one row."""
    store = world.store("start_up")
    run_here(world.plan(tiny_experiment(), store), store, frozenset({"floor", "score", "intervals"}))
    place = ["--store", str(store.root)]
    commands = {
        "--help": (["--help"], "leaderboard"),
        "plan": (["plan", str(QUICKSTART), "--set", *FEW_STUDIES, *place], "distinct"),
        "leaderboard show": (["leaderboard", "show", *place], "random"),
    }
    torch = Side("python -c 'import torch'", lambda: _output("-c", "import torch"))
    seconds = []
    for name, (arguments, expected) in commands.items():
        side = Side(f"rrgbench {name}", partial(_output, "-m", "rrgbench", *arguments))
        seconds.append(Second(f"start-up: {name}", side, lambda _, printed, expected=expected: expected in printed))
    yield Comparison(torch, seconds, rounds=2 if world.quick else None)


def _output(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
