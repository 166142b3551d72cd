"""What stages make of each other's adapters: kept, continued, merged; and every step after them reads the checkpoints."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rrgbench.errors import ManyErrors, RRGBenchError

_spec = importlib.util.spec_from_file_location("toy_catalogue", Path(__file__).with_name("toy_catalogue.py"))
assert _spec is not None and _spec.loader is not None
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

LAST = {"losses": {"cross_entropy": 1.0}, "epochs": 1}


def _carried(monkeypatch: pytest.MonkeyPatch, *stages: dict[str, Any]) -> dict[str, list[Any]]:
    named = {f"s{place}": LAST | stage for place, stage in enumerate(stages)}
    plan = toy.plan(monkeypatch, {"base.stages": named})

    def told(payload: Any) -> Any:
        return {m: a.options["rank"] for m, a in payload.get("carried", {}).items()}, list(payload.get("merged", ()))

    return {
        kind: [told(step.payload) for step in plan.steps.values() if step.kind == kind]
        for kind in ("train", "generate", "features")
    }


def test_a_stage_starts_under_the_adapter_of_the_one_before_and_its_readers_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lora = {"adapters": {"decoder": "lora"}}
    found = _carried(monkeypatch, lora, lora)
    assert found["train"] == [({}, []), ({"decoder": 8}, [])]
    assert found["generate"] == [({"decoder": 8}, [])]


def test_another_adapter_or_none_merges_what_a_module_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    lora, more = {"adapters": {"decoder": "lora"}}, {"adapters": {"decoder": {"name": "lora", "rank": 4}}}
    found = _carried(monkeypatch, lora, more, {})
    assert found["train"] == [({}, []), ({"decoder": 8}, ["decoder"]), ({"decoder": 4}, ["decoder"])]
    assert found["generate"] == [({}, [])]


def test_a_module_that_is_not_trained_or_frozen_keeps_its_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    lora = {"adapters": {"decoder": "lora"}}
    found = _carried(monkeypatch, lora, {"train": ["fusion"]}, {"adapters": {"decoder": "frozen"}})
    assert found["train"] == [({}, []), ({"decoder": 8}, []), ({"decoder": 8}, [])]
    assert found["generate"] == [({"decoder": 8}, [])]


def test_without_adapters_nothing_is_in_a_payload_that_was_not_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = toy.plan(monkeypatch, {"base.stages": {"one": LAST, "two": LAST}})
    assert not [step for step in plan.steps.values() if {"carried", "merged"} & {*step.payload}]


def test_an_adapter_that_cannot_be_merged_must_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(toy.Lora, "merges")
    with pytest.raises(RRGBenchError) as caught:
        _carried(monkeypatch, {"adapters": {"decoder": "lora"}}, {})
    errors = caught.value.errors if isinstance(caught.value, ManyErrors) else (caught.value,)
    assert [str(error) for error in errors] == [
        "experiment: base.stages.s1.train; got decoder whole, which carries lora; expected lora as before: it cannot be merged "
        "into the weights. "
        "Hint: repeat stages.s1.adapters.decoder: lora, or leave decoder out of stages.s1.train"
    ]


# --- through the shell -------------------------------------------------------------------------------------------

QUICK = {"epochs": 2, "batch_size": 8, "lr": 3e-3}
STAGES: dict[str, Any] = {
    "unimodal": QUICK | {"losses": {"findings": 1.0}, "adapters": {"image": {"name": "lora", "rank": 2}}},
    "alignment": QUICK
    | {"train": ["text"], "losses": {"contrastive": 1.0}, "adapters": {"text": "ia3"}, "augment": False, "cached": ["image"]},
    "fusion": QUICK | {"train": ["text", "fusion", "decoder"], "augment": False, "cached": ["image"]},
    "end": QUICK
    | {"adapters": {"image": "lora", "text": {"name": "bottleneck", "width": 4}, "decoder": "lora", "fusion": "frozen"}},
    "more": QUICK
    | {
        "losses": {"cross_entropy": {"label_smoothing": 0.1}},
        "adapters": {"image": "frozen", "text": {"name": "bottleneck", "width": 4}, "decoder": {"name": "lora", "rank": 3}},
    },
}
CHANGES = {
    "base.stages": STAGES,
    "base.embedding_dim": 8,
    "axes": {"fusion": ["concat"]},
    "metrics": ["bleu", "retrieval"],
}


def _weights(store: Path) -> dict[str, dict[str, Tensor]]:
    """Stage -> the weights after its last rung."""
    found: dict[str, tuple[int, dict[str, Tensor]]] = {}
    for path in (store / "steps").glob("*/*/DONE"):
        told = json.loads(path.read_text())
        if told["kind"] == "train":
            _, stage, epochs, *_ = told["title"].split()
            last = int(epochs.partition("-")[2])
            if last > found.get(stage, (0, {}))[0]:
                found[stage] = last, load_file(path.parent / "model.safetensors")
    return {stage: weights for stage, (_, weights) in found.items()}


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory, shell: Any, write_experiment: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("chained")
    ran = shell("run", write_experiment(folder, CHANGES), "--store", folder / "store", "--json")
    assert ran.code == 0, ran.err
    assert {"features", "embed", "auroc", "generate"} <= ran.json["executed"].keys()
    return folder / "store"


@pytest.mark.heavy
def test_a_frozen_base_is_that_of_the_stage_before(chained: Path) -> None:
    weights = _weights(chained)
    fusion, end = weights["fusion"], weights["end"]
    adapted = [name for name in end if name.startswith("decoder.") and ".base_layer." in name]
    assert adapted
    for name in adapted:
        assert torch.equal(end[name], fusion[name.replace(".base_layer", "")]), name
    ups = [end[name] for name in end if ".lora_B." in name]
    assert ups and all(up.abs().sum() > 0 for up in ups)


@pytest.mark.heavy
def test_a_module_that_is_not_trained_goes_on_as_it_is(chained: Path) -> None:
    weights = _weights(chained)
    one, two = ({n: w for n, w in weights[s].items() if n.startswith("encoders.image.")} for s in ("unimodal", "fusion"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert any(".lora_A." in name for name in one)


@pytest.mark.heavy
def test_what_is_merged_has_its_plain_names_and_what_was_learnt(chained: Path) -> None:
    weights = _weights(chained)
    end, more = weights["end"], weights["more"]
    assert any(".ia3_l." in name for name in weights["alignment"])
    assert not any(".ia3_l." in name for name in weights["fusion"])
    # The decoder of `more`: rank 8 was merged into the base under rank 3.
    for name in [name for name in more if name.startswith("decoder.") and name.endswith(".lora_A.default.weight")]:
        layer = name.removesuffix(".lora_A.default.weight")
        down, up = end[f"{layer}.lora_A.default.weight"], end[f"{layer}.lora_B.default.weight"]
        merged = end[f"{layer}.base_layer.weight"] + 2.0 * up @ down
        assert torch.allclose(more[f"{layer}.base_layer.weight"], merged, atol=1e-6), layer
        assert more[name].shape[0] == 3


@pytest.mark.heavy
def test_rungs_give_the_same_bytes_under_adapters(
    chained: Path, tmp_path: Path, shell: Any, write_experiment: Callable[..., Path]
) -> None:
    cut = {name: stage | ({"rung": 1} if name in ("alignment", "end", "more") else {}) for name, stage in STAGES.items()}
    path = write_experiment(tmp_path, CHANGES | {"base.stages": cut})
    ran = shell("run", path, "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    one, two = _weights(chained), _weights(tmp_path / "store")
    assert one.keys() == two.keys()
    for stage in one:
        assert one[stage].keys() == two[stage].keys()
        assert all(torch.equal(one[stage][name], two[stage][name]) for name in one[stage]), stage
