"""Parts of a module are trained from a later epoch on; however the stage is cut, the bytes are the same."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from rrgbench import ConfigError
from rrgbench.training import EarlyStopping, Recipe, reset_process, train_rung
from rrgbench.training.unfreezing import matches

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)

LOSSES = [("cross_entropy", 1.0, toys.ToyCrossEntropy())]
OPENED = {"image": {"norm": 1, "patch*": 2}, "decoder": {"read": 0, "query": 3}}
RECIPE = Recipe(epochs=4, batch_size=4, lr={"default": 3e-3, "image": 1e-3}, warmup=0.2, unfreeze=OPENED)
FILES = ("model.safetensors", "optimizer.safetensors", "state.json")


@pytest.fixture(autouse=True)
def warm_process():
    reset_process(0, 1)
    yield
    torch.use_deterministic_algorithms(False)


def train(out: Path, recipe: Recipe = RECIPE, epochs: range | None = None, **more: Any) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    more = {"start": None, "data": toys.make_set(11), "losses": LOSSES, "model": toys.make_model()} | more
    return train_rung(recipe=recipe, seed=7, epochs=epochs or range(recipe.epochs_over(11)), out=out, **more)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Parts of image encoder and decoder whose tensors differ."""
    names = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    return {name.removeprefix("encoders.image.").removeprefix("decoder.").split(".")[0] for name in names} - {
        "fusion",
        "encoders",
    }


def test_each_part_is_trained_from_its_epoch_on_and_what_is_not_named_never(tmp_path: Path) -> None:
    weights = [{name: tensor.clone() for name, tensor in toys.make_model().state_dict().items()}]
    start = None
    for epoch in range(4):
        train(tmp_path / str(epoch), epochs=range(epoch, epoch + 1), start=start)
        start = tmp_path / str(epoch)
        weights.append(load_file(start / "model.safetensors"))
    each = [changed(before, after) for before, after in pairwise(weights)]
    assert each == [{"read"}, {"read", "norm"}, {"read", "norm", "patches"}, {"read", "norm", "patches", "query"}]


def test_a_closed_layer_keeps_its_running_statistics_and_has_no_moments(tmp_path: Path) -> None:
    before = toys.make_model().state_dict()["encoders.image.norm.running_mean"].clone()
    train(tmp_path / "a", epochs=range(1))
    assert torch.equal(load_file(tmp_path / "a" / "model.safetensors")["encoders.image.norm.running_mean"], before)
    moments = load_file(tmp_path / "a" / "optimizer.safetensors")
    assert not [name for name in moments if "norm" in name or "patches" in name]
    train(tmp_path / "b", epochs=range(1, 2), start=tmp_path / "a")
    assert not torch.equal(load_file(tmp_path / "b" / "model.safetensors")["encoders.image.norm.running_mean"], before)
    steps = load_file(tmp_path / "b" / "optimizer.safetensors")
    assert (steps["step/encoders.image.norm.weight"], steps["step/decoder.read.weight"]) == (3, 6)


def test_a_closed_norm_that_holds_other_layers_keeps_its_running_statistics(tmp_path: Path) -> None:
    model = toys.make_model()
    norm = model.encoders["image"].norm
    norm.act = torch.nn.ReLU()  # as in timm's BatchNormAct2d, of which DenseNets are made
    train(tmp_path / "a", replace(RECIPE, unfreeze={"image": {"patches": 0}}), model=model)
    assert torch.equal(norm.running_mean, toys.make_model().encoders["image"].norm.running_mean)
    assert not norm.training and not norm.act.training


def test_to_open_everything_at_once_changes_no_byte(tmp_path: Path) -> None:
    plain = replace(RECIPE, unfreeze={})
    train(tmp_path / "plain", plain)
    train(tmp_path / "open", replace(RECIPE, unfreeze={"image": {"*": 0}, "decoder": {"*": 0, "read": 3}}))
    assert contents(tmp_path / "open") == contents(tmp_path / "plain")


class Stop(Exception):
    pass


RECIPES = {
    "epochs": RECIPE,
    "steps, batches, stopping": replace(
        RECIPE, epochs=None, steps=7, batch_size=2, accumulate=3, early_stopping=EarlyStopping(1, on="train")
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    found = {}
    for name, recipe in RECIPES.items():
        reset_process(0, 1)
        folder = tmp_path_factory.mktemp("whole")
        train(folder, recipe)
        found[name] = contents(folder)
    return found


@settings(max_examples=12, deadline=None)
@given(name=st.sampled_from(sorted(RECIPES)), rung=st.integers(1, 4), step=st.integers(1, 12))
def test_however_it_is_cut_and_killed_the_bytes_are_the_same(
    whole: dict[str, dict[str, bytes]], name: str, rung: int, step: int
) -> None:
    steps = 0

    def stop(done: int, total: int, note: str) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise Stop

    with TemporaryDirectory() as place:
        folder, start = Path(place), None
        for first in range(0, 4, rung):
            more = {"start": start, "scratch": folder / f"scratch-{first}", "epochs": range(first, min(first + rung, 4))}
            try:
                train(folder / str(first), RECIPES[name], on_progress=stop, **more)
            except Stop:
                train(folder / str(first), RECIPES[name], **more)
            start = folder / str(first)
        assert contents(start) == whole[name]


def test_what_a_stage_trains_is_counted_whenever_it_opens(tmp_path: Path) -> None:
    model = toys.make_model()
    told = train(tmp_path / "out", epochs=range(1), model=model)["parameters"]
    image = model.encoders["image"]
    assert told["image"]["trainable"] == sum(p.numel() for p in (*image.norm.parameters(), *image.patches.parameters()))
    assert all(parameter.requires_grad for parameter in model.parameters()), "what was frozen for the stage is as it was"


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (
            replace(RECIPE, unfreeze={"image": {"layer4": 1}}),
            r"unfreeze.image: nothing that is trained has that name; got 'layer4'; expected .* like encoders,"
            r" view_embedding, image, patches, norm. Hint: `\*` matches everything",
        ),
        (replace(RECIPE, train=("text",), unfreeze={"image": {"*": 1}}), "unfreeze.image: nothing that is trained has that name"),
        (replace(RECIPE, unfreeze={"knowledge": {"*": 1}}), "unfreeze.knowledge: nothing that is trained has that name"),
        (
            replace(RECIPE, epochs=None, steps=4, unfreeze={"image": {"*": 2}}),
            r"unfreeze.image.\*; got an epoch after the last; expected under 2",
        ),
    ],
)
def test_what_cannot_be_opened_is_refused(recipe: Recipe, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        train(tmp_path / "out", recipe)


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("layer4", "encoders.image.body.layer4.0.weight", True),
        ("layer4.0", "encoders.image.body.layer4.0.weight", True),
        ("layer", "encoders.image.body.layer4.0.weight", False),
        ("blocks.1", "body.blocks.11.bias", False),
        ("blocks.1?", "body.blocks.11.bias", True),
        ("blocks.[89]", "body.blocks.9.attn.bias", True),
        ("*", "view_embedding.weight", True),
        ("bias", "body.blocks.11.bias", True),
    ],
)
def test_a_pattern_is_a_run_of_whole_parts_of_a_name(pattern: str, name: str, does: bool) -> None:
    assert matches(pattern, name) is does
