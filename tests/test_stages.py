"""Stages hold only what their losses read: so what cells share is trained once, and what an encoder makes of films is kept."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from rrgbench.errors import ManyErrors, RRGBenchError
from rrgbench.plan import Plan

_spec = importlib.util.spec_from_file_location("toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
assert _spec is not None and _spec.loader is not None
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

UNIMODAL = {"losses": {"seen": 1.0}, "epochs": 2}
ALIGNMENT = {"losses": {"contrastive": 1.0}, "epochs": 2}
FUSION: dict[str, Any] = {"train": ["text", "fusion", "decoder"], "augment": False, "cached": ["image"], "epochs": 2}
STAGED = {
    "base.stages": {"unimodal": UNIMODAL, "alignment": ALIGNMENT, "fusion": FUSION},
    "axes": {"fusion": ["concat", "gating"], "encoders.text": ["bert", None]},
    "seeds": [0, 1],
}


def _of(plan: Plan, kind: str) -> list[Any]:
    return [step for step in plan.steps.values() if step.kind == kind]


def _stage(plan: Plan, name: str) -> list[Any]:
    return [step for step in _of(plan, "train") if step.payload["stage"].value["name"] == name]


def _told(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(RRGBenchError) as caught, pytest.MonkeyPatch.context() as monkeypatch:
        toy.plan(monkeypatch, changes)
    return [str(error) for error in (caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,))]


def test_a_stage_that_reads_one_encoder_is_trained_once_a_seed_for_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, STAGED)
    unimodal = _stage(plan, "unimodal")
    assert [step.seed for step in unimodal] == [0, 1]
    assert {plan.uses[step.id] for step in unimodal} == {4}
    model = unimodal[0].payload["model"].value
    assert set(model["encoders"]) == {"image"}
    assert set(model) == {"encoders", "heads"}
    # Text is there in half of the cells; what fusion and decoder are does not matter.
    alignment = _stage(plan, "alignment")
    assert [(set(step.payload["model"].value["encoders"]), plan.uses[step.id]) for step in alignment] == [
        ({"image", "text"}, 2)
    ] * 2
    assert alignment[0].upstream["start"] == (unimodal[0].id,)
    assert len(_stage(plan, "fusion")) == 4 * 2


def test_a_stage_starts_from_what_holds_its_modules_and_hangs_on_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"unimodal": UNIMODAL, "alone": {"losses": {"graph": 1.0}}, "fusion": {"epochs": 1}}
    encoders = {"image": "cnn", "knowledge": "gcn"}
    plan = toy.plan(
        monkeypatch,
        {"base.stages": stages, "base.encoders": encoders, "base.knowledge": {"annotator": "reader", "active": "all"}},
    )
    (unimodal,), (alone,), (fusion,) = (_stage(plan, name) for name in stages)
    assert set(alone.upstream) == {"graph", "active", "start"}
    assert alone.upstream["start"] == ()
    assert fusion.upstream["start"] == (unimodal.id, alone.id)
    (generate,) = _of(plan, "generate")
    assert generate.upstream["checkpoint"] == (fusion.id,), "the last stage holds the whole model"


def test_a_report_generator_is_put_together_from_the_stages_that_hold_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"fusion": {"epochs": 1}, "alignment": ALIGNMENT}
    plan = toy.plan(monkeypatch, {"base.stages": stages, "metrics": ["bleu", "clip"]})
    (fusion,), (alignment,) = (_stage(plan, name) for name in stages)
    (generate,), (embed,) = _of(plan, "generate"), _of(plan, "embed")
    assert generate.upstream["checkpoint"] == (fusion.id, alignment.id)
    assert embed.payload["model"].value["heads"] == {"embedding_dim": 128}
    (score,) = [step for step in _of(plan, "score") if "embeddings" in step.upstream]
    assert score.upstream["embeddings"] == (embed.id,)


def test_embeddings_are_those_of_the_stage_that_trained_them(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"metrics": ["bleu", "clip"], "select": {"metric": "bleu_4"}}
    plan = toy.plan(monkeypatch, STAGED | chosen | {"axes": {"fusion": ["concat", "gating"]}, "seeds": [0]})
    (alignment,), (embed,) = _stage(plan, "alignment"), _of(plan, "embed")
    assert embed.upstream["checkpoint"] == (alignment.id,), "the fusion stage goes on training the text encoder"
    assert "select" not in embed.upstream
    assert plan.uses[embed.id] == 2, "fusions share what they align"
    beside = {"fusion": {"epochs": 2, "rung": 1, "losses": {"cross_entropy": 1.0, "contrastive": 0.1}}}
    plan = toy.plan(monkeypatch, chosen | {"base.stages": {"alignment": ALIGNMENT, **beside}})
    (embed,) = _of(plan, "embed")
    assert embed.upstream["candidates"] == tuple(step.id for step in _stage(plan, "fusion"))


def test_reports_are_written_before_embeddings_see_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (
        toy.plan(monkeypatch, STAGED | {"metrics": ["bleu", "clip"]}, toy.make_record(test_targets=targets))
        for targets in ("test targets", "corrected")
    )
    for kind in ("train", "features", "generate", "auroc"):
        assert {step.id for step in _of(one, kind)} == {step.id for step in _of(other, kind)}
    assert not {step.id for step in _of(one, "embed")} & {step.id for step in _of(other, "embed")}


def test_what_a_frozen_encoder_makes_of_films_is_kept_once_for_all_fusions(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, STAGED | {"axes": {"fusion": ["concat", "gating"]}, "base.encoders": {"image": "cnn"}})
    features = _of(plan, "features")
    assert [(step.payload["inputs"], step.seed) for step in features] == [
        (f"{split} inputs", seed) for seed in (0, 1) for split in ("train", "test")
    ]
    assert {step.upstream["checkpoint"] for step in features} == {(step.id,) for step in _stage(plan, "unimodal")}
    for step in (*_stage(plan, "fusion"), *_of(plan, "generate")):
        assert "pixels" not in step.upstream
        assert len(step.upstream["features"]) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": None}, "stages.fusion.cached; got image is trained here; expected an image encoder that is frozen"),
        ({"train": None, "adapters": {"image": "lora"}}, "stages.fusion.cached; got image is adapted by lora here"),
        ({"precision": "bf16"}, "stages.fusion.cached; got precision bf16 here; expected float32, as films are kept"),
        ({"augment": True}, "stages.fusion.cached; got films are augmented at random here; expected films that stay the same"),
    ],
)
def test_films_that_are_not_always_the_same_are_not_kept(changes: dict[str, Any], told: str) -> None:
    (line,) = _told({"base.stages": {"unimodal": UNIMODAL, "fusion": FUSION | changes}})
    assert told in line


def test_an_encoder_that_is_frozen_by_an_adapter_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"base.stages": {"fusion": FUSION | {"train": None, "adapters": {"image": "frozen"}}}})
    assert len(_of(plan, "features")) == 2


def test_labels_are_an_annotator_s_or_the_data_set_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"unimodal": UNIMODAL, "fusion": {"epochs": 1}}
    own = toy.plan(monkeypatch, {"base.stages": stages})
    assert _stage(own, "unimodal")[0].payload["labels"] == ("effusion",)
    assert not _of(own, "labels")
    annotated = toy.plan(monkeypatch, {"base.stages": stages, "base.labels": "reader"}, toy.make_record(labels=()))
    train, validate = _of(annotated, "labels")
    assert (train.payload["targets"], validate.payload["targets"]) == ("train targets", "validate targets")
    assert _stage(annotated, "unimodal")[0].upstream["labels"] == (train.id,)
    (auroc,) = _of(annotated, "auroc")
    assert auroc.upstream["labels"] == (train.id,)
    assert auroc.upstream["judged"] == (validate.id,)
    assert annotated.rows[-1].aurocs == {"unimodal": (auroc.id,)}
    assert _stage(annotated, "fusion")[0].payload["labels"] is None


def test_a_data_set_without_labels_needs_an_annotator() -> None:
    told = r"a stage reads labels, and the data set toy has none. Hint: name an annotator"
    with pytest.raises(RRGBenchError, match=told), pytest.MonkeyPatch.context() as monkeypatch:
        toy.plan(monkeypatch, {"base.stages": {"unimodal": UNIMODAL, "fusion": {}}}, toy.make_record(labels=()))


def test_who_annotates_counts_for_those_alone_who_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"unimodal": UNIMODAL, "fusion": {"epochs": 1}}
    cells = [
        toy.plan(monkeypatch, {"base.stages": given, "base.labels": {"name": "reader", "depth": depth}}).experiment.cells[0].id
        for given in (stages, {"fusion": {"epochs": 1}})
        for depth in (1, 2)
    ]
    assert cells[0] != cells[1]
    assert cells[2] == cells[3]


LUNGS = {"losses": {"seen": 1.0, "lungs": 0.5}, "epochs": 2}


def test_masks_are_a_step_of_the_prepared_films_that_the_stage_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"base.stages": {"unimodal": LUNGS, "fusion": {"epochs": 1}}, "base.masks": "outline"}
    plan = toy.plan(monkeypatch, changes | {"axes": {"fusion": ["concat", "gating"]}, "seeds": [0, 1]})
    (masks,) = _of(plan, "masks")
    (films,) = [step for step in _of(plan, "pixels") if step.payload["inputs"] == "train inputs"]
    assert masks.upstream == {"pixels": (films.id,)}
    assert masks.seed is None and masks.payload["segmenter"].name == "outline"
    for step in _stage(plan, "unimodal"):
        assert step.upstream["masks"] == (masks.id,)
        assert step.payload["model"].value["heads"] == {"finding_logits": True, "mask_logits": True}
    assert all("masks" not in step.upstream for step in _stage(plan, "fusion"))
    assert plan.rows[-1].aurocs.keys() == {"unimodal"}


def test_who_finds_lungs_counts_for_those_alone_who_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        toy.plan(monkeypatch, {"base.stages": given, "base.masks": masks}).experiment.cells[0].id
        for given in ({"unimodal": LUNGS, "fusion": {}}, {"unimodal": UNIMODAL, "fusion": {}})
        for masks in ({"name": "outline", "width": 1}, {"name": "outline", "width": 2})
    ]
    assert cells[0] != cells[1]
    assert cells[2] == cells[3]
    without = toy.plan(monkeypatch, {"base.stages": {"unimodal": UNIMODAL, "fusion": {}}}).experiment.cells[0].id
    assert without == cells[2]


def test_masks_without_a_segmenter_are_a_mistake() -> None:
    (line,) = _told({"base.stages": {"unimodal": LUNGS, "fusion": {}}})
    assert "stages.unimodal learns masks; got no segmenter" in line and "base.masks" in line


def test_masks_of_a_cell_without_films_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"base.stages": {"unimodal": LUNGS, "fusion": {}}, "base.encoders": {"text": "bert"}, "base.masks": "outline"}
    plan = toy.plan(monkeypatch, changes)
    assert not _of(plan, "masks")
    assert "stages.unimodal.losses.lungs (no image here)" in plan.experiment.cells[0].dropped


def test_null_leaves_a_stage_or_a_loss_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with_none = {"unimodal": None, "fusion": {"losses": {"cross_entropy": 1.0, "contrastive": None}}}
    one, other = (toy.plan(monkeypatch, {"base.stages": stages}) for stages in (with_none, {"fusion": {}}))
    assert one.experiment.cells[0].id == other.experiment.cells[0].id


def test_a_stage_without_a_loss_that_applies_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"base.stages": {"alignment": ALIGNMENT, "fusion": {}}, "base.encoders": {"image": "cnn"}})
    (cell,) = plan.experiment.cells
    assert [stage.name for stage in cell.stages] == ["fusion"]
    assert cell.dropped == (
        "stages.alignment.losses.contrastive (no text here)",
        "stages.alignment (no loss of it applies)",
    )


def test_what_a_stage_says_of_modules_that_it_does_not_hold_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {"unimodal": UNIMODAL | {"lr": {"default": 1e-3, "decoder": 1e-4, "heads": 1e-2}}, "fusion": {}}
    (cell,) = toy.plan(monkeypatch, {"base.stages": stages}).experiment.cells
    assert cell.dropped == ("stages.unimodal.lr.decoder (no loss of this stage reads it)",)
    assert dict(cell.stages[0].lr) == {"default": 1e-3, "heads": 1e-2}


def test_selection_by_a_metric_that_does_not_apply_is_a_mistake() -> None:
    (line,) = _told({"metrics": ["bleu", "clip"], "select": {"metric": "clip"}})
    assert "select.metric; got clip, not applicable to base: no stage trains embeddings" in line


def test_without_sharing_every_run_has_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from rrgbench.plan import make_plan
    from rrgbench.store import Store

    shared = toy.plan(monkeypatch, STAGED)
    alone = make_plan(shared.experiment, Store(Path("/nowhere")), sharing=False)
    asked = sum(shared.uses.values())
    assert len(alone.steps) > 1.5 * len(shared.steps)
    assert sum(alone.uses.values()) == asked
    trained = [
        step for step in alone.steps.values() if step.kind == "train" and step.payload["stage"].value["name"] == "unimodal"
    ]
    assert len(trained) == 4 * 2


# The horizon of a stage.


def _cuts(plan: Plan) -> list[list[int]]:
    return [step.payload["epochs"] for step in _stage(plan, "fusion")]


def test_a_horizon_in_steps_is_cut_into_rungs_of_epochs_as_the_studies_of_train_make_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Four studies in batches of two are two steps an epoch; the fourth epoch has one.
    plan = toy.plan(monkeypatch, {"base.stages": {"fusion": {"steps": 7, "batch_size": 2, "rung": 3}}})
    assert _cuts(plan) == [[0, 3], [3, 4]]
    recipe = _stage(plan, "fusion")[0].payload["stage"].value["recipe"]
    assert recipe["steps"] == 7
    assert "epochs" not in recipe
    assert _cuts(toy.plan(monkeypatch, {"base.stages": {"fusion": {"steps": 1}}})) == [[0, 1]]
    assert _cuts(toy.plan(monkeypatch, {"base.stages": {"fusion": {}}})) == [[0, 10]]


def test_a_stage_is_as_long_as_its_epochs_or_its_steps_say_and_not_both() -> None:
    (line,) = _told({"base.stages": {"fusion": {"epochs": 2, "steps": 7}}})
    told = "stages.fusion.epochs; got 2, and stages.fusion.steps 7; expected one of them. Hint: take the other out"
    assert told in line


def test_a_global_batch_is_the_batches_that_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(**stage: Any) -> Plan:
        return toy.plan(monkeypatch, {"base.stages": {"fusion": {"steps": 2, **stage}}})

    plan = made(global_batch=64, batch_size=16)
    assert _stage(plan, "fusion")[0].payload["stage"].value["recipe"]["accumulate"] == 4
    spelled = (made(accumulate=4), made(accumulate=4, global_batch=64))
    assert {toy.ids(other)["train"].pop() for other in (plan, *spelled)} == toy.ids(plan)["train"]
    assert toy.ids(made(global_batch=16)) == toy.ids(made()), "one batch a step is what a stage has anyway"
    # Four studies, three a step: two steps an epoch.
    assert _cuts(made(global_batch=3, batch_size=1)) == [[0, 1]]


# Early stopping.

STOPPING: dict[str, Any] = {"patience": 2}


def test_a_stage_that_stops_early_reads_validate_as_it_reads_train_and_never_test(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = {
        "unimodal": LUNGS | {"early_stopping": STOPPING},
        "fusion": FUSION | {"rung": 1, "early_stopping": STOPPING},
    }
    changes = {"base.stages": stages, "base.masks": "outline", "base.labels": "reader"}
    plan = toy.plan(monkeypatch, changes)
    (unimodal,), fusion = _stage(plan, "unimodal"), _stage(plan, "fusion")
    assert set(unimodal.upstream) == {"pixels", "labels", "masks", "start", "validate_pixels", "validate_masks", "judged"}
    assert set(fusion[0].upstream) == {"features", "start", "validate_features"}
    for step in (unimodal, *fusion):
        assert step.payload["validate"] == {"inputs": "validate inputs", "targets": "validate targets"}
        told = [plan.steps[step_id].request() for step_id in plan.behind(step.id)]
        assert "test inputs" not in str(told) and "test targets" not in str(told)

    def trained(**sides: str) -> set[str]:
        return toy.ids(toy.plan(monkeypatch, changes, toy.make_record(**sides)))["train"]

    assert trained(test_targets="corrected", test_inputs="others") == trained()
    assert not trained(validate_targets="corrected") & trained()


def test_a_stage_that_stops_by_its_train_loss_reads_no_validate(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"base.stages": {"fusion": {"epochs": 2, "early_stopping": STOPPING | {"on": "train"}}}})
    (step,) = _stage(plan, "fusion")
    assert set(step.upstream) == {"pixels", "start"}
    assert "validate" not in step.payload


@pytest.mark.parametrize(("need", "why"), [("samples", "draws reports"), ("report_nodes", "reads nodes of the graph")])
def test_a_loss_that_cannot_be_told_on_validate_does_not_stop_by_it(need: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy.Quiet, "needs", frozenset({need, "memory"}))
    stage = {"losses": {"cross_entropy": 1.0, "quiet": 1.0}, "early_stopping": STOPPING}
    known = {"base.encoders": {"image": "cnn", "knowledge": "gcn"}, "base.knowledge": {"annotator": "reader", "active": "all"}}
    (line,) = _told(known | {"base.stages": {"fusion": stage}})
    assert f"stages.fusion.early_stopping; got on validate, where quiet {why}" in line
    for rule in ({"on": "train"}, {"loss": "cross_entropy"}):
        assert toy.plan(monkeypatch, known | {"base.stages": {"fusion": stage | {"early_stopping": STOPPING | rule}}}).steps
