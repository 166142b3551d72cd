"""What a step function is given, and the platform values that it can make for factories."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rrgbench.catalogue.building import build
from rrgbench.data import load_inputs, load_targets
from rrgbench.errors import StoreError
from rrgbench.memo import Remembered
from rrgbench.store import Store
from rrgbench.types import Examples, Inputs, Targets


def _quiet_progress(done: int, total: int, note: str) -> None:
    """Told to nobody."""


def _quiet_epoch(epoch: int, scores: Mapping[str, float]) -> None:
    """Told to nobody."""


def _met() -> None:
    """There is nobody to wait for."""


@dataclass
class Result:
    """What a step tells beside its files: where its numbers come from, and what it cost."""

    domain: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Context:
    """A step to be run: its request, where its files go, and whom to tell."""

    store: Store
    request: Mapping[str, Any]
    draft: Path
    scratch: Path
    device: str = "cpu"
    on_progress: Callable[[int, int, str], None] = _quiet_progress
    on_epoch: Callable[[int, Mapping[str, float]], None] = _quiet_epoch
    ranks: int = 1
    """How many processes train together in this run; what else a step does, one does alone."""
    rank: int = 0
    """Which of them this is; only 0 writes."""
    meeting: Path | None = None
    """Where they find each other."""
    meet: Callable[[], None] = _met

    @property
    def payload(self) -> Mapping[str, Any]:
        """The data and component requests of the step."""
        payload: Mapping[str, Any] = self.request["payload"]
        return payload

    @property
    def seed(self) -> int:
        """The seed of the run; 0 for a step that does not draw."""
        return int(self.request["seed"] or 0)

    def upstream(self, role: str) -> list[Path]:
        """The artifact folders of a role, in order, each as it was written.

        Raises:
            StoreError: one is absent or damaged.
        """
        return [self.store.whole(step_id) for step_id in self.request["upstream"].get(role, ())]

    def inputs(self, content: str) -> tuple[Inputs, ...]:
        """The inputs side of a split by its digest."""
        return load_inputs(self.store, content, Path(self.request["folders"].get(content, ".")))

    def targets(self, content: str) -> tuple[Targets, ...]:
        """The targets side of a split by its digest."""
        return load_targets(self.store, content)

    def examples(self, sides: Mapping[str, str]) -> Examples:
        """Both sides of a split."""
        return Examples(self.inputs(sides["inputs"]), self.targets(sides["targets"]))

    @cached_property
    def train(self) -> Examples:
        """The train split, for steps whose payload names it."""
        return self.examples(self.payload["train"])

    def value(self, name: str) -> Any:
        """A platform value for a factory.

        Raises:
            StoreError: the step's payload does not hold what it needs: a mistake of the platform.
        """
        makers: Mapping[str, Callable[[], Any]] = {
            "train": lambda: self.train,
            "validate": lambda: self.examples(self.payload["validate"]),
            "train_reports": self._train_reports,
            "train_contexts": lambda: tuple(item.context for item in self.train.inputs),
            "protocol": lambda: self.build(self.payload["protocol"]),
            "tokenizer": lambda: self.build(self.payload["model"]["tokenizer"]),
            "own_tokenizer": lambda: self.build(self.payload["model"]["own_tokenizer"]),
            "seed": lambda: self.seed,
        }
        if name not in makers:
            raise StoreError(f"the platform value {name} cannot be had in a {self.request['kind']} step")
        return makers[name]()

    def _train_reports(self) -> tuple[str, ...]:
        alone = self.payload.get("train_targets")  # scoring is given this side of train only
        targets = self.train.targets if alone is None else self.targets(alone)
        return tuple(target.report for target in targets)

    def build(self, component: Mapping[str, Any], **more: Any) -> Any:
        """The object of a component request; ``more`` are platform values that only this place knows.

        Annotators, wherever they stand in it, have the store's memo.
        """
        return build(component, lambda name: more[name] if name in more else self.value(name), self._finished)

    def _finished(self, wanted: Mapping[str, Any], made: Any) -> Any:
        if wanted["kind"] != "annotators" or not getattr(made, "memo", True):
            return made
        files = wanted["files"]  # a file counts by its content, not by its place
        options = {name: files.get(str(value), value) for name, value in wanted["options"].items()}
        who = {name: wanted[name] for name in ("name", "distribution", "version")} | {"options": options}
        return Remembered(made, who, self.store.root / "memo", self.request["license"], self.on_progress)


def write_predictions(path: Path, study_ids: tuple[str, ...], reports: list[str]) -> None:
    """One JSON line a study."""
    lines = [json.dumps({"study_id": s, "prediction": r}) for s, r in zip(study_ids, reports, strict=True)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_predictions(path: Path) -> dict[str, str]:
    """Study id -> report, as ``write_predictions`` wrote them."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return {row["study_id"]: row["prediction"] for row in map(json.loads, lines)}
