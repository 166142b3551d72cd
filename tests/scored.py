"""Predictions scored in this process, without workers: rows of real scores in a fraction of a second. Loaded by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rrgbench.catalogue import Catalogue
from rrgbench.external import Given, Source, external_plan, measures, publish, reference_source, study_ids
from rrgbench.interfaces import Event
from rrgbench.plan import Plan
from rrgbench.predictions import TextFile
from rrgbench.row import Row
from rrgbench.runner import RunResult, run_plan
from rrgbench.runner.worker import execute
from rrgbench.store import Store


class Here:
    """An executor that runs a step when it is handed in."""

    slots = 1

    def __init__(self) -> None:
        self._told: list[Event] = []

    def submit(self, step_id: str, request: Mapping[str, Any]) -> None:
        def tell(what: str, payload: Mapping[str, Any]) -> None:
            self._told.append(Event(what, step_id, payload))

        execute(Store(Path(request["store"])), request, "cpu", 1, tell)

    def events(self, timeout: float) -> Iterator[Event]:
        told, self._told = self._told, []
        yield from told

    def close(self) -> None:
        pass


REFERENCES = {f"s{number:02d}": text for number, text in enumerate((
    "The heart is normal in size. The lungs are clear.",
    "There is a small left pleural effusion. No pneumothorax is seen.",
    "The heart is enlarged. There is mild interstitial oedema.",
    "A nodule projects over the right upper lobe. The lungs are otherwise clear.",
    "Lines and tubes are unchanged. Low lung volumes with basal atelectasis.",
    "No acute disease is seen. The bones are intact.",
) * 4)}  # fmt: skip


def worse(every: int, seed: int = 0) -> dict[str, str]:
    """Predictions that leave out words of the references: the more, the smaller ``every``."""
    return {
        study: " ".join(word for place, word in enumerate(text.split()) if (place + seed + number) % every)
        for number, (study, text) in enumerate(REFERENCES.items())
    }


def store_at(folder: Path) -> Store:
    store = Store(folder)
    store.create()
    return store


def references(store: Store, texts: Mapping[str, str] = REFERENCES) -> Source:
    return reference_source(store, TextFile(Path("references.json"), "JSON", texts, ()))


def run_here(plan: Plan, store: Store, catalogue: Catalogue) -> RunResult:
    return run_plan(plan, store, Here(), catalogue)


def score_here(
    store: Store,
    source: Source,
    runs: Sequence[Mapping[str, str]],
    catalogue: Catalogue,
    metrics: Sequence[Any] = ("bleu", "rouge"),
    title: str = "outside",
    protocol: Any = "raw",
) -> Row:
    """The row of one system's predictions, one mapping a seed."""
    wanted = study_ids(store, source)
    given = {seed: publish(store, source, {study: run[study] for study in wanted}) for seed, run in enumerate(runs)}
    found = tuple(catalogue.resolve("metrics", metric, "metrics") for metric in metrics)
    how = measures(source, catalogue.resolve("protocols", protocol, "protocol"), found, ())
    result = run_here(external_plan(source, how, Given(title, given)), store, catalogue)
    assert not result.failures, result.failures
    return next(row for row in result.rows if row.kind == "external")
