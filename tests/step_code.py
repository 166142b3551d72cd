"""Which code stands behind each kind of step, and a record of it: ids hold a step's version, not its code.

``python tests/step_code.py`` writes the record anew. A change that may change what a step gives needs a higher number in
``rrgbench.plan.STEP_VERSIONS`` first, or artifacts of the old code are taken for those of the new.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rrgbench.identity import source_version
from rrgbench.plan import STEP_VERSIONS

ROOT = Path(__file__).parent.parent
RECORD = Path(__file__).parent / "recorded" / "step_code.json"

_ANY = ("identity", "steps.context", "types")
_MODEL = ("heads", "masking", "model", "sampling")
_TENSORS = ("batches", "films", "knowledge.graph", *_MODEL, "steps.modelling", "training", "training.process", "training.state")
_TRAINED = ("training.checking", "training.loop", "training.ranks", "training.recipe", "training.stopping", "training.unfreezing")

CODE: Mapping[str, tuple[str, ...]] = {
    "pixels": (*_ANY, "batches", "films", "steps.generating", "training.process"),
    "masks": (*_ANY, "batches", "films", "steps.generating", "training.process"),
    "features": (*_ANY, *_TENSORS, "steps.generating"),
    "labels": (*_ANY, "findings", "steps.scoring"),
    "graph": (*_ANY, "findings", "knowledge.building", "knowledge.graph", "steps.knowledge"),
    "active": (*_ANY, *_TENSORS, "knowledge.active", "steps.knowledge", "steps.looking"),
    "train": (*_ANY, *_TENSORS, *_TRAINED, "steps.training"),
    "auroc": (*_ANY, *_TENSORS, "statistics", "steps.judging"),
    "embed": (*_ANY, *_TENSORS, "steps.judging"),
    "generate": (*_ANY, *_TENSORS, "generation", "steps.generating"),
    "floor": (*_ANY, "steps.generating", "training.process"),
    "score": (*_ANY, "scoring", "steps.scoring"),
    "select": (*_ANY, "steps.scoring"),
    "intervals": (*_ANY, "statistics", "steps.scoring"),
}
"""Kind of step -> the modules of ``rrgbench`` that decide what it gives. Components have content versions of their own."""

NOT_CODE: Mapping[str, str] = {
    "catalogue": "finds and builds components; their content versions and options are in the ids",
    "data": "what it writes is named by its content",
    "errors": "words",
    "hookspecs": "finds plugins",
    "interfaces": "contracts; what keeps to them counts",
    "memo": "keeps graphs; a step gives the same with it, without it and with a damaged one",
    "rules": "refuses data sets, changes none",
    "store": "keeps bytes",
}
"""Module -> why a step that imports it gives the same when it changes."""

PLACES = {
    "pixels": "generating",
    "masks": "generating",
    "features": "generating",
    "graph": "knowledge",
    "active": "knowledge",
    "train": "training",
    "auroc": "judging",
    "embed": "judging",
    "generate": "generating",
    "floor": "generating",
}


def file_of(module: str, root: Path = ROOT) -> Path | None:
    """The file of a module of ``rrgbench``."""
    path = root.joinpath("rrgbench", *module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "rrgbench":
            base = (node.module or "").removeprefix("rrgbench").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                yield inner if file_of(inner) else base


def imported(kind: str) -> set[str]:
    """Every module of ``rrgbench`` that a kind of step may run, through the modules that count."""
    found: set[str] = set()
    waiting = [f"steps.{PLACES.get(kind, 'scoring')}"]
    while waiting:
        module = waiting.pop()
        path = file_of(module) if module else None
        if path is not None and module not in found and module.partition(".")[0] not in NOT_CODE:
            found.add(module)
            waiting += _imports(path)
    return found


def current(root: Path = ROOT) -> dict[str, dict[str, object]]:
    """The record as it would be written now."""
    hashes = {module: source_version(path) for module in {m for c in CODE.values() for m in c} if (path := file_of(module, root))}
    return {
        kind: {"version": STEP_VERSIONS[kind], "code": {module: hashes.get(module, "") for module in sorted(modules)}}
        for kind, modules in CODE.items()
    }


def complaints(recorded: Mapping[str, Mapping[str, object]], now: Mapping[str, Mapping[str, object]]) -> list[str]:
    """What is to be done about each kind whose code or version is not the recorded one."""
    then = "Then: python tests/step_code.py"
    found = []
    for kind, told in now.items():
        before = recorded.get(kind, {"version": None, "code": {}})
        if told == before:
            continue
        old, new = dict(before["code"]), dict(told["code"])  # type: ignore[call-overload]
        changed = ", ".join(f"rrgbench.{module}" for module in sorted(old.keys() | new) if old.get(module) != new.get(module))
        if told["version"] == before["version"]:
            raised = f"If what it gives may change, raise STEP_VERSIONS[{kind!r}] in rrgbench/plan/steps.py."
            found.append(f"The code of the step `{kind}` changed: {changed}. {raised} {then}")
        else:
            found.append(f"The step `{kind}` has another version than the record. {then}")
    return found


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{RECORD} written\n")
