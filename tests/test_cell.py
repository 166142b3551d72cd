"""A cell: what it drops, what it refuses, and what counts in its id and in the ids of its steps."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.catalogue import Catalogue
from rrgbench.cell import Cell, CellConfig, DecodingConfig, StageConfig, resolve_cell
from rrgbench.errors import ManyErrors, RRGBenchError
from rrgbench.identity import digest

_spec = importlib.util.spec_from_file_location("rrgbench_toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
toy = sys.modules.setdefault("rrgbench_toy_catalogue", importlib.util.module_from_spec(_spec))
if not hasattr(toy, "tiny"):
    _spec.loader.exec_module(toy)

CATALOGUE = toy.make_catalogue()
FULL: dict[str, Any] = {
    "dataset": {"name": "toy", "studies": 5},
    "encoders": {"image": {"name": "cnn", "size": 16}, "text": "bert", "knowledge": "gcn"},
    "knowledge": {"annotator": "reader"},
    "fusion": {"name": "gating", "heads": 4},
    "tokenizer": "auto",
    "decoder": {"name": "rnn", "layers": 3, "vocabulary": 70},
    "stages": {
        "first": {
            "train": ["image", "knowledge"],
            "adapters": {"text": "frozen", "decoder": {"name": "lora", "rank": 4}},
            "losses": {"cross_entropy": 1.0, "contrastive": 0.1, "graph": {"weight": 0.5}, "quiet": 0},
            "lr": {"default": 1e-3, "knowledge": 1e-4},
        },
        "second": {"epochs": 3},
    },
    "decoding": {"num_beams": 3},
}


def _cell(changes: dict[str, Any] | None = None, **labels: str) -> Cell:
    raw = toy.tiny()["base"] | (changes or {})
    return resolve_cell(CATALOGUE, raw, labels)


def _mistakes(changes: dict[str, Any]) -> list[str]:
    with pytest.raises(RRGBenchError) as caught:
        _cell(changes)
    return [str(error) for error in (caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,))]


# What a cell lacks.


def test_what_a_cell_lacks_is_dropped_everywhere_and_said() -> None:
    stage = _cell(FULL).stages[0]
    assert stage.train == ("image", "knowledge", "heads")
    assert list(stage.losses) == ["contrastive", "cross_entropy", "graph", "quiet"]
    less = _cell(FULL | {"encoders": {"image": "cnn", "text": None}})
    stage = less.stages[0]
    assert stage.train == ("image",)
    assert dict(stage.lr) == {"default": 1e-3}
    assert list(stage.adapters) == ["decoder"]
    assert list(stage.losses) == ["cross_entropy", "quiet"]
    assert less.dropped == (
        "stages.first.losses.contrastive (no text here)",
        "stages.first.losses.graph (no knowledge here)",
        "stages.first.train.knowledge (no knowledge here)",
        "stages.first.adapters.text (no text here)",
        "stages.first.lr.knowledge (no knowledge here)",
        "knowledge (no knowledge encoder here)",
    )
    assert _cell(FULL).dropped == ()


def test_a_cell_that_drops_something_is_the_cell_that_never_had_it() -> None:
    with_names = {
        "fusion": {"train": ["image", "fusion"], "adapters": {"text": "frozen"}, "losses": {"cross_entropy": 1, "graph": 1}}
    }
    without = {"fusion": {"train": ["fusion", "image", "knowledge"], "losses": {"cross_entropy": 1.0}}}
    image_only = {"encoders": {"image": "cnn"}}
    assert _cell(image_only | {"stages": with_names}).id == _cell(image_only | {"stages": without}).id


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"stages": {"s": {"train": ["text"]}}, "encoders": {"image": "cnn"}},
            "stages.s.train; got nothing to train in this cell",
        ),
        (
            {"stages": {"s": {"train": []}}},
            "stages.s.train; got nothing to train in this cell; expected one of image, text, fusion",
        ),
        ({"stages": {"s": {"losses": {}}}}, "stages.s.losses; got none; expected at least one"),
        (
            {"stages": {"s": {"losses": {"graph": 1.0}}}},
            "stages; got none that applies to this cell; expected one with a loss on the report",
        ),
        ({"stages": {"s": {"train": ["decodr"]}}}, "stages.s.train: no such module; got 'decodr'. Hint: did you mean 'decoder'?"),
        (
            {"stages": {"s": {"lr": {"defualt": 1.0}}}},
            "stages.s.lr: no such module; got 'defualt'. Hint: did you mean 'default'",
        ),
        ({"stages": {"s": {"adapters": {"heads": "lora"}}}}, "stages.s.adapters: no such module; got 'heads'"),
        (
            {"stages": {"s": {"adapters": {"text": {"name": "lora", "rang": 8}}}}},
            "stages.s.adapters.text: lora has no such option",
        ),
        ({"stages": {"s": {"losses": {"cross_entropy": None}}}}, "stages.s.losses; got none; expected at least one"),
        ({"stages": {"s": {"losses": {"cross_entropy": True}}}}, "stages.s.losses.cross_entropy; got True; expected a number"),
        (
            {"stages": {"s": {"losses": {"quiet": {"weight": "much"}}}}},
            "stages.s.losses.quiet.weight; got 'much'; expected a number",
        ),
        ({"stages": {"s": {"losses": {"quiet": 10**400}}}}, "stages.s.losses.quiet; got 1000"),
        ({"stages": {"s": {"losses": {"mine": {"name": "quite"}}}}}, "stages.s.losses.mine: no losses component of that name"),
        ({"encoders": {"image": None, "text": None}}, "encoders; got none; expected at least one of image, text, knowledge"),
        ({"encoders": {"image": "cnn", "audio": "x"}}, "encoders.audio: no such source"),
        ({"dataset": {"name": "rooted", "root": 3}}, "dataset.root; got 3; expected a folder"),
        ({"dataset": {"name": "rooted", "root": "~no-such-user/x"}}, "dataset.root; got '~no-such-user/x'; expected a folder"),
        (
            {"stages": {"s": {"global_batch": 50}}},
            "stages.s.global_batch; got 50; expected a multiple of batch_size, 16. Hint: set stages.s.batch_size to a number",
        ),
        (
            {"stages": {"s": {"global_batch": 64, "accumulate": 2}}},
            "stages.s.global_batch; got 64, and stages.s.accumulate 2; expected one of them: 64 in batches of 16 accumulates 4",
        ),
        (
            {"stages": {"s": {"early_stopping": {"patience": 2, "loss": "cross_entrpy"}}}},
            "stages.s.early_stopping.loss: no such loss here; got 'cross_entrpy'. Hint: did you mean 'cross_entropy'?",
        ),
        ({"stages": {"s": {"early_stopping": {"on": "train"}}}}, "stages.s.early_stopping.patience is missing"),
        ({"stages": {"s": {"early_stopping": {"patience": 1, "on": "test"}}}}, "stages.s.early_stopping.on; got 'test'"),
        (
            {"stages": {"s": {"unfreeze": {"imgae": {"*": 1}}}}},
            "stages.s.unfreeze: no such module; got 'imgae'. Hint: did you mean",
        ),
        ({"stages": {"s": {"unfreeze": {"image": {}}}}}, "stages.s.unfreeze.image; got {}; expected at least 1 item"),
        (
            {"stages": {"s": {"train": ["fusion"], "unfreeze": {"image": {"*": 1}}}}},
            "stages.s.unfreeze.image; got a module that is not trained here. Hint: add it to stages.s.train",
        ),
        (
            {"stages": {"s": {"epochs": 3, "unfreeze": {"image": {"layer4": 3}}}}},
            "stages.s.unfreeze.image.layer4; got epoch 3; expected under 3, from 0",
        ),
        ({"dataset": None}, "dataset; got None; expected the name of a datasets component"),
    ],
)
def test_what_a_cell_cannot_be_is_one_line(changes: dict[str, Any], told: str) -> None:
    lines = _mistakes(changes)
    assert any(told in line for line in lines), lines
    assert len(lines) == 1


def test_a_trained_module_without_a_rate_is_a_mistake_unless_it_is_frozen() -> None:
    stage: dict[str, Any] = {"lr": {"image": 1e-3, "fusion": 1e-3, "text": 1e-3}}
    (line,) = _mistakes({"stages": {"s": stage}})
    told = "stages.s.lr; got no rate for decoder; expected a rate for all that is trained. Hint: add stages.s.lr.default"
    assert line == told
    assert _mistakes({"stages": {"s": stage | {"adapters": {"decoder": "lora"}}}}) == [told]
    assert _cell({"stages": {"s": stage | {"adapters": {"decoder": "frozen"}}}}).stages[0].train[-1] == "decoder"
    views = {"lr": {"fusion": 1e-3, "text": 1e-3, "decoder": 1e-3}, "adapters": {"image": "frozen"}}
    assert "no rate for image" in _mistakes({"stages": {"s": views}})[0]
    assert _cell({"stages": {"s": stage | {"train": ["image"]}}}).stages[0].train == ("image",)


def test_losses_have_weights_and_names_of_their_own() -> None:
    losses = {"cross_entropy": 2, "calm": {"name": "quiet", "weight": 0.5, "strength": 3}, "quiet": {"strength": 4.0}}
    found = _cell({"stages": {"s": {"losses": losses}}}).stages[0].losses
    assert {label: (weight, loss.name) for label, (weight, loss) in found.items()} == {
        "calm": (0.5, "quiet"),
        "cross_entropy": (2.0, "cross_entropy"),
        "quiet": (1.0, "quiet"),
    }
    assert found["calm"][1].options["strength"] == 3.0


def test_a_decoder_s_own_tokenizer_follows_its_options(tmp_path: Path) -> None:
    (tmp_path / "merges.txt").write_text("a b\n")
    cell = _cell({"decoder": {"name": "rnn", "vocabulary": 70, "merges": str(tmp_path / "merges.txt")}})
    assert cell.own_tokenizer.name == "subword"
    assert cell.own_tokenizer.options["size"] == 70
    assert cell.own_tokenizer.options["merges"].path == tmp_path / "merges.txt"
    assert cell.model.value["own_tokenizer"] is cell.own_tokenizer
    own, other = {"tokenizer": "auto"}, {"tokenizer": "word"}
    assert "own_tokenizer" not in _cell(other).model.value, "what nobody asks for does not count"
    changed = {"decoder": {"name": "rnn", "layers": 2, "vocabulary": 71}}
    assert _cell(own).id != _cell(own | changed).id


# What counts in the id of a cell.


def _shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: _shuffled(value[key], rng) for key in keys}
    return value


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count_but_that_of_stages(rng: random.Random) -> None:
    shuffled = _shuffled(FULL, rng)
    stages = {name: shuffled["stages"][name] for name in FULL["stages"]}
    cell = _cell(shuffled | {"stages": stages})
    assert cell.id == _cell(FULL).id
    assert digest(cell.model.request) == digest(_cell(FULL).model.request)
    assert [list(stage.losses) for stage in cell.stages] == [list(stage.losses) for stage in _cell(FULL).stages]
    turned = dict(reversed(FULL["stages"].items()))
    assert _cell(FULL | {"stages": turned}).id != _cell(FULL).id


def test_labels_places_and_spelled_out_defaults_do_not_count(tmp_path: Path) -> None:
    assert _cell(fusion="x").id == _cell(fusion="y", decoder="z").id
    rooted = {"dataset": {"name": "rooted", "root": "/one"}}
    assert _cell(rooted).root == Path("/one")
    assert _cell(rooted).id == _cell({"dataset": {"name": "rooted", "root": "/two"}}).id == _cell({"dataset": "rooted"}).id
    spelled: dict[str, Any] = {}
    for name, field in CellConfig.model_fields.items():
        spelled[name] = toy.tiny()["base"].get(name, field.default)
    spelled["decoding"] = DecodingConfig().model_dump()
    stage = StageConfig().model_dump() | {"epochs": 2, "rung": 1}
    spelled["stages"] = {"fusion": stage | {"train": ["decoder", "fusion", "text", "image"], "lr": {"default": 1e-3}}}
    spelled["fusion"] = {"name": "toys/concat", "layers": 0}
    spelled["decoder"] = {"name": "rnn", "layers": 2, "vocabulary": 100, "merges": None}
    assert _cell(spelled).id == _cell().id
    for name in ("one", "two"):
        (tmp_path / name).write_text("the same weights")
    cells = [_cell({"encoders": {"image": {"name": "cnn", "weights": str(tmp_path / name)}}}) for name in ("one", "two")]
    assert cells[0].id == cells[1].id
    (tmp_path / "two").write_text("other weights")
    assert _cell({"encoders": {"image": {"name": "cnn", "weights": str(tmp_path / "two")}}}).id != cells[0].id


STAGE_CHANGES: dict[str, Any] = {
    "train": ["fusion", "decoder"],
    "adapters": {"text": "frozen"},
    "losses": {"cross_entropy": 0.5},
    "epochs": 3,
    "steps": 5,
    "rung": 2,
    "batch_size": 4,
    "lr": 2e-3,
    "weight_decay": 0.02,
    "betas": [0.9, 0.99],
    "schedule": "step",
    "warmup": 0.1,
    "step_size": 3,
    "gamma": 0.5,
    "clip_norm": None,
    "accumulate": 2,
    "global_batch": 48,
    "augment": False,
    "cached": ["image"],
    "precision": "bf16",
    "early_stopping": {"patience": 1},
    "unfreeze": {"fusion": {"*": 1}},
}
INSTEAD = {"steps": "epochs"}
"""Field of a stage -> the one that it stands for."""
DECODING_CHANGES: dict[str, Any] = {
    "num_beams": 2,
    "max_new_tokens": 40,
    "min_new_tokens": 4,
    "length_penalty": 0.5,
    "no_repeat_ngram_size": 3,
    "batch_size": 8,
}
AFTER_TRAINING = {"generate", "score", "select", "intervals"}


def _changed(before: Any, after: Any) -> tuple[set[str], set[str]]:
    """The kinds of step of which every id changed, and those of which none did."""
    old, new = toy.ids(before), toy.ids(after)
    return {kind for kind in old if not old[kind] & new[kind]}, {kind for kind in old if old[kind] == new[kind]}


def test_every_field_of_a_stage_and_of_decoding_is_tried_here() -> None:
    assert set(STAGE_CHANGES) == set(StageConfig.model_fields)
    assert set(DECODING_CHANGES) == set(DecodingConfig.model_fields)


@pytest.mark.parametrize("field", STAGE_CHANGES)
def test_every_field_of_a_stage_counts_in_training_and_what_follows(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"select": {"metric": "bleu_4"}, "floors": []}
    stage: dict[str, Any] = {"epochs": 2}
    if field == "cached":  # only where the image encoder is frozen and films stay the same
        stage |= {"augment": False, "train": ["fusion", "decoder"]}
    before = toy.plan(monkeypatch, more | {"base.stages": {"s": stage}})
    if field in INSTEAD:
        stage |= {INSTEAD[field]: None}
    after = toy.plan(monkeypatch, more | {"base.stages": {"s": stage | {field: STAGE_CHANGES[field]}}})
    changed, same = _changed(before, after)
    assert same == ({"pixels"} if field != "rung" else set(toy.ids(before)))  # a rung as long as the stage cuts nothing
    assert changed == ({"train"} | AFTER_TRAINING if field != "rung" else set())
    assert before.experiment.cells[0].id != after.experiment.cells[0].id


def test_a_shorter_rung_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"select": {"metric": "bleu_4"}, "floors": []}
    before = toy.plan(monkeypatch, more | {"base.stages": {"s": {"epochs": 2}}})
    after = toy.plan(monkeypatch, more | {"base.stages": {"s": {"epochs": 2, "rung": 1}}})
    assert _changed(before, after) == ({"train"} | AFTER_TRAINING, {"pixels"})


@pytest.mark.parametrize("field", DECODING_CHANGES)
def test_every_field_of_decoding_counts_in_generation_and_not_in_training(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"select": {"metric": "bleu_4"}, "floors": []}
    before = toy.plan(monkeypatch, more)
    after = toy.plan(monkeypatch, more | {"base.decoding": {field: DECODING_CHANGES[field]}})
    assert _changed(before, after) == (AFTER_TRAINING, {"pixels", "train"})
    assert before.experiment.cells[0].id != after.experiment.cells[0].id


PARTS: dict[str, tuple[str, str, set[str]]] = {
    "base.encoders.image": ("image_encoders", "cnn", {"pixels", "train"} | AFTER_TRAINING),
    "base.encoders.text": ("text_encoders", "bert", {"train"} | AFTER_TRAINING),
    "base.encoders.knowledge": ("knowledge_encoders", "gcn", {"train"} | AFTER_TRAINING),
    "base.fusion": ("fusions", "gating", {"train"} | AFTER_TRAINING),
    "base.tokenizer": ("tokenizers", "word", {"train"} | AFTER_TRAINING),
    "base.decoder": ("decoders", "rnn", {"train"} | AFTER_TRAINING),
    "base.stages.s.adapters.text": ("adapters", "lora", {"train"} | AFTER_TRAINING),
    "base.stages.s.losses.x": ("losses", "quiet", {"train"} | AFTER_TRAINING),
}
OPTIONS = [
    (path, option.name)
    for path, (kind, name, _) in PARTS.items()
    for (spec,) in [CATALOGUE.specs[kind][name]]
    for option in spec.options
]


def _with_part(path: str, value: Any) -> dict[str, Any]:
    changes = {
        "select": {"metric": "bleu_4"},
        "floors": [],
        "base.encoders": {"image": "cnn", "text": "bert", "knowledge": "gcn"},
        "base.knowledge": {"annotator": "reader", "active": "all"},
        "base.tokenizer": "word",
        "base.stages": {"s": {"adapters": {}, "losses": {"cross_entropy": 1.0}}},
    }
    return changes | {path: value}


@pytest.mark.parametrize(("path", "option"), OPTIONS)
def test_every_option_counts_where_its_component_is_used(
    path: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, name, kinds = PARTS[path]
    (spec,) = CATALOGUE.specs[kind][name]
    known = next(item for item in spec.options if item.name == option)
    (tmp_path / "file").write_text("content")
    value = toy.another(known.tree, known.default, tmp_path / "file")
    value = value if known.tree["type"] != "component" else "bleu"
    before = toy.plan(monkeypatch, _with_part(path, {"name": name}))
    after = toy.plan(monkeypatch, _with_part(path, {"name": name, option: value}))
    assert _changed(before, after) == (kinds, set(toy.ids(before)) - kinds)
    assert before.experiment.cells[0].id != after.experiment.cells[0].id
    spelled = toy.plan(monkeypatch, _with_part(path, {"name": name, option: known.default}))
    assert toy.ids(spelled) == toy.ids(before)


@pytest.mark.parametrize("path", PARTS)
def test_the_content_version_of_a_component_counts_where_it_is_used(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, name, kinds = PARTS[path]
    before = toy.plan(monkeypatch, _with_part(path, name if "losses" not in path else {"name": name}))
    after = toy.plan(monkeypatch, _with_part(path, name if "losses" not in path else {"name": name}), versions={name: "2"})
    assert _changed(before, after) == (kinds, set(toy.ids(before)) - kinds)


def test_every_option_of_every_installed_component_counts_in_its_identity(tmp_path: Path) -> None:
    catalogue = Catalogue.load()
    (tmp_path / "file").write_text("content")
    (tmp_path / "other").write_text("other content")
    tried = 0
    for kind, names in catalogue.specs.items():
        for name in names:
            (spec,) = names[name]
            required = {o.name: toy.another(o.tree, None, tmp_path / "file") for o in spec.options if o.required}
            plain = catalogue.resolve(kind, {"name": name, **required}, name)
            for option in spec.options:
                value = toy.another(option.tree, required.get(option.name, option.default), tmp_path / "other")
                if value is None or option.tree["type"] == "component":
                    continue
                try:
                    changed = catalogue.resolve(kind, {"name": name, **required, option.name: value}, name)
                except RRGBenchError:
                    continue  # a pattern or limit that no rule here can guess
                tried += 1
                assert digest(changed.identity()) != digest(plain.identity()), f"{kind}/{name}.{option.name}"
    assert tried > 40
