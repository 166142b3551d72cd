"""A row is what its predictions say, or it is refused with the reason; a row is untrusted, whoever brought it."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rrgbench.catalogue import Catalogue
from rrgbench.errors import DataError
from rrgbench.external import dataset_source, study_ids
from rrgbench.row import Row
from rrgbench.store import Store
from rrgbench.verification import TOLD, Verdict, read_row, verify


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"rrgbench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault(f"rrgbench_{name}", importlib.util.module_from_spec(spec))
    if not hasattr(module, "Path"):
        spec.loader.exec_module(module)
    return module


toy = _beside("scored")
PHANTOM = {"name": "phantom", "studies": 60, "size": 32}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


class Brought:
    """A row with its predictions, and the store in which it is scored again."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self.folder, self.catalogue = folder, catalogue
        self.store: Store = toy.store_at(folder / "store")
        source = dataset_source(self.store, catalogue.resolve("datasets", PHANTOM, "dataset"), None, "test")
        self.ids = study_ids(self.store, source)
        texts = ["The heart is normal.", "There is a left pleural effusion.", "The lungs are clear.", "A nodule is seen."]
        self.runs = [{study: texts[(place + seed) % 4] for place, study in enumerate(self.ids)} for seed in (0, 1)]
        metrics = ["bleu", "rouge", "diversity"]
        row: Row = toy.score_here(
            self.store, source, self.runs, catalogue, metrics, protocol={"name": "r2gen-iu", "threshold": 2}
        )
        self.row: dict[str, Any] = row.model_dump(mode="json")

    def verify(self, change: Callable[[dict[str, Any]], Any] = lambda row: None, runs: Any = None) -> Verdict:
        row = copy.deepcopy(self.row)
        change(row)
        files = []
        for seed, run in enumerate(self.runs if runs is None else runs):
            files.append(self.folder / f"p{seed}.json")
            files[-1].write_text(json.dumps(run))

        def run_here(plan: Any, store: Store) -> Row:
            result = toy.run_here(plan, store, self.catalogue)
            assert not result.failures, result.failures
            return next(row for row in result.rows if row.kind == "external")

        return verify(Row.model_validate(row), files, None, None, self.catalogue, self.store, run_here)


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Brought:
    return Brought(tmp_path_factory.mktemp("brought"), catalogue)


def test_an_honest_row_is_verified(brought: Brought) -> None:
    verdict = brought.verify()
    assert verdict.reasons == []
    assert verdict.verified
    assert verdict.unchecked == list(TOLD)
    about = {check.about for check in verdict.checks}
    assert about >= {"data set", "protocol", "metrics", "seeds", "studies", "study ids", "predictions", "signature", "values"}


def test_what_is_not_about_scores_may_be_changed(brought: Brought) -> None:
    def rename(row: dict[str, Any]) -> None:
        row.update(
            title="renamed", experiment="mine", labels={"a": "b"}, question="?", kind="cell", config={"x": 1}, written="now"
        )

    assert brought.verify(rename).verified


def test_rounding_in_the_last_digits_is_no_tampering(brought: Brought) -> None:
    def rounded(row: dict[str, Any]) -> None:
        row["values"]["bleu_4"]["value"] += 1e-12

    assert brought.verify(rounded).verified


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    """Changes one thing of a row; a callable is given what stood there."""

    def change(row: dict[str, Any]) -> None:
        inner = row
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = to(inner[path[-1]]) if callable(to) else to

    return change


def _drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(row: dict[str, Any]) -> None:
        inner = row
        for part in path[:-1]:
            inner = inner[part]
        del inner[path[-1]]

    return change


def _extra_seed(row: dict[str, Any]) -> None:
    row["seeds"].append(2)
    row["predictions"].append("0" * 64)


def _hidden(row: dict[str, Any]) -> None:
    del row["values"]["rouge_l"]
    row["not_applicable"]["rouge_l"] = "it would not look good"


