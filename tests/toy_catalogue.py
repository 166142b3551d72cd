"""A catalogue of toy components and a data set's record, so that plans are tested without plugins. Loaded through its path."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Gt

from rrgbench import KINDS, Cues, Metric
from rrgbench.catalogue import Catalogue, Spec
from rrgbench.catalogue.describe import Described
from rrgbench.catalogue.schema import Tree
from rrgbench.catalogue.signature import read_signature
from rrgbench.data import DataRecord, SplitData
from rrgbench.experiment import Experiment
from rrgbench.plan import Plan, make_plan
from rrgbench.store import Store


class Toy:
    license = "open"

    def __init__(self, *, studies: int = 3, style: Literal["plain", "rich"] = "plain") -> None: ...


class Rooted:
    license = "credentialed"

    def __init__(self, root, *, target: str = "findings") -> None: ...


def cnn(*, size: int = 8, pretrained: bool = False, weights: Path | None = None) -> None: ...


def bert(train_reports, train_contexts, *, layers: int = 1) -> None: ...


def gcn(graph, *, hops: int = 2) -> None: ...


def concat(dims, memory_dim, *, layers: int = 0) -> None: ...


def gating(dims, memory_dim, *, heads: int = 8, dropout: float = 0.1) -> None: ...


def word(train_reports, *, threshold: int = 3, lower: bool = True) -> None: ...


def subword(train_reports, *, size: int = 100, merges: Path | None = None) -> None: ...


def auto(own_tokenizer) -> None: ...


class Rnn:
    own_tokenizer = {"name": "subword", "size": "$vocabulary", "merges": "$merges"}

    def __init__(
        self, tokenizer, *, layers: Annotated[int, Gt(0)] = 2, vocabulary: int = 100, merges: Path | None = None
    ) -> None: ...


class Cued:
    own_tokenizer = {"name": "word"}

    def __init__(self, tokenizer, *, layers: int = 1, cues: Cues | None = None) -> None: ...


class Hint:
    def __init__(self, tokenizer, graph, *, strength: float = 1.0) -> None: ...


class Mute:
    pass


class Frozen:
    trains = False

    def __init__(self, module) -> None: ...


class Lora:
    trains = True
    merges = True

    def __init__(self, module, *, rank: int = 8) -> None: ...


class CrossEntropy:
    needs = frozenset({"logits"})

    def __init__(self, *, smoothing: float = 0.0) -> None: ...


class Contrastive:
    needs = frozenset({"image_embedding", "report_embedding"})

    def __init__(self, *, temperature: float = 0.1) -> None: ...


class GraphLoss:
    needs = frozenset({"features.knowledge"})


class SeenLoss:
    needs = frozenset({"finding_logits", "labels"})


class LungLoss:
    needs = frozenset({"mask_logits", "masks"})


class Plain:
    needs = frozenset({"lm_logits"})


class Quiet:
    needs = frozenset({"memory"})

    def __init__(self, *, strength: float = 1.0, factors: dict[str, float] = {}, also: Metric = "rouge") -> None: ...  # noqa: B006


class Reader:
    identity = "reader 1"

    def __init__(self, *, depth: int = 1) -> None: ...


class Outline:
    identity = "outline 1"

    def __init__(self, *, width: int = 1) -> None: ...


class Raw:
    changes_references = False


class Clean:
    changes_references = True

    def __init__(self, *, lower: bool = True) -> None: ...


class Learned:
    changes_references = True

    def __init__(self, train_reports) -> None: ...


class Bleu:
    values = {"bleu_1": "higher", "bleu_4": "higher"}
    needs = frozenset({"texts"})
    resampled = True

    def __init__(self, *, smooth: bool = False) -> None: ...


class Rouge:
    values = {"rouge_l": "higher", "length": "neither"}
    needs = frozenset({"texts"})
    resampled = True

    def __init__(self, *, beta: float = 1.2) -> None: ...


class Length:
    values = {"length": "neither"}
    needs = frozenset({"texts"})
    resampled = True


class Clip:
    values = {"clip": "higher"}
    needs = frozenset({"texts", "embeddings"})
    resampled = True


class Truth:
    values = {"truth": "higher"}
    needs = frozenset({"texts", "labels"})
    resampled = True


class Novelty:
    values = {"novelty": "higher"}
    needs = frozenset({"texts", "train_reports"})
    resampled = True

    def __init__(self, train_reports) -> None: ...


class Constant:
    draws = False

    def __init__(self, train, validate, protocol, *, best: str = "bleu_4") -> None: ...


class Random:
    draws = True

    def __init__(self, train_reports, seed, *, distinct: bool = False) -> None: ...


class Blank:
    draws = False


OFFERED: Mapping[str, Mapping[str, Any]] = {
    "datasets": {"toy": Toy, "rooted": Rooted},
    "image_encoders": {"cnn": cnn},
    "text_encoders": {"bert": bert},
    "knowledge_encoders": {"gcn": gcn},
    "fusions": {"concat": concat, "gating": gating},
    "tokenizers": {"word": word, "subword": subword, "auto": auto},
    "decoders": {"rnn": Rnn, "cued": Cued},
    "cues": {"hint": Hint, "mute": Mute},
    "adapters": {"frozen": Frozen, "lora": Lora},
    "losses": {
        "cross_entropy": CrossEntropy,
        "contrastive": Contrastive,
        "graph": GraphLoss,
        "seen": SeenLoss,
        "lungs": LungLoss,
        "plain": Plain,
        "quiet": Quiet,
    },
    "annotators": {"reader": Reader},
    "segmenters": {"outline": Outline},
    "protocols": {"raw": Raw, "clean": Clean, "learned": Learned},
    "metrics": {"bleu": Bleu, "rouge": Rouge, "length": Length, "clip": Clip, "truth": Truth, "novelty": Novelty},
    "floors": {"constant": Constant, "random": Random, "blank": Blank},
}


def make_catalogue(versions: Mapping[str, str] | None = None) -> Catalogue:
    """A catalogue of the toys; ``versions`` are content versions of components by name."""
    specs = []
    for kind, factories in OFFERED.items():
        for name, factory in factories.items():
            values, options, attributes = read_signature(KINDS[kind], factory)
            specs.append(
                Spec(
                    kind=kind,
                    name=name,
                    distribution="toys",
                    entry_point="toys",
                    summary="",
                    values=values,
                    options=options,
                    attributes=attributes,
                    version=(versions or {}).get(name, "1"),
                )
            )
    described = Described(
        distribution="toys", distribution_version="1", entry_point="toys", module="toys", hooks=(), specs=tuple(specs)
    )
    return Catalogue.of([described])


TINY: Mapping[str, Any] = {
    "name": "tiny",
    "base": {
        "dataset": "toy",
        "encoders": {"image": "cnn", "text": "bert"},
        "fusion": "concat",
        "decoder": {"name": "rnn", "layers": 2},
        "stages": {"fusion": {"epochs": 2, "rung": 1}},
    },
    "metrics": ["bleu"],
    "floors": ["constant", "random"],
}


def tiny(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A small experiment as plain data; dotted paths change it."""
    raw = copy.deepcopy(dict(TINY))
    for path, value in (changes or {}).items():
        *parents, last = path.split(".") if path.startswith("base.") else [path]
        inner = raw
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
    return raw


