"""An experiment file: how mistakes are told, and what `--set` reaches."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.errors import ConfigError, ManyErrors, RRGBenchError
from rrgbench.experiment import Experiment
from rrgbench.experiment.paths import ABSENT, get_path, set_path

_spec = importlib.util.spec_from_file_location("rrgbench_toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
toy = sys.modules.setdefault("rrgbench_toy_catalogue", importlib.util.module_from_spec(_spec))
if not hasattr(toy, "tiny"):
    _spec.loader.exec_module(toy)

CATALOGUE = toy.make_catalogue()


def _resolve(changes: dict[str, Any] | None = None, overrides: tuple[str, ...] = ()) -> Any:
    return Experiment.of(toy.tiny(changes), "file.yaml", overrides).resolve(CATALOGUE)


def _mistakes(changes: dict[str, Any], overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(RRGBenchError) as caught:
        _resolve(changes, overrides)
    errors = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    assert all("\n" not in str(error) for error in errors)
    return [str(error) for error in errors]


# Keys and types.

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"axis": {}}, "file.yaml: axis: no such key. Hint: did you mean 'axes'?"),
    ({"base.stage": {}}, "file.yaml: base.stage: no such key. Hint: did you mean 'stages'?"),
    ({"base.decoding": {"num_beam": 3}}, "file.yaml: base.decoding.num_beam: no such key. Hint: did you mean 'num_beams'?"),
    ({"base.stages": {"train": {"epoch": 3}}}, "file.yaml: base.stages.train.epoch: no such key. Hint: did you mean 'epochs'?"),
    ({"select": {"metric": "bleu_4", "metrics": "x"}}, "file.yaml: select.metrics: no such key. Hint: did you mean 'metric'?"),
    ({"select": {"metric": "bleu_4", "split": "test"}}, "file.yaml: select.split; got 'test'; expected 'validate'"),
    ({"base.stages": {"s": {"epochs": "ten"}}}, "file.yaml: base.stages.s.epochs; got 'ten'; expected a valid integer"),
    ({"base.stages": {"s": {"epochs": True}}}, "file.yaml: base.stages.s.epochs; got True; expected a valid integer"),
    ({"base.stages": {"s": {"epochs": 2.0}}}, "file.yaml: base.stages.s.epochs; got 2.0; expected a valid integer"),
    (
        {"base.stages": {"s": {"lr": "fast"}}},
        "file.yaml: base.stages.s.lr; got 'fast'; expected a valid number or a valid dictionary",
    ),
    ({"base.stages": {"s": {"lr": {"image": 0}}}}, "file.yaml: base.stages.s.lr.image; got 0; expected greater than 0"),
    ({"base.stages": {"s": {"lr": -1.0}}}, "file.yaml: base.stages.s.lr; got -1.0; expected greater than 0"),
    ({"base.stages": {"s": {"betas": [0.9]}}}, "file.yaml: base.stages.s.betas; got [0.9]; expected at least 2 items"),
    ({"base.stages": {"s": {"betas": [0.9, 1]}}}, "file.yaml: base.stages.s.betas[1]; got 1; expected less than 1"),
    ({"base.stages": {"s": {"schedule": "linear"}}}, "file.yaml: base.stages.s.schedule; got 'linear'; expected 'cosine'"),
    ({"base.stages": {"s": {"weight_decay": float("inf")}}}, "base.stages.s.weight_decay; got inf; expected a finite number"),
    ({"base.stages": {}}, "file.yaml: base.stages; got {}; expected at least 1 item"),
    ({"base.stages": None}, "file.yaml: base.stages; got null; expected a valid dictionary"),
    ({"base.encoders": ["image"]}, "file.yaml: base.encoders; got ['image']; expected a valid dictionary"),
    ({"base.decoding": {"length_penalty": float("nan")}}, "base.decoding.length_penalty; got nan; expected a finite number"),
    ({"base.decoding": {"min_new_tokens": 70}}, "base.decoding.min_new_tokens; got 70; expected at most max_new_tokens, 60"),
    ({"seeds": []}, "file.yaml: seeds; got []; expected at least 1 item"),
    ({"seeds": [-1]}, "file.yaml: seeds[0]; got -1; expected greater than or equal to 0"),
    ({"seeds": [2**63]}, "file.yaml: seeds[0]; got 9223372036854775808; expected less than"),
    ({"seeds": 3}, "file.yaml: seeds; got 3; expected a valid list"),
    ({"seeds": [1, 0, 1]}, "file.yaml: seeds; got [1, 0, 1]; expected each seed once"),
    ({"axes": {"fusion": "concat"}}, "file.yaml: axes.fusion; got 'concat'; expected a valid list"),
    ({"axes": {"fusion": []}}, "file.yaml: axes.fusion; got []; expected at least 1 item"),
    ({"name": "../up"}, "file.yaml: name; got '../up'; expected"),
    ({"name": ""}, "file.yaml: name; got ''; expected"),
    ({"design": "factorial"}, "file.yaml: design; got 'factorial'; expected 'grid'"),
    ({"metrics": []}, "file.yaml: metrics; got []; expected at least 1 item"),
    ({"metrics": [3]}, "file.yaml: metrics[0]; got 3; expected the name of a metrics component"),
    ({"metrics": ["bleu", "blue"]}, "metrics[1]: no metrics component of that name; got 'blue'. Hint: did you mean 'bleu'?"),
    ({"floors": ["constent"]}, "file.yaml: floors[0]: no floors component of that name; got 'constent'"),
    ({"protocol": "row"}, "file.yaml: protocol: no protocols component of that name; got 'row'. Hint: did you mean 'raw'?"),
    ({"select": {"metric": "bleu_5"}}, "file.yaml: select.metric; got 'bleu_5'. Hint: did you mean 'bleu_4'?"),
    ({"select": {"metric": "length"}, "metrics": ["length"]}, "file.yaml: select.metric; got length; expected a value of which"),
    ({"base.fusion": "concta"}, "file.yaml: base.fusion: no fusions component of that name; got 'concta'"),
    ({"axes": {"fusion": ["concat", "gateing"]}}, "file.yaml: axes.fusion: no fusions component of that name; got 'gateing'"),
    ({"axes": {"decoder.layers": [1, 0]}}, "file.yaml: axes.decoder.layers; got 0; expected int > 0"),
    ({"axes": {"fusionn": ["concat"]}}, "file.yaml: axes.fusionn: no such key. Hint: did you mean 'fusion'?"),
    ({"axes": {"decodr.layers": [1]}}, "file.yaml: axes.decodr: no such key. Hint: did you mean 'decoder'?"),
    ({"axes": {"encoders..text": [None]}}, "file.yaml: axes.encoders..text; got 'encoders..text'; expected a dotted path"),
    ({"base.decoder": {"name": "rnn", "layer": 2}}, "base.decoder: rnn has no such option; got 'layer'. Hint: did you mean"),
    ({"base.decoder": {"layers": 2}}, "file.yaml: base.decoder; got {'layers': 2}; expected the name of a decoders component"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "told"), WRONG, ids=[told.partition("; got")[0] for _, told in WRONG])
def test_a_mistake_is_one_line_with_file_field_got_and_expected(changes: dict[str, Any], told: str) -> None:
    (line,) = _mistakes(changes)
    assert told in line, line


def test_what_is_missing_is_named() -> None:
    assert _mistakes({"base": {"dataset": "toy", "encoders": {"image": "cnn"}, "fusion": "concat"}}) == [
        "file.yaml: base.decoder is missing",
        "file.yaml: base.stages is missing",
    ]
    with pytest.raises(ManyErrors, match=r"file\.yaml: name is missing .* file\.yaml: metrics is missing"):
        Experiment.of({"base": {}}, "file.yaml")


def test_all_mistakes_come_together_and_each_once() -> None:
    changes = {
        "axes": {"fusion": ["concatt", "gatting", "concat"], "encoders.text": ["bert", "bart"]},
        "base.decoder": {"name": "rnn", "layer": 2, "layers": "two"},
        "base.stages": {"fusion": {"losses": {"cross_entropi": 1.0}, "train": ["imag"]}},
        "metrics": ["blue", "rouge"],
        "floors": ["fixed"],
        "protocol": "row",
        "exclude": [{"fusion": "concat"}, {"fusion": "none of them", "because": "x"}],
    }
    told = _mistakes(changes)
    places = [line.removeprefix("file.yaml: ").partition(":")[0].partition(";")[0] for line in told]
    assert sorted(places) == sorted(
        [
            "exclude[0].because",
            "exclude[1] matches no cell",
            "axes.fusion",
            "axes.fusion",
            "axes.encoders.text",
            "base.decoder",
            "base.decoder.layers",
            "base.stages.fusion.losses.cross_entropi",
            "base.stages.fusion.train",
            "metrics[0]",
            "floors[0]",
            "protocol",
        ]
    ), told


def test_a_design_that_does_not_fit_hides_no_other_mistake() -> None:
    told = _mistakes(
        {"design": "zip", "axes": {"fusion": ["concat"], "decoder.layers": [1, 2]}, "base.fusion": "x", "metrics": ["y"]}
    )
    assert len(told) == 3
    assert "axes; got fusion has 1, decoder.layers has 2; expected equally long axes" in told[0]


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["concat", "bleu", "", "x", "image", "name"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "image", "fusion", "epochs", "lr", "weight", "default", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([*toy.TINY, "axes", "seeds", "select", "exclude", "baseline", "protocol", "design"])
    | st.sampled_from([f"base.{key}" for key in (*toy.TINY["base"], "tokenizer", "decoding", "x")]),
    _plain,
)
def test_any_plain_data_resolves_or_is_told_in_lines(path: str, value: Any) -> None:
    try:
        _resolve({path: value})
    except RRGBenchError as error:
        assert "\n" not in str(error)


# Overrides.


def test_set_opens_a_name_to_a_mapping_and_reads_yaml() -> None:
    config = Experiment.of(toy.tiny(), overrides=["base.fusion.layers=3", "seeds=[0,1]", "base.fusion.name = gating"]).config
    assert config.base["fusion"] == {"name": "gating", "layers": 3}
    assert config.seeds == [0, 1]
    made = Experiment.of(toy.tiny(), overrides=["base.decoding.num_beams=3", "select.metric=bleu_4"]).config
    assert made.base["decoding"] == {"num_beams": 3}
    assert made.select is not None
    rate = Experiment.of(toy.tiny(), overrides=["base.stages.fusion.lr=1e-4"]).config.base["stages"]["fusion"]["lr"]
    assert rate == 1e-4
    assert Experiment.of(toy.tiny(), overrides=["question=a=b", "base.encoders.text="]).config.question == "a=b"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seeds", "--set; got 'seeds'; expected dotted.path=value"),
        ("=3", "--set; got '=3'; expected dotted.path=value"),
        ("base.decodr.layers=1", "file.yaml: base.decodr: no such key. Hint: did you mean 'decoder'?"),
        ("base.decoding.beams=3", "file.yaml: base.decoding.beams: no such key. Hint: did you mean 'num_beams'?"),
        ("base.encoders.knowledge.hops=3", "file.yaml: base.encoders.knowledge; got {'hops': 3}; expected the name of"),
        ("base.stages.fusio.epochs=1", "nothing at 'base.stages.fusio'. Hint: did you mean 'fusion'?"),
        ("base..fusion=1", "'base..fusion'; expected a dotted path"),
        ("metrics.0=rouge", "metrics.0 leads into what has no inside; got ['bleu'] at 'metrics'"),
        ("seeds=[0", "--set seeds, line 1: not readable as YAML"),
        ("seed=[0]", "file.yaml: seed: no such key. Hint: did you mean 'seeds'?"),
        ("base.decoder.layerz=1", "file.yaml: base.decoder: rnn has no such option; got 'layerz'"),
    ],
)
def test_an_override_that_leads_nowhere_is_named(override: str, told: str) -> None:
    (line,) = _mistakes({}, (override,))
    assert told in line, line


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), st.integers())
def test_what_is_set_is_read_and_nothing_else_changes(parts: list[str], value: int) -> None:
    tree: dict[str, Any] = {"a": {"a": {"a": {"b": 1}, "c": 2}, "b": "word"}, "b": {"c": {}}, "c": 5}
    before = copy.deepcopy(tree)
    path = ".".join(parts)
    try:
        changed = set_path(tree, path, value, "t")
    except ConfigError:
        return
    finally:
        assert tree == before
    assert get_path(changed, path) == value


def test_nothing_at_a_path_is_not_null() -> None:
    assert get_path({"a": None}, "a") is None
    assert get_path({"a": None}, "b") is ABSENT
    assert get_path({"a": "word"}, "a.name") == "word"
    assert get_path({"a": "word"}, "a.size") is ABSENT


# Profiles: the same question at other sizes.

PROFILES = {
    "profiles": {"small": {"base.fusion": "gating", "seeds": [3], "base.stages.fusion.epochs": 7}, "wrong": {"base.fusoin": 1}}
}


def _profiled(profile: str | None, overrides: tuple[str, ...] = ()) -> Any:
    raw = toy.tiny({"axes": {}} | PROFILES)
    return Experiment.of(raw, "file.yaml", overrides, profile).resolve(CATALOGUE)


def test_a_profile_sets_its_values_under_a_name_of_its_own() -> None:
    plain, small = _profiled(None), _profiled("small")
    assert (plain.name, small.name) == ("tiny", "tiny.small")
    assert (small.cells[0].fusion.name, small.seeds, small.cells[0].stages[0].config.epochs) == ("gating", (3,), 7)
    assert plain.seeds != (3,) and plain.cells[0].fusion.name != "gating"


def test_profiles_that_are_not_chosen_change_no_id() -> None:
    assert [cell.id for cell in _profiled(None).cells] == [cell.id for cell in _resolve({"axes": {}}).cells]


def test_what_is_set_by_hand_wins_over_the_profile() -> None:
    assert _profiled("small", ("seeds=[5]",)).seeds == (5,)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("smal", "file.yaml has no profile 'smal'; expected of its profiles: small, wrong. Hint: did you mean 'small'?"),
        ("wrong", "file.yaml: base.fusoin: no such key. Hint: did you mean 'fusion'?"),
    ],
)
def test_a_profile_that_is_wrong_is_told(profile: str, words: str) -> None:
    with pytest.raises(RRGBenchError) as caught:
        _profiled(profile)
    assert words in str(caught.value)


def test_a_file_without_profiles_says_so() -> None:
    with pytest.raises(ConfigError, match="has no profile 'small'; expected of its profiles: none"):
        Experiment.of(toy.tiny(), "file.yaml", (), "small")
