"""From a file to ids: designs, dropped references, and what counts in which id."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from rrgbench.catalogue import Catalogue
from rrgbench.errors import ConfigError, ManyErrors, RRGBenchError
from rrgbench.experiment import Experiment
from rrgbench.experiment.designs import combinations, exclude, short_names
from rrgbench.experiment.yaml import parse_yaml
from rrgbench.plan import Plan, make_plan
from rrgbench.store import Store

BASE = {"fusion": "concat", "decoder": {"name": "transformer", "layers": 2}, "encoders": {"text": None}}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    place = Store(tmp_path_factory.mktemp("plans"))
    place.create()
    return place


@pytest.fixture(scope="module")
def planned(catalogue: Catalogue, store: Store, tiny: Any) -> Callable[..., Plan]:
    """The plan of the tiny experiment with changes."""

    def make(changes: dict[str, Any] | None = None) -> Plan:
        return make_plan(Experiment.of(tiny(changes)).resolve(catalogue), store)

    return make


def test_yaml_scalars_are_those_of_1_2() -> None:
    text = "a: 1e-4\nb: no\nc: 0o7\nd: 2024-01-01\ne: true\nf: 012\ng: 1_000\nh: ~\ni: .5\nj: -3\n"
    expected = {
        "a": 1e-4,
        "b": "no",
        "c": "0o7",
        "d": "2024-01-01",
        "e": True,
        "f": 12,
        "g": "1_000",
        "h": None,
        "i": 0.5,
        "j": -3,
    }
    assert parse_yaml(text, "t") == expected


def test_a_grid_is_every_combination_in_order() -> None:
    found = combinations("grid", {"fusion": ["a", "b"], "decoder.layers": [1, 2]}, BASE)
    assert [dict(c.labels) for c in found] == [
        {"fusion": "a", "layers": "1"},
        {"fusion": "a", "layers": "2"},
        {"fusion": "b", "layers": "1"},
        {"fusion": "b", "layers": "2"},
    ]


def test_zip_goes_side_by_side_and_refuses_unequal_axes() -> None:
    found = combinations("zip", {"fusion": ["a", "b"], "decoder.layers": [1, 2]}, BASE)
    assert [tuple(c.values.values()) for c in found] == [("a", 1), ("b", 2)]
    with pytest.raises(ConfigError, match="equally long"):
        combinations("zip", {"fusion": ["a", "b"], "decoder.layers": [1]}, BASE)


def test_one_at_a_time_changes_one_thing_of_base() -> None:
    found = combinations("one_at_a_time", {"fusion": ["concat", "b"], "decoder.layers": [1, 2, 3]}, BASE)
    assert [tuple(c.values.values()) for c in found] == [("concat", 2), ("b", 2), ("concat", 1), ("concat", 3)]


def test_leave_one_out_takes_one_thing_away_at_a_time() -> None:
    found = combinations("leave_one_out", {"decoder": [None], "fusion": ["mean"]}, BASE)
    assert [tuple(c.values.values()) for c in found] == [(BASE["decoder"], "concat"), (None, "concat"), (BASE["decoder"], "mean")]
    for values in (["concat"], ["a", "b"]):
        with pytest.raises(ConfigError, match="one value unlike base's"):
            combinations("leave_one_out", {"fusion": values}, BASE)


def test_exclusions_carry_their_reason_and_must_match() -> None:
    found = combinations("grid", {"fusion": ["a", {"name": "b", "x": 1}], "encoders.text": [None, "t"]}, BASE)
    stay, gone = exclude(found, [{"fusion": "b", "encoders.text": None, "because": "b needs text"}], BASE)
    assert len(stay) == 3
    assert gone[0].because == "b needs text"
    assert dict(gone[0].labels) == {"fusion": "b", "text": "none"}
    with pytest.raises(ConfigError, match="every cell excluded"):
        exclude(found, [{"decoder.layers": 2, "because": "all"}], BASE)
    with pytest.raises(ManyErrors):
        exclude(found, [{"fusion": "c", "because": "x"}, {"fusion": "a", "because": " "}], BASE)


def test_short_names_are_as_long_as_they_must_be() -> None:
    assert short_names(["a.x.lr", "b.x.lr", "fusion"]) == {"a.x.lr": "a.x.lr", "b.x.lr": "b.x.lr", "fusion": "fusion"}


def test_references_to_what_a_cell_lacks_are_dropped_and_shown(planned: Callable[..., Plan]) -> None:
    stages = {
        "fusion": {"train": ["text", "fusion", "decoder"], "adapters": {"text": "frozen"}, "lr": {"default": 1e-3, "text": 1e-4}}
    }
    plan = planned({"axes": {"encoders.text": [{"name": "transformers"}, None]}, "base.stages": stages})
    with_text, without = plan.experiment.cells
    assert with_text.dropped == ()
    assert [entry.partition(" ")[0] for entry in without.dropped] == [
        "stages.fusion.train.text",
        "stages.fusion.adapters.text",
        "stages.fusion.lr.text",
    ]
    assert without.stages[0].train == ("fusion", "decoder")
    assert dict(without.stages[0].lr) == {"default": 1e-3}
    assert not without.stages[0].adapters


def _ids(plan: Plan) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for step in plan.steps.values():
        found.setdefault(step.kind, set()).add(step.id)
    return found


SAME = [
    {
        "base.encoders": {
            "text": {"heads": 1, "layers": 1, "hidden_size": 16, "name": "transformers"},
            "image": {"name": "timm", "size": 32, "model": "test_vit"},
        }
    },
    {"base.fusion": {"name": "concat", "layers": 0}},
    {"base.tokenizer": "auto"},
    {"base.decoder": {"name": "transformer", "layers": 1, "hidden_size": 16, "heads": 2, "dropout": 0.1, "tie_embeddings": True}},
    {"base.decoder": {"name": "rrgbench/transformer", "layers": 1, "hidden_size": 16, "heads": 2}},
    {
        "base.stages": {
            "fusion": {"epochs": 1, "batch_size": 8, "lr": 0.001, "clip_norm": 1, "losses": {"cross_entropy": {"weight": 1}}}
        }
    },
    {"name": "another-name", "question": "another question"},
    {"design": "zip"},
]


@pytest.mark.parametrize("changes", SAME, ids=lambda changes: next(iter(changes)))
def test_what_does_not_count_changes_no_id(changes: dict[str, Any], planned: Callable[..., Plan]) -> None:
    if "axes" not in changes and "base.fusion" in changes:
        before, after = planned({"axes": {}}), planned(changes | {"axes": {}})
    else:
        before, after = planned(), planned(changes)
    assert _ids(before) == _ids(after)
    assert [cell.id for cell in before.experiment.cells] == [cell.id for cell in after.experiment.cells]
    assert [row.id for row in before.rows] == [row.id for row in after.rows]


STAGE = {"epochs": 1, "batch_size": 8}
COUNTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "seed": ({"seeds": [1]}, {"train", "generate", "score", "intervals"}),
    "batch_size": ({"base.stages": {"fusion": STAGE | {"batch_size": 4}}}, {"train", "generate", "score", "intervals"}),
    "epochs": ({"base.stages": {"fusion": STAGE | {"epochs": 2}}}, {"train", "generate", "score", "intervals"}),
    "lr": ({"base.stages": {"fusion": STAGE | {"lr": 2e-3}}}, {"train", "generate", "score", "intervals"}),
    "precision": ({"base.stages": {"fusion": STAGE | {"precision": "bf16"}}}, {"train", "generate", "score", "intervals"}),
    "loss weight": (
        {"base.stages": {"fusion": STAGE | {"losses": {"cross_entropy": 0.5}}}},
        {"train", "generate", "score", "intervals"},
    ),
    "adapter": (
        {"base.stages": {"fusion": STAGE | {"adapters": {"image": "frozen"}}}},
        {"train", "generate", "score", "intervals"},
    ),
    "num_beams": ({"base.decoding": {"max_new_tokens": 12, "num_beams": 2}}, {"generate", "score", "intervals"}),
    "length_penalty": ({"base.decoding": {"max_new_tokens": 12, "length_penalty": 0.5}}, {"generate", "score", "intervals"}),
    "protocol": ({"protocol": "r2gen-iu"}, {"score", "intervals"}),
    "metric": ({"metrics": ["rouge"]}, {"score", "intervals"}),
    "image encoder": (
        {
            "base.encoders": {
                "image": {"name": "timm", "model": "test_vit", "size": 48},
                "text": {"name": "transformers", "hidden_size": 16, "layers": 1, "heads": 1},
            }
        },
        {"pixels", "train", "generate", "score", "intervals"},
    ),
    "data": (
        {"base.dataset": {"name": "phantom", "studies": 30, "size": 32, "studies_per_subject": 2, "seed": 1}},
        {"pixels", "train", "generate", "score", "intervals"},
    ),
}


@pytest.mark.parametrize("what", COUNTS)
def test_what_counts_changes_the_steps_that_rest_on_it_and_no_other(what: str, planned: Callable[..., Plan]) -> None:
    changes, kinds = COUNTS[what]
    before, after = _ids(planned()), _ids(planned(changes))
    changed = {kind for kind in before if before[kind].isdisjoint(after[kind])}
    same = {kind for kind in before if before[kind] == after[kind]}
    assert changed == kinds
    assert same == set(before) - kinds


def test_films_are_prepared_once_for_all_cells_and_seeds(planned: Callable[..., Plan]) -> None:
    plan = planned({"seeds": [0, 1, 2]})
    pixels = [step for step in plan.steps.values() if step.kind == "pixels"]
    assert len(pixels) == 2  # train and test
    assert all(plan.uses[step.id] == 6 for step in pixels)


def test_no_step_but_scoring_knows_a_target_of_test(planned: Callable[..., Plan]) -> None:
    stages = {"fusion": {"epochs": 2, "rung": 1}}
    plan = planned({"select": {"metric": "bleu_4"}, "base.stages": stages, "floors": ["constant", "random"]})
    target = plan.rows[0].record.splits["test"].targets
    holders = {step.kind for step in plan.steps.values() if target in json.dumps(step.request())}
    assert holders == {"score"}
    judged = [step for step in plan.steps.values() if step.kind == "score" and step.payload["targets"] == target]
    upstream = {plan.steps[up].kind for step in judged for up in step.needed}
    assert upstream == {"generate", "floor"}
    tested = {step.id for step in judged}
    assert not any(
        tested & plan.behind(step.id) for step in plan.steps.values() if step.kind in ("generate", "select", "train", "floor")
    )


def test_rungs_follow_one_another_and_each_is_a_candidate(planned: Callable[..., Plan]) -> None:
    plan = planned({"select": {"metric": "bleu_4"}, "base.stages": {"fusion": {"epochs": 5, "rung": 2}}, "axes": {}})
    rungs = [step for step in plan.steps.values() if step.kind == "train"]
    assert [step.payload["epochs"] for step in rungs] == [[0, 2], [2, 4], [4, 5]]
    assert [step.upstream["start"] for step in rungs] == [(), (rungs[0].id,), (rungs[1].id,)]
    (select,) = [step for step in plan.steps.values() if step.kind == "select"]
    assert select.upstream["candidates"] == tuple(step.id for step in rungs)


def test_a_longer_budget_with_the_same_horizon_is_not_the_same_training(planned: Callable[..., Plan]) -> None:
    short = planned({"base.stages": {"fusion": {"epochs": 2, "rung": 1}}, "axes": {}})
    long = planned({"base.stages": {"fusion": {"epochs": 4, "rung": 1}}, "axes": {}})
    assert not {s.id for s in short.steps.values() if s.kind == "train"} & {
        s.id for s in long.steps.values() if s.kind == "train"
    }


def test_an_experiment_does_not_change_what_it_was_given(catalogue: Catalogue, tiny: Any) -> None:
    raw = tiny()
    before = copy.deepcopy(raw)
    Experiment.of(raw, overrides=["base.decoder.layers=3"]).resolve(catalogue)
    assert raw == before


def test_a_second_plan_reads_no_data_set_again(planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    planned()
    monkeypatch.setattr("rrgbench.data.subprocess.run", lambda *a, **k: pytest.fail("a child process was started"))
    planned()


def test_every_mistake_of_every_cell_is_collected(catalogue: Catalogue, tiny: Any) -> None:
    with pytest.raises(RRGBenchError) as caught:
        Experiment.of(tiny({"axes.fusion": ["x1", "x2"], "metrics": ["x3"], "protocol": "x4", "floors": ["x5"]})).resolve(
            catalogue
        )
    assert isinstance(caught.value, ManyErrors)
    assert len(caught.value.errors) == 5
