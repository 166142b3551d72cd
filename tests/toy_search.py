"""Searches on paper: an executor that publishes artifacts without work, and a small search over toy components."""

from __future__ import annotations

import copy
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MultipleOf

from rrgbench import Event, Metric
from rrgbench.search import Search, SearchResult, resolve_search, run_search
from rrgbench.store import Done, Store


def beside(name: str) -> ModuleType:
    """A module of toys."""
    spec = importlib.util.spec_from_file_location(f"rrgbench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault(f"rrgbench_{name}", importlib.util.module_from_spec(spec))
    if not hasattr(module, "Path"):
        spec.loader.exec_module(module)
    return module


toy = beside("toy_catalogue")


def bounded(
    dims,
    memory_dim,
    *,
    mode: Literal["sum", "mean"] = "sum",
    norm: bool = True,
    only: Literal["one"] = "one",
    heads: Annotated[int, Gt(0), Lt(9)] = 4,
    width: Annotated[int, Ge(5), Le(64), MultipleOf(8)] = 8,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
    rate: Annotated[float, Gt(0), Le(1)] = 0.5,
    layers: Annotated[int, Ge(0)] = 1,
    tag: str = "",
    grid: Annotated[float, Ge(0), Le(1), MultipleOf(0.25)] = 0.5,
    reward: Metric = "rouge",
) -> None: ...


def needy(dims, memory_dim, *, size: int) -> None: ...


class Errors:
    values = {"errors": "lower", "bleu_4": "higher"}
    needs = frozenset({"texts"})
    resampled = True


FUSIONS = {**toy.OFFERED["fusions"], "bounded": bounded, "needy": needy}
OFFERED = {**toy.OFFERED, "fusions": FUSIONS, "metrics": {**toy.OFFERED["metrics"], "errors": Errors}}

TINY: Mapping[str, Any] = {
    "name": "small",
    "base": {
        "dataset": "toy",
        "encoders": {"image": "cnn", "text": "bert"},
        "fusion": "concat",
        "decoder": {"name": "rnn", "layers": 2},
        "stages": {"fusion": {"epochs": 4, "rung": 2}},
    },
    "space": {
        "fusion": {"components": ["concat", "bounded"], "options": True},
        "decoder.layers": {"choices": [1, 2, 3]},
        "stages.fusion.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    },
    "trials": 6,
    "objective": {"metric": "bleu_4"},
    "metrics": ["rouge", "bleu"],
    "pruner": None,
    "sampler": {"seed": 3, "startup": 3},
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The small search with changes; ``base__fusion`` is inside ``base``, None leaves a key out."""
    raw = copy.deepcopy(dict(TINY))
    for name, value in changes.items():
        *parents, last = name.split("__")
        inner = raw
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return raw


def make_catalogue() -> Any:
    """The toys, with a fusion whose options are bounded and one that needs an option."""
    before = toy.OFFERED
    toy.OFFERED = OFFERED
    try:
        return toy.make_catalogue()
    finally:
        toy.OFFERED = before


def resolve(raw: Mapping[str, Any] | None = None, **changes: Any) -> Any:
    """The small search, resolved."""
    return resolve_search(Search.of(raw if raw is not None else tiny(**changes), "s.yaml"), make_catalogue())


def quality(train: Mapping[str, Any]) -> float:
    """How good a model is, on paper: better with more layers, a rate near .001, more epochs."""
    model = train["payload"]["model"]
    layers = model["decoder"]["$component"]["options"]["layers"]
    rate = train["payload"]["stage"]["recipe"]["lr"]["default"]
    chosen = model["fusion"]["$component"]
    bonus = chosen["options"].get("dropout", 0.0) + (0.5 if chosen["name"] == "bounded" else 0.0)
    return layers + bonus - abs(rate - 0.001) * 100 + train["payload"]["epochs"][1] / 10


class Paper:
    """An executor that does every step on paper."""

    slots = 1

    def __init__(self, store: Store, judge: Callable[[Mapping[str, Any]], float] = quality) -> None:
        self.store, self.judge = store, judge
        self.known: dict[str, Mapping[str, Any]] = {}
        self.waiting: list[Mapping[str, Any]] = []
        self.ran: list[str] = []
        self.closed = 0
        self.killed_at: int | None = None
        self.fails: Callable[[Mapping[str, Any]], str | None] = lambda request: None

    def submit(self, step_id: str, request: Mapping[str, Any]) -> None:
        self.known[step_id] = {key: value for key, value in request.items() if key != "store"}
        self.waiting.append(request)

    def events(self, timeout: float) -> Iterator[Event]:
        request = self.waiting.pop()
        if self.killed_at is not None and len(self.ran) >= self.killed_at:
            raise KeyboardInterrupt
        mistake = self.fails(request)
        if mistake is not None:
            yield Event("failed", request["id"], {"error": f"{mistake or 'it'} happened", "mistake": mistake, "traceback": ""})
            return
        with self.store.draft(request["id"]) as draft:
            if request["kind"] == "score":
                values = dict.fromkeys(("bleu_1", "bleu_4", "errors"), self.value(request))
                (draft / "score.json").write_text(json.dumps({"values": values}))
            else:
                (draft / "request.json").write_text(json.dumps(request))
            about = {key: request[key] for key in ("id", "kind", "title", "license")}
            self.store.publish(draft, Done(format=1, seconds=0.0, files={}, **about))
        self.ran.append(request["kind"])
        yield Event("finished", request["id"], {})

    def value(self, score: Mapping[str, Any]) -> float:
        """The value of a score step: that of the model whose reports it reads."""
        generate = self._made(score["upstream"]["predictions"][0])
        return self.judge(self._made(generate["upstream"]["checkpoint"][0]))

    def _made(self, step_id: str) -> Mapping[str, Any]:
        return json.loads((self.store.artifact(step_id) / "request.json").read_text())

    def close(self) -> None:
        self.closed += 1


def make_store(folder: Path) -> Store:
    """An empty store."""
    store = Store(folder)
    store.create()
    return store


def go(store: Store, search: Any = None, paper: Paper | None = None, **more: Any) -> SearchResult:
    """Run a search on paper."""
    return run_search(search or resolve(), store, paper or Paper(store), make_catalogue(), **more)