def make_record(licence: str = "open", labels: tuple[str, ...] = ("effusion",), **changes: str) -> DataRecord:
    """The record of a data set that nobody read; ``test_targets="x"`` and the like change a side of a split."""
    splits = {
        split: SplitData(
            studies=4,
            subjects=3,
            images=8,
            inputs=changes.get(f"{split}_inputs", f"{split} inputs"),
            targets=changes.get(f"{split}_targets", f"{split} targets"),
            labels=labels,
        )
        for split in ("train", "validate", "test")
    }
    return DataRecord(license=licence, folder="/films", splits=splits, state="", files=())


def plan(
    monkeypatch: Any,
    changes: Mapping[str, Any] | None = None,
    record: DataRecord | None = None,
    versions: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of the small experiment with changes."""
    known = record or make_record()
    monkeypatch.setattr("rrgbench.plan.read_dataset", lambda store, component, root: known)
    return make_plan(Experiment.of(tiny(changes)).resolve(make_catalogue(versions)), Store(Path("/nowhere")))


def ids(made: Plan) -> dict[str, set[str]]:
    """The ids of a plan's steps by kind."""
    found: dict[str, set[str]] = {}
    for step in made.steps.values():
        found.setdefault(step.kind, set()).add(step.id)
    return found


NESTED: Mapping[str, str] = {"metrics": "rouge", "protocols": "raw", "segmenters": "threshold", "cues": "prompt"}
"""Kind -> an installed component that an option of that kind may name; an option of another kind is left as it is."""


def another(tree: Tree, value: Any, file: Path) -> Any:
    """A valid value of an option that is not this one."""
    what = tree["type"]
    if what == "union":
        others = (another(inner, value, file) for inner in tree["of"])
        return next((other for other in others if other not in (None, value)), None)
    if what == "bool":
        return not value
    if what in ("int", "float"):
        step = tree.get("multiple_of", 1 if what == "int" else 0.25)
        start = value if isinstance(value, (int, float)) and not isinstance(value, bool) else tree.get("ge", 1)
        below = tree.get("le", tree.get("lt"))
        return start + step if below is None or start + step < below else start - step
    if what == "literal":
        return next((item for item in tree["values"] if item != value), None)
    if what == "str":
        return f"{value or ''}x"
    if what == "path":
        return str(file)
    if what == "list":
        return [*(value or []), another(tree["of"], None, file)]
    if what == "tuple":
        return [another(inner, item, file) for inner, item in zip(tree["of"], value or [None] * len(tree["of"]), strict=True)]
    if what == "mapping":
        return {**(value or {}), f"another{len(value or {})}": another(tree["of"], None, file)}
    return {"name": NESTED[tree["kind"]]} if tree.get("kind") in NESTED else None


def text_of(made: Plan, kinds: set[str]) -> str:
    """Everything that workers would be sent for steps of these kinds."""
    return json.dumps([step.request() for step in made.steps.values() if step.kind in kinds])
