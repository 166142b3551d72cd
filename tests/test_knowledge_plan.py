"""Knowledge in cells and plans: what must be said, what counts where, what is shared, and that no step sees what it may not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from rrgbench.cell import KnowledgeConfig, resolve_cell
from rrgbench.errors import ManyErrors, RRGBenchError
from rrgbench.plan import Plan

_spec = importlib.util.spec_from_file_location("rrgbench_toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
assert _spec is not None and _spec.loader is not None
toy = sys.modules.setdefault("rrgbench_toy_catalogue", importlib.util.module_from_spec(_spec))
if not hasattr(toy, "tiny"):
    _spec.loader.exec_module(toy)

UNIMODAL = {"losses": {"seen": 1.0}, "epochs": 1}
FUSION = {"train": ["knowledge", "fusion", "decoder"], "augment": False, "cached": ["image"], "epochs": 1}
ENCODERS = {"image": "cnn", "knowledge": "gcn"}
SOURCES = ("image", "retrieved", "all")
SELECT = {"select": {"metric": "bleu_4"}}


def changes(active: str = "retrieved", stages: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return SELECT | {
        "floors": [],
        "base.labels": "reader",
        "base.encoders": ENCODERS,
        "base.knowledge": {"active": active, **more},
        "base.stages": stages or {"unimodal": UNIMODAL, "fusion": FUSION},
    }


def of(plan: Plan, kind: str) -> list[Any]:
    return [step for step in plan.steps.values() if step.kind == kind]


def split_of(step: Any) -> str:
    return str(step.payload["inputs"]).split()[0]


def mistakes(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(RRGBenchError) as caught:
        resolve_cell(toy.make_catalogue(), toy.tiny()["base"] | raw, {})
    return [str(error) for error in (caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,))]


# Steps.


@pytest.mark.parametrize("active", SOURCES)
def test_one_graph_and_active_nodes_of_every_split_that_is_read(active: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, changes(active))
    (graph,) = of(plan, "graph")
    assert graph.payload["targets"] == "train targets"
    steps = {split_of(step): step for step in of(plan, "active")}
    assert list(steps) == ["train", "validate", "test"]
    assert all(step.upstream["graph"] == (graph.id,) for step in steps.values())
    (train,) = [step for step in of(plan, "train") if "graph" in step.upstream]
    assert train.payload["stage"].value["name"] == "fusion"
    assert train.upstream["active"] == (steps["train"].id,)
    for step in of(plan, "generate"):
        assert step.upstream["active"] == (steps[split_of(step)].id,)
        assert step.upstream["graph"] == (graph.id,)


@pytest.mark.parametrize("active", SOURCES)
def test_no_step_before_scoring_knows_a_target_of_test_or_of_validate(active: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = toy.make_record(test_targets="SECRET", validate_targets="HIDDEN")
    plan = toy.plan(monkeypatch, changes(active), record)
    for step in of(plan, "active"):
        behind = " ".join(str(plan.steps[step_id].request()) for step_id in plan.behind(step.id))
        assert "SECRET" not in behind and "HIDDEN" not in behind
    assert "HIDDEN" in toy.text_of(plan, {"score"})


def test_all_nodes_rest_on_inputs_and_the_graph_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, changes("all") | {"seeds": [0, 1]})
    assert len(of(plan, "active")) == 3, "the same for every seed"
    assert all(set(step.upstream) == {"graph"} for step in of(plan, "active"))


def test_retrieval_looks_through_the_encoder_that_was_trained_before_and_shares_its_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = toy.plan(monkeypatch, changes("retrieved"))
    features = {split_of(step): step.id for step in of(plan, "features")}
    for step in of(plan, "active"):
        assert step.upstream["train_features"] == (features["train"],)
        assert step.upstream["features"] == (features[split_of(step)],)
        assert step.payload["train_inputs"] == "train inputs"
    (train,) = [step for step in of(plan, "train") if "active" in step.upstream]
    assert train.upstream["features"] == (features["train"],)


def test_retrieval_looks_at_films_where_no_encoder_was_trained_before(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, changes("retrieved", {"fusion": {"epochs": 1}}) | {"seeds": [0, 1]})
    pixels = {split_of(step): step.id for step in of(plan, "pixels")}
    assert len(of(plan, "active")) == 3, "films are the same for every seed"
    for step in of(plan, "active"):
        assert (step.upstream["pixels"], step.upstream["train_pixels"]) == ((pixels[split_of(step)],), (pixels["train"],))
        assert step.seed is None


def test_what_films_show_is_told_by_the_last_stage_that_taught_it_before_knowledge_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages = {
        "unimodal": UNIMODAL,
        "again": UNIMODAL | {"epochs": 2},
        "fusion": FUSION | {"losses": {"cross_entropy": 1.0, "seen": 1.0}, "cached": [], "train": None},
        "last": {"losses": {"cross_entropy": 1.0}, "epochs": 1},
    }
    plan = toy.plan(monkeypatch, changes("image", stages))
    trained = {step.payload["stage"].value["name"]: step for step in of(plan, "train")}
    steps = of(plan, "active")
    assert [split_of(step) for step in steps] == ["train", "validate", "test"]
    for step in steps:
        assert step.upstream["checkpoint"] == (trained["again"].id,)
        assert step.upstream["labels"] == trained["unimodal"].upstream["labels"]
        assert step.payload["validate_inputs"] == "validate inputs"
        assert set(step.payload["model"].value) == {"encoders", "heads"}
    assert trained["fusion"].upstream["active"] == trained["last"].upstream["active"] == (steps[0].id,)


def test_cells_share_their_graph_and_their_active_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = {"fusion": ["concat", "gating"], "encoders.knowledge": ["gcn", {"name": "gcn", "hops": 3}]}
    plan = toy.plan(monkeypatch, changes("image") | {"axes": axes})
    assert (len(plan.experiment.cells), len(of(plan, "graph")), len(of(plan, "active"))) == (4, 1, 3)
    assert len(of(plan, "train")) == 1 + 4


def test_a_decoder_that_reads_no_graph_is_trained_alone_once_with_knowledge_or_without(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"words": {"losses": {"plain": 1.0}, "epochs": 1}, "unimodal": UNIMODAL, "fusion": FUSION}
    axes = {"encoders.knowledge": [None, "gcn"]}
    plan = toy.plan(monkeypatch, changes("image", stages) | {"axes": axes})
    (words,) = [step for step in of(plan, "train") if step.payload["stage"].value["name"] == "words"]
    assert "graph" not in words.upstream


def test_sources_are_an_axis_and_a_cell_without_knowledge_stands_once(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = {"encoders.knowledge": [None, "gcn"], "knowledge.active": list(SOURCES)}
    plan = toy.plan(monkeypatch, changes() | {"axes": axes})
    assert [cell.title for cell in plan.experiment.cells] == [
        "knowledge=none, active=image",
        "knowledge=gcn, active=image",
        "knowledge=gcn, active=retrieved",
        "knowledge=gcn, active=all",
    ]
    assert len(of(plan, "graph")) == 1
    without = plan.experiment.cells[0]
    assert without.knowledge is None
    assert "knowledge (no knowledge encoder here)" in without.dropped


def test_a_cell_without_knowledge_is_what_it_was_before_there_was_any(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = toy.plan(monkeypatch, {}).experiment.cells[0]
    said = toy.plan(monkeypatch, {"base.knowledge": {"min_count": 9, "annotator": "reader"}}).experiment.cells[0]
    assert plain.id == said.id
    assert "knowledge" not in plain.payload()


# Cues: a decoder that is told active nodes, with and without an encoder of knowledge.


def cued(active: str = "retrieved", cues: Any = "hint", stages: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    said = changes(active, stages or {"unimodal": UNIMODAL, "fusion": {"train": ["fusion", "decoder"], "epochs": 1}}, **more)
    return said | {"base.encoders": {"image": "cnn"}, "base.decoder": {"name": "cued", "cues": cues}}


@pytest.mark.parametrize("active", SOURCES)
@pytest.mark.parametrize("cues", ["hint", "mute"])
def test_cues_have_a_graph_and_active_nodes_without_an_encoder_of_knowledge(
    active: str, cues: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = toy.plan(monkeypatch, cued(active, cues))
    (graph,) = of(plan, "graph")
    steps = {split_of(step): step for step in of(plan, "active")}
    assert list(steps) == ["train", "validate", "test"]
    trained = {step.payload["stage"].value["name"]: step for step in of(plan, "train")}
    assert not {"graph", "active"} & set(trained["unimodal"].upstream)
    assert trained["fusion"].upstream["active"] == (steps["train"].id,)
    for step in of(plan, "generate"):
        assert (step.upstream["active"], step.upstream["graph"]) == ((steps[split_of(step)].id,), (graph.id,))
    # What makes nodes active rests on the stages before the first that writes, in generation too.
    for step in steps.values():
        behind = {one for one in plan.behind(step.id) if plan.steps[one].kind == "train"}
        assert behind == ({trained["unimodal"].id} if active != "all" else set())


@pytest.mark.parametrize("active", SOURCES)
def test_cues_never_see_a_target_of_validate_or_test(active: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, cued(active), toy.make_record(test_targets="SECRET", validate_targets="HIDDEN"))
    for step in of(plan, "active"):
        behind = " ".join(str(plan.steps[step_id].request()) for step_id in plan.behind(step.id))
        assert "SECRET" not in behind and "HIDDEN" not in behind


def test_cues_are_an_axis_that_shares_the_graph_and_a_cell_without_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = {"decoder.cues": [None, "hint", {"name": "hint", "strength": 2.0}, "mute"]}
    plan = toy.plan(monkeypatch, cued(cues=None) | {"axes": axes})
    assert [cell.title for cell in plan.experiment.cells][:2] == ["cues=none", "cues=hint"]
    assert (len(of(plan, "graph")), len(of(plan, "active"))) == (1, 3)
    assert [cell.knowledge is None for cell in plan.experiment.cells] == [True, False, False, False]
    assert len({cell.id for cell in plan.experiment.cells}) == 4
    assert len(of(plan, "train")) == 1 + 4


def test_cues_and_an_encoder_of_knowledge_share_active_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = cued() | {"base.encoders": ENCODERS, "axes": {"decoder.cues": [None, "hint"], "encoders.knowledge": [None, "gcn"]}}
    plan = toy.plan(monkeypatch, said)
    assert [cell.knowledge is None for cell in plan.experiment.cells] == [True, False, False, False]
    assert (len(of(plan, "graph")), len(of(plan, "active"))) == (1, 3)


def test_a_stage_of_the_decoder_alone_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"words": {"losses": {"plain": 1.0}, "epochs": 1}, "fusion": {"epochs": 1}}
    plan = toy.plan(monkeypatch, cued("all", stages=stages))
    trained = {step.payload["stage"].value["name"]: set(step.upstream) for step in of(plan, "train")}
    assert "active" not in trained["words"] and "graph" in trained["words"]
    assert "active" in trained["fusion"]


# What counts.

OTHER: dict[str, Any] = {
    "annotator": {"name": "reader", "depth": 2},
    "min_count": 6,
    "min_edge_count": 4,
    "max_nodes": 20,
    "co_occurrence": None,
    "active": "all",
    "neighbours": 4,
    "votes": 3,
}
OF_GRAPH = {"annotator", "min_count", "min_edge_count", "max_nodes", "co_occurrence"}


def test_every_option_is_tried_here() -> None:
    assert set(OTHER) == set(KnowledgeConfig.model_fields)


@pytest.mark.parametrize("option", OTHER)
def test_every_option_counts_in_active_nodes_and_what_follows(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = toy.plan(monkeypatch, changes())
    after = toy.plan(monkeypatch, changes(**{option: OTHER[option]}) if option != "active" else changes("all"))
    one, other = toy.ids(before), toy.ids(after)
    changed = {kind for kind in one if one[kind] != other.get(kind)}
    expected = {"active", "train", "generate", "score", "select", "intervals"} | ({"graph"} if option in OF_GRAPH else set())
    assert changed == expected
    assert one["train"] & other["train"], "the stage of films alone does not read it"
    assert before.experiment.cells[0].id != after.experiment.cells[0].id
    default = KnowledgeConfig.model_fields[option].default
    spelled = toy.plan(
        monkeypatch, changes(**{option: "reader" if option == "annotator" else default}) if option != "active" else changes()
    )
    assert toy.ids(spelled) == one


def test_options_of_retrieval_do_not_count_elsewhere_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = toy.plan(monkeypatch, changes("all")), toy.plan(monkeypatch, changes("all", neighbours=7))
    assert toy.ids(before) == toy.ids(after)
    assert before.experiment.cells[0].id == after.experiment.cells[0].id
    assert "knowledge.neighbours (active is all)" in after.experiment.cells[0].dropped


def test_who_annotates_is_who_makes_labels_where_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one = toy.plan(monkeypatch, changes())
    other = toy.plan(monkeypatch, changes(annotator="reader"))
    assert one.experiment.cells[0].id == other.experiment.cells[0].id
    named = toy.plan(monkeypatch, changes(annotator={"name": "reader", "depth": 3}))
    assert one.experiment.cells[0].id != named.experiment.cells[0].id


@pytest.mark.parametrize(("side", "kinds"), [("validate_targets", {"score"}), ("test_targets", {"score"})])
@pytest.mark.parametrize("active", SOURCES)
def test_correcting_a_reference_scores_again_and_nothing_else(
    active: str, side: str, kinds: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = {"unimodal": UNIMODAL, "fusion": FUSION}
    raw = {key: value for key, value in changes(active, stages).items() if key != "select"}
    one, other = (toy.ids(toy.plan(monkeypatch, raw, toy.make_record(**given))) for given in ({}, {side: "corrected"}))
    changed = {kind for kind in one if one[kind] != other[kind]}
    # On validate, how well the encoder tells findings is judged by labels; nothing is chosen by it.
    assert changed <= kinds | {"intervals", "labels", "auroc"}
    assert not changed & {"graph", "active", "train", "generate"}


# Mistakes.


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (
            {"encoders": ENCODERS},
            "knowledge.annotator; got none; expected an annotator. Hint: name an annotator, who reads train reports: "
            "base.knowledge.annotator (or base.labels)",
        ),
        (
            {"encoders": ENCODERS, "knowledge": {"annotator": "radar"}},
            "knowledge.annotator: no annotators component of that name",
        ),
        (
            {"encoders": {"text": "bert", "knowledge": "gcn"}, "labels": "reader"},
            "knowledge.active; got retrieved, and no image encoder; expected all, or encoders.image",
        ),
        (
            {"encoders": ENCODERS, "labels": "reader", "knowledge": {"active": "image"}},
            "knowledge.active; got image, and no stage that teaches findings before the first that reads knowledge",
        ),
        (
            {"encoders": ENCODERS, "labels": "reader", "knowledge": {"votes": 6}},
            "knowledge.votes; got 6; expected at most knowledge.neighbours, 5",
        ),
        (
            {"decoder": {"name": "cued", "cues": "hint"}},
            "knowledge.annotator; got none; expected an annotator. Hint: name an annotator, who reads train reports",
        ),
        (
            {"decoder": {"name": "cued", "cues": "hint"}, "encoders": {"text": "bert"}, "labels": "reader"},
            "knowledge.active; got retrieved, and no image encoder; expected all, or encoders.image",
        ),
        (
            {"decoder": {"name": "cued", "cues": "hint"}, "labels": "reader", "knowledge": {"active": "image"}},
            "knowledge.active; got image, and no stage that teaches findings before the first that reads knowledge",
        ),
        ({"decoder": {"name": "cued", "cues": "hnt"}}, "decoder.cues: no cues component of that name"),
        ({"knowledge": {"actve": "all"}}, "knowledge.actve: no such key. Hint: did you mean 'active'?"),
        ({"knowledge": {"active": "none"}}, "knowledge.active; got 'none'; expected 'image', 'retrieved' or 'all'"),
        ({"knowledge": {"max_nodes": 0}}, "knowledge.max_nodes; got 0"),
        ({"knowledge": {"co_occurrence": 0.5}}, "knowledge.co_occurrence; got 0.5"),
        ({"knowledge": None}, "knowledge; got null"),
    ],
)
def test_what_knowledge_cannot_be_is_one_line(raw: dict[str, Any], told: str) -> None:
    lines = mistakes(raw)
    assert any(line.startswith(told) for line in lines), lines
    assert len(lines) == 1


def test_a_stage_that_reads_knowledge_itself_cannot_make_nodes_active() -> None:
    stages = {"fusion": {"losses": {"cross_entropy": 1.0, "seen": 1.0}}}
    (line,) = mistakes({"encoders": ENCODERS, "labels": "reader", "knowledge": {"active": "image"}, "stages": stages})
    assert "no stage that teaches findings before" in line