TAMPERED: dict[str, tuple[Callable[[dict[str, Any]], None], list[str]]] = {
    "score": (_set("values", "bleu_4", "value", to=0.5), ["value bleu_4; got 0.5; expected 0."]),
    "score of a seed": (_set("values", "bleu_4", "seeds", 0, to=0.5), ["seeds of bleu_4; got [0.5, 0."]),
    "score by little": (_set("values", "rouge_l", "value", to=lambda value: value + 1e-6), ["value rouge_l; got 0."]),
    "predictions digest": (_set("predictions", 0, to="0" * 64), [f"the digests of the predictions; got [{'0' * 64}, "]),
    "studies": (
        _set("values", "bleu_4", "signature", "studies", to="f" * 16),
        ["signature of bleu_4: studies; got ffffffffffffffff"],
    ),
    "references": (
        _set("values", "bleu_4", "signature", "references", to="f" * 16),
        ["signature of bleu_4: references; got ffff"],
    ),
    "signature": (
        _set("values", "rouge_l", "signature", "metric", to="rouge 9"),
        ["signature of rouge_l: metric; got rouge 9; expected"],
    ),
    "metric version": (
        _set("values", "rouge_l", "signature", "metric_version", to="9"),
        ["signature of rouge_l: metric_version; got 9; expected"],
    ),
    "annotator": (
        _set("values", "rouge_l", "signature", "metric_annotator", to="radgraph()@1"),
        ["signature of rouge_l: metric_annotator; got radgraph()@1; expected None"],
    ),
    "signature without a field": (
        _drop("values", "rouge_l", "signature", "references"),
        ["signature of rouge_l: references; got None"],
    ),
    "low": (_set("values", "bleu_4", "low", to=0.4), ["interval of bleu_4; got [0.4, 0."]),
    "high": (_set("values", "bleu_4", "high", to=None), ["interval of bleu_4; got [0.", "None]; expected"]),
    "an interval where none is": (
        _set("values", "unique", "low", to=1.0),
        ["interval of unique; got [1.0, None]; expected [None, None]"],
    ),
    "sd": (_set("values", "bleu_4", "sd", to=0.0), ["spread of bleu_4 over seeds; got 0.0"]),
    "better": (_set("values", "bleu_4", "better", to="lower"), ["metric and better way of bleu_4; got [bleu, lower]"]),
    "n": (_set("n", to=9), ["n; got 9; expected 1"]),
    "subjects": (_set("subjects", to=99), ["subjects; got 99; expected"]),
    "licence": (_set("license", to="credentialed"), ["license; got credentialed; expected open"]),
    "a missing value": (_drop("values", "bleu_3"), ["value bleu_3: the row has none; expected 0."]),
    "a hidden value": (_hidden, ["value rouge_l: the row says that it is not applicable; expected 0."]),
    "a missing metric": (_drop("metrics", "rouge"), ["value rouge_l: none of the row's metrics gives it"]),
    "no metric": (_set("metrics", to={}), ["the row names no metric"]),
    "an extra value": (
        _set("values", to=lambda values: values | {"cider": values["bleu_4"]}),
        ["value cider: none of the row's metrics gives it"],
    ),
    "metric of another version": (_set("metrics", "bleu", "version", to="0"), ["metrics.bleu.version; got 0; expected"]),
    "metric that is not installed": (
        _set("metrics", "bleu", "name", to="blue"),
        ["row: metrics.bleu: no metrics component of that name"],
    ),
    "metric of nobody": (_set("metrics", "bleu", "distribution", to="../evil"), ["row: metrics.bleu: no metrics component"]),
    "metric with an option": (
        _set("metrics", "bleu", "options", to={"x": 1}),
        ["row: metrics.bleu: bleu has no such option; got 'x'"],
    ),
    "metric that is no identity": (
        _set("metrics", "bleu", to={"name": "bleu"}),
        ["row: metrics.bleu; got", "expected the identity"],
    ),
    "metric of another kind": (_set("metrics", "bleu", "kind", to="floors"), ["expected the identity of a metrics component"]),
    "metric under another name": (
        _set("metrics", to=lambda metrics: {"x": metrics["bleu"], **metrics}),
        ["the names of the metrics; got [x, bleu, rouge, diversity]; expected [bleu, bleu#2, rouge, diversity]"],
    ),
    "protocol": (_set("protocol", to="raw"), ["row: protocol: raw has no such option; got"]),
    "protocol that is not installed": (_set("protocol", to="r2gen"), ["row: protocol: no protocols component of that name"]),
    "protocol options": (
        _set("protocol_options", "threshold", to=3),
        ["protocol; got r2gen-iu(max_length=60,threshold=2)", "threshold=3"],
    ),
    "protocol option of a wrong type": (
        _set("protocol_options", "threshold", to="x"),
        ["row: protocol.threshold; got 'x'; expected int"],
    ),
    "data set that is not installed": (_set("dataset", to="../phantom"), ["row: dataset: no datasets component of that name"]),
    "data set options": (_set("dataset_options", "size", to=9), ["row: dataset.size; got 9; expected int"]),
    "a path as an option": (
        _set("dataset_options", "annotation", to="/etc/passwd"),
        ["dataset_options.annotation looks like a path"],
    ),
    "fewer seeds": (_set("seeds", to=[0]), ["the number of predictions files, one a seed; got 1; expected 2"]),
    "an extra seed": (_extra_seed, ["the number of predictions files, one a seed; got 3; expected 2"]),
    "a seed twice": (_set("seeds", to=[0, 0]), ["seeds, each once; got 2; expected 1"]),
    "split": (_set("split", to="validate"), ["n; got", "not of the studies of phantom, validate"]),
    "a floor of nobody": (
        _set("floors", to={"constant": {"bleu_4": 0.1}}),
        ["floor constant: the row does not say how it is made"],
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_row_is_refused_with_its_reason(name: str, brought: Brought) -> None:
    change, wanted = TAMPERED[name]
    verdict = brought.verify(change)
    assert not verdict.verified
    told = " | ".join(verdict.reasons)
    assert all(part in told for part in wanted), told
    assert all(reason.isprintable() and len(reason) < 1000 for reason in verdict.reasons)


def test_one_tampered_thing_is_one_reason(brought: Brought) -> None:
    for name in ("score", "predictions digest", "signature", "low", "n", "a missing value"):
        assert len(brought.verify(TAMPERED[name][0]).reasons) == 1, name


def test_a_tampered_prediction_is_refused(brought: Brought) -> None:
    runs = copy.deepcopy(brought.runs)
    runs[1][brought.ids[2]] += " The heart is enlarged."
    reasons = brought.verify(runs=runs).reasons
    assert any(reason.startswith("the digests of the predictions; got [") for reason in reasons)
    assert any(reason.startswith("value bleu_4; got") for reason in reasons)


def test_predictions_of_seeds_in_another_order_are_refused(brought: Brought) -> None:
    assert any("the digests of the predictions" in reason for reason in brought.verify(runs=brought.runs[::-1]).reasons)


def test_tampered_study_ids_are_refused(brought: Brought) -> None:
    runs = copy.deepcopy(brought.runs)
    runs[0]["somebody else"] = runs[0].pop(brought.ids[0])
    (reason,) = brought.verify(runs=runs).reasons
    assert f"1 missing ({brought.ids[0]}), 1 unknown (somebody else)" in reason
    fewer = [{study: run[study] for study in brought.ids[1:]} for run in brought.runs]
    assert len(brought.verify(runs=fewer).reasons) == 2


def test_values_that_predictions_cannot_show_are_told_apart(brought: Brought, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "predictions alone have no embeddings"
    for room in ("verification", "external"):
        monkeypatch.setattr(f"rrgbench.{room}.why_not", lambda metric, source: reason if metric.name == "rouge" else "")
    verdict = brought.verify()
    assert verdict.verified
    assert set(verdict.unchecked) == {"rouge_l", *TOLD}


def test_a_row_on_references_needs_them(catalogue: Catalogue, tmp_path: Path) -> None:
    store = toy.store_at(tmp_path / "store")
    row = toy.score_here(store, toy.references(store), [toy.worse(3)], catalogue)
    (tmp_path / "p.json").write_text(json.dumps(toy.worse(3)))
    (tmp_path / "r.json").write_text(json.dumps(toy.REFERENCES))
    (tmp_path / "others.json").write_text(json.dumps(toy.REFERENCES | {"s00": "Something else."}))

    def check(references: Path | None) -> Verdict:
        return verify(
            row,
            [tmp_path / "p.json"],
            None,
            references,
            catalogue,
            store,
            lambda plan, place: toy.run_here(plan, place, catalogue).rows[-1],
        )

    with pytest.raises(DataError, match=r"scored against a reference file. Hint: give it with --references"):
        check(None)
    assert check(tmp_path / "r.json").reasons == []
    told = " | ".join(check(tmp_path / "others.json").reasons)
    assert "the references; got" in told
    assert "signature of rouge_l: references; got" in told


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", "is not a row: the whole"),
        (b"[]", "is not a row: the whole"),
        (b"{}", "is not a row: format; got {}; expected Field required"),
        (b"\xff\xfe", "is not a row"),
        (b"[" * 10_000, "is not a row"),
    ],
)
def test_a_file_that_is_no_row_is_one_line(content: bytes, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as told:
        read_row(path)
    assert str(told.value).startswith(f"{path} {wanted}")
    with pytest.raises(DataError, match=r"cannot be read; got No such file"):
        read_row(tmp_path / "absent.json")


def test_a_row_of_another_format_is_one_line(brought: Brought, tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps(brought.row | {"format": 1}))
    with pytest.raises(DataError, match="is not a row of this version: format; got 1"):
        read_row(path)


# The commands.


@pytest.mark.heavy
def test_a_row_is_verified_or_refused_from_the_shell(tmp_path: Path, shell: Any, brought: Brought) -> None:
    place = brought.store.root
    files = []
    for seed in (0, 1):
        files += ["--predictions", tmp_path / f"p{seed}.jsonl"]
        out = shell("leaderboard", "predictions", brought.row["id"], "--seed", str(seed), "--out", files[-1], "--store", place)
        assert out.code == 0, out.err
        assert "its licence" not in out.err
    asked = ["score", files[1], files[3], "--dataset", "phantom", "--set", "studies=60", "--set", "size=32", "--store", place]
    scored = shell(*asked, "--metrics", "bleu,rouge", "--floors", "constant,random", "--json")
    assert scored.code == 0, scored.err
    row = scored.json["row"]
    (tmp_path / "row.json").write_text(json.dumps(row))
    ran = shell("leaderboard", "verify", tmp_path / "row.json", *files)
    assert ran.code == 0, ran.err + ran.out
    assert ran.out.splitlines()[-1] == "VERIFIED"
    floors = {
        "value": (_set("floors", "constant", "bleu_4", to=0.0), "floor constant: bleu_4; got 0.0; expected 0."),
        "missing value": (_drop("floors", "constant", "bleu_4"), "floor constant: bleu_4; got None; expected 0."),
        "missing": (_drop("floors", "random"), "floor random: the row has no values of it"),
        "origin": (_drop("floor_origins", "random"), "floor random: the row does not say how it is made"),
        "seeds": (_set("floor_origins", "random", "seeds", to=[7, 8]), "floor random: bleu_4; got 0."),
        "no seeds": (_set("floor_origins", "random", "seeds", to=[None]), "floor_origins.random.seeds; got [None]; expected []"),
        "a constant's seeds": (_set("floor_origins", "constant", "seeds", to=[1]), "constant.seeds; got [1]; expected [None]"),
        "another": (_set("floor_origins", "random", "component", "name", to="best"), "floor_origins.random: no floors component"),
    }
    brought.row, before = row, brought.row
    try:
        assert brought.verify().verified
        for name, (change, wanted) in floors.items():
            told = " | ".join(brought.verify(change).reasons)
            assert wanted in told, (name, told)
    finally:
        brought.row = before
    row["values"]["bleu_4"]["value"] = 0.99
    (tmp_path / "row.json").write_text(json.dumps(row | {"floors": {}, "floor_origins": {}}))
    refused = shell("leaderboard", "verify", tmp_path / "row.json", *files, "--json")
    assert refused.code == 1
    assert refused.json["verified"] is False
    assert [reason[:27] for reason in refused.json["reasons"]] == ["value bleu_4; got 0.99; exp"]
    assert shell("leaderboard", "verify", tmp_path / "p0.jsonl", *files).code == 2


ANNOTATED = '''
"""A metric over an annotator, and two annotators."""
import numpy
import rrgbench
from rrgbench import Annotator, ReportGraph


class Words:
    identity = "words 1"

    def __call__(self, reports):
        return [ReportGraph(text) for text in reports]


class Letters(Words):
    identity = "letters 1"


class Graphs:
    values, needs, resampled = {"graphs": "higher"}, frozenset({"texts", "annotations"}), True

    def __init__(self, *, annotator: Annotator = "words"):
        self.annotator = annotator

    def score(self, texts):
        return numpy.asarray([[float(len(graph.text))] for graph in self.annotator(texts.predictions)])

    def aggregate(self, statistics):
        return {"graphs": float(statistics.mean())}

    def signature(self):
        return "graphs 1"


@rrgbench.hookimpl
def rrgbench_metrics():
    return {"graphs": Graphs}


@rrgbench.hookimpl
def rrgbench_annotators():
    return {"words": Words, "letters": Letters}
'''


@pytest.mark.heavy
def test_another_annotator_than_the_row_s_is_refused(tmp_path: Path, shell: Any, plugin: Any) -> None:
    environment = plugin("annotated", ANNOTATED)
    environment["PYTHONPATH"] += os.pathsep + os.environ.get("PYTHONPATH", "")
    (tmp_path / "p.json").write_text(json.dumps(toy.worse(3)))
    (tmp_path / "r.json").write_text(json.dumps(toy.REFERENCES))
    scored = shell(
        *("score", tmp_path / "p.json", "--references", tmp_path / "r.json", "--store", tmp_path / "store", "--json"),
        *("--metrics", "graphs"),
        env=environment,
    )
    assert scored.code == 0, scored.err
    row = scored.json["row"]
    assert row["values"]["graphs"]["signature"]["metric_annotator"].startswith("words()@")
    other = copy.deepcopy(row)
    other["metrics"]["graphs"]["options"]["annotator"]["name"] = "letters"
    version = copy.deepcopy(row)
    version["metrics"]["graphs"]["options"]["annotator"]["version"] = "0"
    for brought, wanted in (
        (row, ""),
        (other, "signature of graphs: metric_annotator; got words()@"),
        (version, "metrics.graphs.options.annotator.version; got 0; expected"),
    ):
        (tmp_path / "row.json").write_text(json.dumps(brought))
        files = ["--predictions", tmp_path / "p.json", "--references", tmp_path / "r.json"]
        ran = shell("leaderboard", "verify", tmp_path / "row.json", *files, "--json", env=environment)
        assert ran.code == bool(wanted), ran.err
        assert wanted in " | ".join(ran.json["reasons"])
