"""A disk that fills up costs one line: no half-written artifact, and the same command goes on once there is space."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rrgbench.store import damaged_files

pytestmark = pytest.mark.heavy


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small file system (root)")
    yield folder
    subprocess.run(["umount", str(folder)], capture_output=True, check=False)


def test_a_full_disk_is_one_line_and_loses_nothing(small_disk: Path, tmp_path: Path, shell: Any, write_experiment: Any) -> None:
    path = write_experiment(tmp_path)
    ran = shell("run", path, "--store", small_disk / "store")
    assert ran.code == 2, ran.err
    told = [line for line in ran.err.splitlines() if line.startswith("error:")]
    assert told
    assert all("No space left" in line and "disk" in line for line in told), told
    assert "Traceback" not in ran.err
    artifacts = [done.parent for done in (small_disk / "store" / "steps").glob("*/*/DONE")]
    assert not any(damaged_files(artifact) for artifact in artifacts)
    assert not list((small_disk / "store" / "tmp").iterdir())
    assert all(json.loads(row.read_text()) for row in (small_disk / "store" / "rows").rglob("*.json"))

    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    again = shell("run", path, "--store", small_disk / "store", "--json")
    assert again.code == 0, again.err
    assert len(again.json["rows"]) == 2
