"""The space of a search: component places opened, options read from signatures, and every mistake told before any trial."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rrgbench.errors import ConfigError, ManyErrors, RRGBenchError
from rrgbench.search import Search


def _toys() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rrgbench_toy_search", Path(__file__).with_name("toy_search.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault("rrgbench_toy_search", importlib.util.module_from_spec(spec))
    if not hasattr(module, "go"):
        spec.loader.exec_module(module)
    return module


toys = _toys()
FIRST = {"low": 0.1, "high": 0.2}


def _dimensions(space: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {dimension.name: dimension for dimension in toys.resolve(space=space, **changes).space.dimensions}


# Reading.


def test_the_options_that_a_signature_bounds_are_dimensions_and_the_others_say_why_not() -> None:
    space = toys.resolve(space={"fusion": {"components": ["bounded", "gating"], "options": True}}).space
    assert {dimension.name: dimension.words() for dimension in space.dimensions} == {
        "fusion": "bounded | gating",
        "fusion.bounded.mode": "sum | mean",
        "fusion.bounded.norm": "false | true",
        "fusion.bounded.heads": "int 1 .. 8",
        "fusion.bounded.width": "int 8 .. 64, step 8",
        "fusion.bounded.dropout": "float 0 .. 1",
        "fusion.bounded.rate": "float 4.94066e-324 .. 1",
    }
    dropout = next(dimension for dimension in space.dimensions if dimension.name == "fusion.bounded.dropout")
    assert dropout.high < 1
    assert {item.name.removeprefix("fusion."): item.why for item in space.left} == {
        "bounded.only": "it has one value",
        "bounded.layers": "not bounded: int >= 0",
        "bounded.tag": "no range can be read from: str",
        "bounded.grid": "no range can be read from: float >= 0, <= 1, multiple_of 0.25",
        "bounded.reward": "no range can be read from: a component of kind metrics",
        "gating.heads": "not bounded: int",
        "gating.dropout": "not bounded: float",
    }


def test_options_stand_behind_their_component_and_exist_only_beside_it() -> None:
    space = toys.resolve(
        space={"fusion": {"components": ["concat", "bounded"], "options": True}, "decoder.layers": {"choices": [1]}}
    )
    parameters = space.space.first({"fusion": "bounded"})
    assert list(parameters)[:2] == ["fusion", "fusion.bounded.mode"]
    assert list(parameters)[-1] == "decoder.layers"
    assert list(space.space.first({})) == ["fusion", "decoder.layers"]
    cell = space.space.cell(space.config.base, parameters | {"fusion.bounded.dropout": 0.25})
    assert cell["fusion"]["name"] == "bounded"
    assert cell["fusion"]["dropout"] == 0.25
    assert cell["decoder"] == {"name": "rnn", "layers": 1}
    assert space.config.base["fusion"] == "concat", "the base is not touched"


def test_all_takes_every_installed_component_but_those_that_need_an_option() -> None:
    space = toys.resolve(space={"fusion": {"components": "all"}}).space
    (fusion,) = space.dimensions
    assert fusion.labels == ("bounded", "concat", "gating")
    assert [(item.name, item.why.partition(":")[0]) for item in space.left] == [("fusion.needy", "it needs the option size")]
    found = _dimensions({"fusion": {"components": [{"name": "needy", "size": 4}]}})
    assert found["fusion"].choices == ({"name": "needy", "size": 4},)


def test_a_name_that_two_distributions_offer_is_chosen_by_its_long_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from rrgbench.catalogue import Catalogue
    from rrgbench.search import resolve_search

    (described,) = toys.make_catalogue().records
    (spec,) = [spec for spec in described.specs if spec.name == "bounded"]
    other = described.model_copy(
        update={"distribution": "others", "specs": (spec.model_copy(update={"distribution": "others"}),)}
    )
    catalogue = Catalogue.of([described, other])
    raw = toys.tiny(space={"fusion": {"components": "all"}, "fusion.others/bounded.dropout": FIRST})
    space = resolve_search(Search.of(raw), catalogue).space
    assert space.dimensions[0].labels == ("toys/bounded", "others/bounded", "concat", "gating")
    assert space.dimensions[1].when == ("fusion", "others/bounded")


def test_the_file_narrows_what_a_signature_says_and_may_search_one_option_alone() -> None:
    both = _dimensions({"fusion": {"components": ["bounded"], "options": True}, "fusion.bounded.dropout": FIRST})
    assert (both["fusion.bounded.dropout"].low, both["fusion.bounded.dropout"].high) == (0.1, 0.2)
    assert not both["fusion.bounded.dropout"].declared
    assert both["fusion.bounded.rate"].declared
    alone = _dimensions({"fusion.bounded.layers": {"low": 0, "high": 3}, "fusion": {"components": ["concat", "bounded"]}})
    assert list(alone) == ["fusion", "fusion.bounded.layers"]
    assert alone["fusion.bounded.layers"].whole
    assert toys.resolve(space={"fusion": {"components": ["gating"], "options": True}, "fusion.gating.heads": {"choices": [2, 4]}})


def test_options_that_the_file_gives_stay_as_they_are() -> None:
    search = toys.resolve(space={"fusion": {"components": [{"name": "bounded", "dropout": 0.3}], "options": True}})
    assert "fusion.bounded.dropout" not in [dimension.name for dimension in search.space.dimensions]
    assert search.space.cell(search.config.base, search.space.first({}))["fusion"]["dropout"] == 0.3


def test_every_place_of_a_component_can_be_searched_and_null_leaves_a_source_out() -> None:
    space = {
        "encoders.text": {"components": ["bert", None]},
        "tokenizer": {"components": ["word", "auto"]},
        "stages.fusion.adapters.image": {"components": ["frozen", "lora"]},
        "stages.fusion.losses.more": {"components": [{"name": "quiet", "weight": 0.1}, "contrastive"]},
    }
    losses = {"cross_entropy": 1.0, "more": {"name": "quiet"}}
    search = toys.resolve(space=space, base__stages={"fusion": {"adapters": {"image": "frozen"}, "losses": losses}})
    without = search.trial(toys.make_catalogue(), 0, search.space.first({"encoders.text": "none"})).cells[0]
    assert list(without.encoders) == ["image"]
    assert without.stages[0].losses["more"][0] == 0.1


def test_values_of_choices_may_be_anything_and_have_labels() -> None:
    values = [{"name": "rnn", "layers": 1}, {"name": "rnn", "layers": 2}, "rnn"]
    found = _dimensions({"decoder": {"choices": values}, "stages.fusion.precision": {"choices": ["no", "bf16"]}})
    assert found["decoder"].labels == ("rnn(layers=1)", "rnn(layers=2)", "rnn")
    assert found["decoder"].value("rnn(layers=2)") == {"name": "rnn", "layers": 2}


@pytest.mark.parametrize(
    ("path", "given", "whole"),
    [
        ("decoder.layers", {"low": 1, "high": 4}, True),
        ("stages.fusion.weight_decay", {"low": 0, "high": 1}, False),
        ("stages.fusion.weight_decay", {"low": 0.0, "high": 1}, False),
        ("fusion.bounded.rate", {"low": 1e-3, "high": 1}, False),
        ("stages.fusion.epochs", {"low": 2, "high": 10, "step": 4}, True),
    ],
)
def test_a_range_is_of_whole_numbers_only_where_the_place_takes_no_others(path: str, given: dict[str, Any], whole: bool) -> None:
    found = _dimensions({"fusion": {"components": ["bounded"]}, path: given})
    assert found[path].whole is whole


# Mistakes.


def _mistakes(**changes: Any) -> list[str]:
    with pytest.raises(RRGBenchError) as caught:
        toys.resolve(**changes)
    return [str(error) for error in (caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,))]


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"fusoin": {"choices": ["concat"]}}, "s.yaml: space.fusoin: no such key. Hint: did you mean 'fusion'?"),
        ({"decoder.layrs": {"choices": [1]}}, "s.yaml: space.decoder.layrs: decoder: rnn has no such option; got 'layrs'"),
        ({"stages.fuson.lr": FIRST}, "s.yaml: space.stages.fuson.lr: nothing at 'stages.fuson'. Hint: did you mean 'fusion'?"),
        ({"decoder.layers": {"low": 0, "high": 3}}, "s.yaml: space.decoder.layers; got 0; expected int > 0"),
        ({"decoder.layers": {"choices": [1, "x"]}}, "s.yaml: space.decoder.layers; got 'x'; expected int > 0"),
        ({"fusion": {"choices": ["concat", "gatin"]}}, "s.yaml: space.fusion: no fusions component of that name; got 'gatin'"),
        ({"fusion": {"components": ["gatin"]}}, "s.yaml: space.fusion: no fusions component of that name; got 'gatin'"),
        ({"fusion": {"components": [3]}}, "s.yaml: space.fusion.components; got 3; expected the name of a fusions component"),
        ({"fusion": {"components": ["needy"]}}, "s.yaml: space.fusion.size: needy needs this option; expected int"),
        ({"fusion": {"components": ["concat", None]}}, "s.yaml: space.fusion; got None; expected the name of a fusions"),
        ({"fusion": {"components": ["concat", "concat"]}}, "space.fusion.components; got 'concat' twice"),
        ({"decoder.layers": {"components": "all"}}, "s.yaml: space.decoder.layers: not the place of a component"),
        ({"knowledge": {"components": "all"}}, "s.yaml: space.knowledge: not the place of a component"),
        ({"decoder.layers": {"low": 3, "high": 1}}, "s.yaml: space.decoder.layers; got low 3, high 1; expected low below high"),
        ({"decoder.layers": {"low": 3, "high": 3}}, "expected low below high. Hint: one value is written {choices: [value]}"),
        (
            {"decoder.layers": {"low": 1, "high": 4, "step": 2}},
            "space.decoder.layers.step; got 2; expected steps that lead from 1 to 4",
        ),
        (
            {"stages.fusion.lr": {"low": 0, "high": 1, "log": True}},
            "space.stages.fusion.lr; got log with low 0; expected a low above",
        ),
        ({"stages.fusion.lr": {"low": 1, "high": 3, "log": True, "step": 1}}, "got log with step 1"),
        ({"stages.fusion.lr": {"low": 0.1}}, "s.yaml: space.stages.fusion.lr: high is missing"),
        ({"stages.fusion.lr": {"low": True, "high": 2}}, "s.yaml: space.stages.fusion.lr: low; got True; expected a valid"),
        (
            {"stages.fusion.lr": {"low": 0.1, "high": 1, "lgo": True}},
            "space.stages.fusion.lr: lgo: no such key. Hint: did you mean 'lo",
        ),
        ({"decoder.layers": {"choices": []}}, "s.yaml: space.decoder.layers: choices; got []; expected at least 1 item"),
        ({"decoder.layers": {"choices": [1, 1]}}, "s.yaml: space.decoder.layers.choices; got [1, 1]; expected each value once"),
        ({"decoder.layers": [1, 2]}, "s.yaml: space.decoder.layers; got [1, 2]; expected {choices: [..]}, {low: .., high: ..}"),
        ({"decoder.layers": {}}, "s.yaml: space.decoder.layers; got {}; expected {choices"),
        ({"decoder": {"choices": ["rnn"]}, "decoder.layers": {"choices": [1]}}, "space.decoder.layers lies inside space.decoder"),
        (
            {"fusion": {"components": ["bounded"]}, "fusion.dropout": FIRST},
            "space.fusion.dropout: not an option of a component of",
        ),
        (
            {"fusion": {"components": ["bounded"]}, "fusion.gating.heads": FIRST},
            "space.fusion.gating.heads: not an option of a compo",
        ),
        (
            {"fusion": {"components": ["bounded"]}, "fusion.bounded.drop": FIRST},
            "bounded has no such option; got 'drop'. Hint: did you",
        ),
        (
            {"fusion": {"components": ["bounded"]}, "fusion.bounded.rate": {"low": 0.5, "high": 2}},
            "space.fusion.bounded.rate; got 2",
        ),
        ({}, "s.yaml: space; got {}; expected at least 1 item"),
    ],
)
def test_a_mistake_in_the_space_is_one_line_that_names_it(space: dict[str, Any], said: str) -> None:
    (mistake,) = _mistakes(space=space)
    assert said in mistake
    assert mistake.startswith("s.yaml: ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objective": {"metric": "bleu_5"}}, "s.yaml: objective.metric; got 'bleu_5'. Hint: did you mean 'bleu_4'?"),
        (
            {"objective": {"metric": "length"}},
            "s.yaml: objective.metric; got length; expected a value of which one way is better",
        ),
        ({"objective": {"metric": "bleu_4", "split": "test"}}, "s.yaml: objective.split; got 'test'; expected 'validate'"),
        ({"metrics": ["blue", "bleu"]}, "s.yaml: metrics[0]: no metrics component of that name; got 'blue'"),
        ({"protocol": "rwa"}, "s.yaml: protocol: no protocols component of that name; got 'rwa'"),
        ({"best": {"floors": ["const"]}}, "s.yaml: best.floors[0]: no floors component of that name; got 'const'"),
        ({"best": {"metrics": ["rouge"]}}, "s.yaml: best.metrics; got none has bleu_4; expected the objective among them"),
        ({"best": {"seeds": [0, 1]}}, "s.yaml: best.seeds; got [0]; expected seeds that no trial had"),
        ({"seeds": [1, 1]}, "s.yaml: seeds; got [1, 1]; expected each seed once"),
        ({"trials": 0}, "s.yaml: trials; got 0; expected greater than or equal to 1"),
        ({"pruner": {"startup": -1}}, "s.yaml: pruner.startup; got -1"),
        ({"sampler": {"name": "grid"}}, "s.yaml: sampler.name; got 'grid'; expected 'tpe'"),
        ({"base__fusion": "cancat"}, "s.yaml: base.fusion: no fusions component of that name; got 'cancat'"),
        ({"trails": 3}, "s.yaml: trails: no such key. Hint: did you mean 'trials'?"),
        ({"base": ["fusion"]}, "s.yaml: base; got ['fusion']; expected a valid dictionary"),
    ],
)
def test_a_mistake_elsewhere_is_one_line_that_names_it(changes: dict[str, Any], said: str) -> None:
    (mistake,) = _mistakes(**{"space": {"decoder.layers": {"choices": [1, 2]}}, **changes})
    assert said in mistake


def test_all_mistakes_are_told_together() -> None:
    space = {
        "fusoin": {"choices": ["concat"]},
        "decoder.layers": {"low": 0, "high": 0.5},
        "encoders.text": {"components": ["brt"]},
        "stages.fusion.lr": {"low": 2, "high": 1},
    }
    told = "\n".join(_mistakes(space=space, objective={"metric": "x"}, protocol="rwa", base__dataset="tyo"))
    spots = ("fusoin:", "decoder.layers; got 0;", "decoder.layers; got 0.5;", "encoders.text:", "stages.fusion.lr;")
    for place in (*(f"space.{spot}" for spot in spots), "objective.metric;", "protocol:", "base.dataset:"):
        assert f"s.yaml: {place}" in told, told
    assert len(told.splitlines()) == 8


def test_what_the_space_gives_need_not_stand_in_the_base() -> None:
    raw = toys.tiny(space={"fusion": {"components": "all"}})
    del raw["base"]["fusion"]
    assert toys.resolve(raw).start.fusion.name == "bounded"


def test_overrides_are_those_of_experiments(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("name: s\nbase: {fusion: concat}\nspace: {fusion: {components: all}}\ntrials: 3\nmetrics: [bleu]\n")
    loaded = Search.load(path, ["objective.metric=bleu_4", "trials=5", "base.fusion.layers=2"])
    assert loaded.config.trials == 5
    assert loaded.config.base == {"fusion": {"name": "concat", "layers": 2}}
    with pytest.raises(ConfigError, match=r"--set; got 'trials'; expected dotted\.path=value"):
        Search.load(path, ["trials"])
    with pytest.raises(ConfigError, match="objective is missing"):
        Search.load(path)
    with pytest.raises(ConfigError, match="expected a mapping with name, base, space"):
        Search.of([])
