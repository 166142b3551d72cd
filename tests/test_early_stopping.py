"""A stage that stops early keeps its best epoch, and gives the same bytes however it is cut."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench import ConfigError, RRGBenchError
from rrgbench.training import EarlyStopping, Recipe, has_stopped, load_model, reset_process, train_rung

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)

LOSSES = [("cross_entropy", 1.0, toys.ToyCrossEntropy()), ("quiet", 0.01, toys.ToyQuiet())]
RULE = EarlyStopping(patience=2)
RECIPE = Recipe(epochs=12, batch_size=4, lr={"default": 5e-2}, schedule="constant", warmup=0, early_stopping=RULE)
"""So fast that it soon learns train by heart, and validate suffers."""


@pytest.fixture(autouse=True)
def warm_process():
    reset_process(0, 1)
    yield
    torch.use_deterministic_algorithms(False)


def train(out: Path, recipe: Recipe = RECIPE, epochs: range | None = None, **more: Any) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    more = {"start": None, "data": toys.make_set(11), "validate": toys.make_set(5, seed=1), "losses": LOSSES} | more
    return train_rung(toys.make_model(), recipe=recipe, seed=7, epochs=epochs or range(recipe.epochs), out=out, **more)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_training_ends_when_validate_suffers_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    told = train(tmp_path / "out")
    losses = [epoch["validate.loss"] for epoch in told["epochs"]]
    best = losses.index(min(losses))
    assert 0 < best < len(losses) - 1 < 11
    assert len(losses) == best + 1 + RULE.patience
    assert told["stopped"].startswith("validate.loss has not fallen for 2 epochs: it was ")
    assert told["stopped"].endswith(f" after epoch {best + 1}, whose weights are kept")
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    assert state["best"] == {"epoch": best, "loss": losses[best]}
    assert state["stopped"] is True
    # A training that never looks at validate has the same weights after that epoch.
    without = replace(RECIPE, early_stopping=None)
    train(tmp_path / "best", without, range(best + 1), validate=None)
    train(tmp_path / "newest", without, range(len(losses)), validate=None)
    assert contents(tmp_path / "out")["model.safetensors"] == contents(tmp_path / "best")["model.safetensors"]
    assert contents(tmp_path / "out")["newest.safetensors"] == contents(tmp_path / "newest")["model.safetensors"]


def test_what_is_told_of_validate_is_the_loss_of_the_kept_weights_on_it(tmp_path: Path) -> None:
    told = train(tmp_path / "out")
    best = min(told["epochs"], key=lambda epoch: epoch["validate.loss"])
    model, validate = toys.make_model(3), toys.make_set(5, seed=1)
    load_model(model, tmp_path / "out" / "model.safetensors")
    model.eval()
    total = 0.0
    with torch.no_grad():
        for chosen in ([0, 1, 2, 3], [4]):
            targets = validate.targets_batch(chosen)
            total += float(LOSSES[0][2](model(validate.inputs_batch(chosen), targets), targets)) * len(chosen) / 5
    assert best["validate.loss.cross_entropy"] == pytest.approx(total, rel=1e-5)
    weighted = best["validate.loss.cross_entropy"] + 0.01 * best["validate.loss.quiet"]
    assert best["validate.loss"] == pytest.approx(weighted, rel=1e-5)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    reset_process(0, 1)
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return contents(folder)


@settings(max_examples=12, deadline=None)
@given(rung=st.integers(1, 12), step=st.integers(1, 30))
def test_however_it_is_cut_and_killed_the_bytes_are_the_same(whole: dict[str, bytes], rung: int, step: int) -> None:
    steps = 0

    def stop(done: int, total: int, note: str) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise Stop

    with TemporaryDirectory() as name:
        folder, start = Path(name), None
        for first in range(0, 12, rung):
            more = {"start": start, "scratch": folder / f"scratch-{first}", "epochs": range(first, min(first + rung, 12))}
            try:
                train(folder / str(first), on_progress=stop, **more)
            except Stop:
                train(folder / str(first), **more)
            start = folder / str(first)
        assert has_stopped(start)
        assert contents(start) == whole


def test_a_rung_after_the_stop_changes_nothing_and_trains_nothing(tmp_path: Path, whole: dict[str, bytes]) -> None:
    told = train(tmp_path / "a", epochs=range(11))
    after = train(tmp_path / "b", epochs=range(11, 12), start=tmp_path / "a")
    assert contents(tmp_path / "b") == contents(tmp_path / "a") == whole
    assert after["epochs"] == []
    assert after["stopped"] == told["stopped"]


def test_it_may_judge_by_one_loss_or_by_train_and_ask_for_a_least_gain(tmp_path: Path) -> None:
    rule = EarlyStopping(patience=1, loss="quiet")
    told = train(tmp_path / "one", replace(RECIPE, early_stopping=rule))
    assert {name for name in told["epochs"][0] if name.startswith("validate")} == {"validate.loss.quiet"}
    assert told["stopped"].startswith("validate.loss.quiet has not fallen for 1 epochs")
    rule = EarlyStopping(patience=1, on="train", min_delta=100.0)
    told = train(tmp_path / "two", replace(RECIPE, early_stopping=rule), validate=None)
    assert len(told["epochs"]) == 2, "nothing falls by a hundred"
    assert told["stopped"].startswith("loss has not fallen by more than 100 for 1 epochs: it was ")
    slow = replace(RECIPE, lr={"default": 1e-4}, epochs=3)
    told = train(tmp_path / "three", slow)
    assert told["stopped"] is None
    assert sorted(contents(tmp_path / "three")) == ["model.safetensors", "optimizer.safetensors", "state.json"]


@pytest.mark.parametrize(
    ("rule", "more", "told"),
    [
        (EarlyStopping(1, loss="quite"), {}, "early_stopping.loss; got quite; expected one of cross_entropy, quiet"),
        (EarlyStopping(1), {"validate": None}, "early_stopping judges by validate; got no studies of it"),
    ],
)
def test_what_cannot_be_judged_is_refused(rule: EarlyStopping, more: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        train(tmp_path / "out", replace(RECIPE, early_stopping=rule), **more)


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"patience": 1, "on": "test"}, {"patience": 1, "min_delta": -1.0}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="early_stopping"):
        EarlyStopping(**wrong)


def test_a_loss_on_validate_that_is_not_finite_says_where(tmp_path: Path) -> None:
    def broken(output: Any, targets: Any) -> torch.Tensor:
        return output.logits.mean() * (1.0 if torch.is_grad_enabled() else float("nan"))

    with pytest.raises(RRGBenchError, match=r"epoch 1, validate: the loss is not finite; got broken nan"):
        train(tmp_path / "out", losses=[("broken", 1.0, broken)])


@pytest.mark.heavy
def test_rungs_after_the_stop_cost_nothing_and_tell_why_through_the_shell(
    tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    rule = {"patience": 1, "min_delta": 100.0}
    stage = {"epochs": 6, "rung": 2, "batch_size": 8, "early_stopping": rule}
    path = write_experiment(tmp_path, {"base.stages": {"fusion": stage}, "axes": {}})
    ran = shell("run", path, "--store", tmp_path / "store", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["executed"]["train"] == 3
    made = {json.loads(done.read_text())["title"]: done.parent for done in (tmp_path / "store" / "steps").glob("*/*/DONE")}
    first, second, third = (made[title] for title in sorted(made) if title.startswith("train"))
    logs = [json.loads((rung / "log.json").read_text()) for rung in (first, second, third)]
    assert [len(log["epochs"]) for log in logs] == [2, 0, 0]
    assert {log["stopped"] for log in logs} == {logs[0]["stopped"]}
    assert logs[0]["stopped"].startswith("validate.loss has not fallen by more than 100 for 1 epochs: it was ")
    for rung in (second, third):
        assert contents(rung).keys() == contents(first).keys()
        for name in ("model.safetensors", "newest.safetensors", "optimizer.safetensors", "state.json"):
            assert (rung / name).samefile(first / name)
