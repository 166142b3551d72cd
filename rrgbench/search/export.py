"""What a search leaves behind for people: the best cell as an experiment file, and every trial in a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.experiment.yaml import dump_yaml
from rrgbench.search.dimensions import Space
from rrgbench.search.trials import TrialRecord
from rrgbench.store import write_atomically


def ranked(records: Sequence[TrialRecord], better: str) -> list[TrialRecord]:
    """Complete trials with the best first, then stopped ones, then the others; the earlier one where they are equal."""
    order = {"complete": 0, "pruned": 1}

    def key(record: TrialRecord) -> tuple[int, float, int]:
        value = 0.0 if record.value is None else -record.value if better == "higher" else record.value
        return order.get(record.state, 2), value, record.number

    return sorted(records, key=key)


def write_experiment(path: Path, experiment: Mapping[str, Any], about: str) -> None:
    """Write the experiment of the best cell; ``about`` stands above it.

    Raises:
        StoreError: the file cannot be written.
    """
    write_atomically(path, f"# {about}\n{dump_yaml(experiment)}".encode())


def write_history(path: Path, records: Sequence[TrialRecord], space: Space, value: str) -> None:
    """Write a line a trial, by number: its state, value, value after each rung, and a column a dimension.

    Raises:
        StoreError: the file cannot be written.
    """
    text = io.StringIO()
    names = [dimension.name for dimension in space.dimensions]
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["number", "state", value, "rungs", *names, "reason"])
    for record in records:
        values = [record.parameters.get(name, "") for name in names]
        shown = "" if record.value is None else record.value
        table.writerow([record.number, record.state, shown, " ".join(map(str, record.values)), *values, record.reason])
    write_atomically(path, text.getvalue().encode())
