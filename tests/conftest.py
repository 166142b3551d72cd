"""What end-to-end tests share: the shell in a process of its own, tiny experiments, an invented folder in IU X-ray's layout."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

TINY: dict[str, Any] = {
    "name": "tiny",
    "base": {
        "dataset": {"name": "phantom", "studies": 30, "size": 32, "studies_per_subject": 2},
        "encoders": {
            "image": {"name": "timm", "model": "test_vit", "size": 32},
            "text": {"name": "transformers", "hidden_size": 16, "layers": 1, "heads": 1},
        },
        "fusion": "concat",
        "decoder": {"name": "transformer", "layers": 1, "hidden_size": 16, "heads": 2},
        "stages": {"fusion": {"epochs": 1, "batch_size": 8}},
        "decoding": {"max_new_tokens": 12},
    },
    "axes": {"fusion": ["concat", "cross_attention"]},
    "metrics": ["bleu"],
    "protocol": "raw",
}


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def _shell(*arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 280) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "rrgbench", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def shell() -> Callable[..., Ran]:
    """Runs ``rrgbench`` in a process of its own."""
    return _shell


@pytest.fixture(scope="session")
def tiny() -> Callable[..., dict[str, Any]]:
    """A tiny experiment as plain data; ``base.x.y`` style paths change it."""

    def make(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        raw = copy.deepcopy(TINY)
        for path, value in (changes or {}).items():
            *parents, last = path.split(".")
            inner = raw
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        return raw

    return make


@pytest.fixture(scope="session")
def write_experiment(tiny: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Writes a tiny experiment with changes to a file (JSON is YAML)."""

    def write(folder: Path, changes: Mapping[str, Any] | None = None, name: str = "tiny.yaml") -> Path:
        path = folder / name
        path.write_text(json.dumps(tiny(changes)))
        return path

    return write


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Lays a plugin's module and metadata into a folder, as pip would, and gives the environment that sees it."""

    def lay(name: str, source: str) -> dict[str, str]:
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[rrgbench]\n{name} = {name}\n")
        return {"PYTHONPATH": str(site)}

    return lay


_PARTS = ("the heart is", "the lungs are", "the pleura is", "the spine is", "the left base is", "the right apex is")
_STATES = ("normal", "clear", "enlarged", "hazy", "within normal limits", "unchanged")
_REASONS = ("cough", "fever and chills", "chest pain", "shortness of breath", "fall from standing")


@pytest.fixture(scope="session")
def iu_folder() -> Callable[..., Path]:
    """Writes invented studies in IU X-ray's layout: films, annotation.json, and the archive with the indications."""

    def write(folder: Path, studies: tuple[int, int, int] = (20, 5, 6), seed: int = 0) -> Path:
        rng = random.Random(seed)
        annotation: dict[str, list[dict[str, Any]]] = {}
        (folder / "images").mkdir(parents=True)
        number = 0
        with tarfile.open(folder / "NLMCXR_reports.tgz", "w:gz") as archive:
            for split, count in zip(("train", "val", "test"), studies, strict=True):
                for _ in range(count):
                    number += 1
                    study = f"CXR{number}_IM-{number:04d}"
                    paths = [f"{study}/{view}.png" for view in (0, 1)]
                    (folder / "images" / study).mkdir()
                    for path in paths:
                        Image.effect_noise((40, 40), rng.uniform(5, 80)).save(folder / "images" / path)
                    report = ". ".join(f"{rng.choice(_PARTS)} {rng.choice(_STATES)}".capitalize() for _ in range(3)) + "."
                    item = {"id": study, "report": report, "image_path": paths, "split": split}
                    annotation.setdefault(split, []).append(item)
                    xml = (
                        f'<eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>'
                        f'<AbstractText Label="INDICATION">{rng.choice(_REASONS)}</AbstractText>'
                        "</Abstract></Article></MedlineCitation></eCitation>"
                    ).encode()
                    member = tarfile.TarInfo(f"ecgen-radiology/{number}.xml")
                    member.size = len(xml)
                    archive.addfile(member, io.BytesIO(xml))
        (folder / "annotation.json").write_text(json.dumps(annotation))
        return folder

    return write
