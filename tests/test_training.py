"""However a training is cut, killed or preceded, its bytes are the same."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rrgbench import ConfigError, PluginError, RRGBenchError, Sampling, StoreError, derive_seed
from rrgbench.batches import StudySet
from rrgbench.training import Recipe, load_model, numerics_domain, reset_process, save_model, train_rung

_spec = importlib.util.spec_from_file_location("rrgbench_toys", Path(__file__).with_name("toys.py"))
toys = sys.modules.setdefault("rrgbench_toys", importlib.util.module_from_spec(_spec))
if not hasattr(toys, "make_model"):
    _spec.loader.exec_module(toys)

LOSSES = [("cross_entropy", 1.0, toys.ToyCrossEntropy()), ("quiet", 0.01, toys.ToyQuiet())]
RECIPE = Recipe(epochs=4, batch_size=4, lr={"default": 3e-3, "image": 1e-3}, warmup=0.2)
FILES = ["model.safetensors", "optimizer.safetensors", "state.json"]


@pytest.fixture(autouse=True)
def warm_process():
    reset_process(0, 1)
    yield
    torch.use_deterministic_algorithms(False)


def train(out: Path, recipe: Recipe = RECIPE, epochs: range | None = None, *, seed: int = 7, model=None, losses=LOSSES, **more):
    out.mkdir(parents=True, exist_ok=True)
    model = model or toys.make_model()
    more = {"start": None, "data": toys.make_set(11), **more}
    epochs = epochs or range(recipe.epochs_over(len(more["data"])) if len(more["data"]) else 1)
    return train_rung(model, losses, recipe=recipe, seed=seed, epochs=epochs, out=out, **more)


def contents(folder: Path) -> dict[str, bytes]:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    return {name: (folder / name).read_bytes() for name in FILES}


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, accumulate=2, schedule="step", step_size=2, clip_norm=None),
        replace(RECIPE, precision="bf16", schedule="constant", train=("fusion", "decoder")),
        replace(RECIPE, epochs=None, steps=11),
    ],
)
def test_rungs_give_the_bytes_of_one_call(tmp_path: Path, recipe: Recipe):
    train(tmp_path / "whole", recipe)
    train(tmp_path / "a", recipe, range(1))
    train(tmp_path / "b", recipe, range(1, 3), start=tmp_path / "a")
    # The weights come from the state before, whatever the model held.
    train(tmp_path / "c", recipe, range(3, 4), start=tmp_path / "b", model=toys.make_model(seed=9))
    assert contents(tmp_path / "c") == contents(tmp_path / "whole")
    assert contents(tmp_path / "b") != contents(tmp_path / "whole")


def test_the_seed_decides(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.rand(seed)  # where the generators stand before does not matter
        train(tmp_path / name, seed=seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


class Stop(Exception):
    pass


@pytest.mark.parametrize("step", [1, 4, 7, 11])
def test_a_rung_that_was_cut_off_resumes_to_the_same_bytes(tmp_path: Path, step: int):
    train(tmp_path / "whole")

    def stop(done: int, total: int, note: str) -> None:
        if done == step:
            raise Stop

    with pytest.raises(Stop):
        train(tmp_path / "cut", scratch=tmp_path / "scratch", on_progress=stop)
    assert not any((tmp_path / "cut").iterdir())
    (tmp_path / "scratch" / "partial-1").mkdir()  # a state that was half-written when the power went
    told = []
    report = train(tmp_path / "cut", scratch=tmp_path / "scratch", on_epoch=lambda epoch, scores: told.append(epoch))
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
    assert told == list(range((step - 1) // 3, 4))
    assert len(report["epochs"]) == 4
    assert len(list((tmp_path / "scratch").iterdir())) == 1


RUN = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("rrgbench_toys", sys.argv[1])
toys = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toys)
from rrgbench.batches import StudySet
from rrgbench.training import Recipe, reset_process, train_rung
reset_process(0, 1)
losses = [("cross_entropy", 1.0, toys.ToyCrossEntropy()), ("quiet", 0.01, toys.ToyQuiet())]
recipe = Recipe(epochs=int(sys.argv[3]), batch_size=4, lr={"default": 3e-3, "image": 1e-3}, warmup=0.2)
print("ready", flush=True)
train_rung(toys.make_model(), losses, toys.make_set(11), recipe, seed=7, epochs=range(recipe.epochs), start=None,
           out=Path(sys.argv[2]), scratch=Path(sys.argv[2] + "-scratch"))
"""


def start(out: Path, epochs: int) -> subprocess.Popen:
    out.mkdir(exist_ok=True)
    toys_path = Path(__file__).with_name("toys.py")
    return subprocess.Popen([sys.executable, "-c", RUN, str(toys_path), str(out), str(epochs)], stdout=subprocess.PIPE)


@pytest.mark.heavy
def test_a_fresh_process_and_a_warm_one_give_the_same_bytes(tmp_path: Path):
    train(
        tmp_path / "before",
        replace(RECIPE, precision="bf16", batch_size=3),
        losses=LOSSES[:1],
        model=toys.make_model(3, ("text",)),
    )
    np.random.seed(5)
    reset_process(0, 1)
    train(tmp_path / "warm")
    process = start(tmp_path / "fresh", 4)
    assert process.wait(60) == 0
    assert contents(tmp_path / "fresh") == contents(tmp_path / "warm")


@pytest.mark.heavy
def test_kills_at_any_moment_leave_the_bytes_alone(tmp_path: Path):
    recipe = replace(RECIPE, epochs=60)
    train(tmp_path / "whole", recipe)
    chance, kills = random.Random(3), 0
    while kills < 3:
        process = start(tmp_path / "killed", 60)
        process.stdout.readline()
        time.sleep(chance.uniform(0.05, 0.5))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 2, "the training was too short to be killed"
    assert start(tmp_path / "killed", 60).wait(120) == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_training_learns_and_reports_what_it_does(tmp_path: Path):
    recipe = replace(RECIPE, epochs=30, lr={"default": 1e-2})
    told, progress = [], []
    report = train(
        tmp_path / "out",
        recipe,
        on_epoch=lambda epoch, scores: told.append((epoch, scores)),
        on_progress=lambda *what: progress.append(what),
    )
    first, last = report["epochs"][0], report["epochs"][-1]
    assert last["loss.cross_entropy"] < 0.7 * first["loss.cross_entropy"]
    assert last["loss"] == pytest.approx(last["loss.cross_entropy"] + 0.01 * last["loss.quiet"], rel=1e-5)
    assert [epoch for epoch, _ in told] == list(range(30))
    assert set(told[0][1]) == {
        "loss", "loss.cross_entropy", "loss.quiet", "lr.image", "lr.text", "lr.fusion", "lr.decoder",
        "seconds", "studies_per_second",
    }  # fmt: skip
    assert [done for done, _, _ in progress] == list(range(1, 91))
    assert progress[-1][1] == report["steps"] == 90
    assert progress[-1][2].startswith("epoch 30/30, loss ")
    total = sum(parameter.numel() for parameter in toys.make_model().parameters())
    assert report["parameters"]["model"] == {"total": total, "trainable": total}
    assert report["seconds"] > 0 and report["studies_per_second"] > 0
    state = json.loads((tmp_path / "out" / "state.json").read_text())
    assert (state["epoch"], state["step"]) == (30, 90)
    assert "seconds" not in json.dumps(state)


def test_only_what_is_listed_is_trained(tmp_path: Path):
    before, model = toys.make_model().state_dict(), toys.make_model()
    report = train(tmp_path / "out", replace(RECIPE, train=("fusion",)), model=model)
    changed = {name.split(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"fusion"}
    assert report["parameters"]["image"]["trainable"] == 0
    assert report["parameters"]["model"]["trainable"] == report["parameters"]["fusion"]["total"]
    assert all(parameter.requires_grad for parameter in model.parameters()), "what was frozen for the stage is as it was"


class Drawing:
    """A loss that has reports drawn, and tells how long they are."""

    needs = frozenset({"samples", "reports"})
    sampling = Sampling(bos_token_id=1, eos_token_id=2, pad_token_id=0, vocab_size=17, max_new_tokens=6)

    def __call__(self, output, targets) -> torch.Tensor:
        self.lengths = output.samples.mask[:, 1:].sum(dim=1).float()
        assert len(targets.reports) == len(self.lengths)
        return -output.samples.log_probs.mean()

    def told(self) -> dict[str, float]:
        return {"length": float(self.lengths.mean())}


def test_what_a_loss_tells_is_a_mean_over_studies_and_drawing_is_exact_over_rungs(tmp_path: Path):
    losses = [("drawing", 1.0, Drawing()), ("cross_entropy", 1.0, toys.ToyCrossEntropy())]
    recipe = replace(RECIPE, epochs=2)
    told = train(tmp_path / "whole", recipe, losses=losses)
    for scores in told["epochs"]:
        assert 1 <= scores["loss.drawing.length"] <= 6
    train(tmp_path / "a", recipe, range(1), losses=losses)
    train(tmp_path / "b", recipe, range(1, 2), start=tmp_path / "a", losses=losses)
    assert contents(tmp_path / "b") == contents(tmp_path / "whole")


def test_two_losses_that_draw_reports_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"losses that draw reports; got one, two"):
        train(tmp_path / "out", losses=[("one", 1.0, Drawing()), ("two", 1.0, Drawing())])


def test_what_an_adapter_froze_stays_frozen(tmp_path: Path):
    model = toys.make_model()
    model.encoders["image"].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.encoders["image"].state_dict().items()}
    train(tmp_path / "out", model=model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoders["image"].state_dict().items())


def test_nothing_to_train_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="nothing to train"):
        train(tmp_path / "a", replace(RECIPE, train=("knowledge",)))
    with pytest.raises(ConfigError, match="nothing to train"):
        train(tmp_path / "b", model=toys.make_model().requires_grad_(False))
    with pytest.raises(ConfigError, match="depend on nothing that is trained; got quiet"):
        train(tmp_path / "c", replace(RECIPE, train=("decoder",)), losses=LOSSES[1:])
    with pytest.raises(ConfigError, match="needs a loss"):
        train(tmp_path / "d", losses=[])
    with pytest.raises(ConfigError, match="no studies"):
        train(tmp_path / "e", data=StudySet([], targets=[], report_tokenizer=toys.ToyTokenizer()))
    with pytest.raises(ConfigError, match="fp16 on a CPU"):
        train(tmp_path / "f", replace(RECIPE, precision="fp16"))


def test_a_loss_that_is_not_finite_names_epoch_step_and_losses(tmp_path: Path):
    calls = []

    def broken(output, targets):
        calls.append(1)
        return output.logits.mean() * (math.nan if len(calls) == 5 else 1)

    with pytest.raises(RRGBenchError, match=r"epoch 2, step 5: the loss is not finite; got cross_entropy [\d.]+, broken nan"):
        train(tmp_path / "out", losses=[LOSSES[0], ("broken", 1.0, broken)])
    assert not any((tmp_path / "out").iterdir())
    with pytest.raises(PluginError, match=r"loss wide; got \(4,"):
        train(tmp_path / "out", losses=[("wide", 1.0, lambda output, targets: output.logits.mean(dim=(1, 2)))])


def test_a_step_over_several_batches_equals_one_large_batch(tmp_path: Path):
    results = []
    for name, size, accumulate in (("large", 6, 1), ("small", 2, 3)):
        # No dropout and no batch norm: a study's loss is its own.
        torch.manual_seed(0)
        model = toys.make_model(sources=("text",), decoder=toys.ToyDecoder(dropout=0.0))
        data = toys.make_set(10)
        recipe = Recipe(
            epochs=2, batch_size=size, accumulate=accumulate, lr={"default": 1e-2}, weight_decay=0.0, train=("fusion",)
        )
        losses = [("mean", 1.0, lambda output, targets: output.logits[:, 0].float().pow(2).mean())]
        report = train(tmp_path / name, recipe, model=model, data=data, losses=losses)
        results.append((report["steps"], report["epochs"], model.fusion.project["text"].weight))
    assert results[0][0] == results[1][0] == 4
    torch.testing.assert_close(results[0][2], results[1][2], rtol=1e-4, atol=1e-5)
    assert results[0][1][-1]["loss"] == pytest.approx(results[1][1][-1]["loss"], rel=1e-4)


def test_training_equals_a_plain_loop(tmp_path: Path):
    def steady():
        model = toys.make_model()
        model.encoders["image"].transform = lambda pixels, train: pixels.float() / 255
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model

    data, model, twin = toys.make_set(11), steady(), steady()
    recipe = Recipe(epochs=2, batch_size=4, lr={"default": 1e-2}, warmup=2, clip_norm=0.5)
    train(tmp_path / "out", recipe, model=model, losses=LOSSES[:1])
    orders = [np.random.default_rng(derive_seed(7, "order", epoch)).permutation(11).tolist() for epoch in (0, 1)]
    decayed = [parameter for parameter in twin.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in twin.parameters() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": others, "weight_decay": 0.0}], lr=1.0, weight_decay=0.01)
    rates = [0.005, 0.01, *(0.005 * (1 + math.cos(math.pi * step / 4)) for step in range(4))]
    twin.train()
    for step, rate in enumerate(rates):
        chosen = orders[step // 3][step % 3 * 4 : step % 3 * 4 + 4]
        for group in optimizer.param_groups:
            group["lr"] = rate
        targets = data.targets_batch(chosen)
        optimizer.zero_grad()
        LOSSES[0][2](twin(data.inputs_batch(chosen), targets), targets).backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        optimizer.step()
    for name, tensor in twin.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, msg=lambda text, name=name: f"{name}: {text}")


def test_weights_are_saved_once_where_tied_and_in_the_same_bytes(tmp_path: Path):
    model = toys.make_model()
    save_model(model, tmp_path / "a.safetensors")
    save_model(model, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    other = toys.make_model(seed=1)
    load_model(other, tmp_path / "a.safetensors")
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in other.state_dict().items())
    assert other.decoder.head.weight is other.decoder.embed.weight
    parts = nn.Module()
    parts.whole = nn.Parameter(torch.arange(6.0))
    parts.register_buffer("part", parts.whole.data[2:4])
    save_model(parts, tmp_path / "c.safetensors")
    parts.whole.data.zero_()
    load_model(parts, tmp_path / "c.safetensors")
    assert parts.whole.tolist() == [0, 1, 2, 3, 4, 5]


def test_weights_of_another_model_or_a_damaged_file_are_refused(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    model = toys.make_model()
    with pytest.raises(StoreError, match=r"weights\.safetensors cannot be read"):
        load_model(model, path)
    save_model(model, path)
    with pytest.raises(StoreError, match=r"it has also 3 tensors; got encoders.text.embed.weight"):
        load_model(toys.make_model(sources=("image",)), path)
    with pytest.raises(StoreError, match=r"it lacks 4 tensors"):
        load_model(toys.make_model(sources=("image", "text", "knowledge")), path)
    with pytest.raises(StoreError, match=r"decoder.embed.weight; got torch.float32 \(17, 16\); expected torch.float32 \(9, 16\)"):
        load_model(toys.make_model(decoder=toys.ToyDecoder(vocabulary=9)), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match="cannot be read"):
        load_model(model, path)


def test_a_state_of_another_rung_or_stage_is_refused(tmp_path: Path):
    train(tmp_path / "a", epochs=range(1))
    with pytest.raises(StoreError, match="got epoch 1; expected epoch 2"):
        train(tmp_path / "c", epochs=range(2, 3), start=tmp_path / "a")
    with pytest.raises(StoreError, match="of a training of other modules"):
        train(tmp_path / "c", replace(RECIPE, train=("fusion",)), range(1, 2), start=tmp_path / "a")
    (tmp_path / "a" / "state.json").write_text("{}")
    with pytest.raises(StoreError, match=r"state\.json cannot be read"):
        train(tmp_path / "c", epochs=range(1, 2), start=tmp_path / "a")


def test_a_full_disk_is_an_error_of_the_store(tmp_path: Path, monkeypatch):
    from rrgbench.training import state

    def full(*given):
        raise state.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(state, "save_file", full)
    with pytest.raises(StoreError, match=r"cannot be written.*No space left"):
        train(tmp_path / "out")


def test_a_reset_process_draws_the_same_numbers_with_the_same_threads():
    reset_process(5, 1)
    first = (torch.rand(3).tolist(), np.random.rand(), random.random())
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    reset_process(5, 1)
    assert (torch.rand(3).tolist(), np.random.rand(), random.random()) == first
    domain = numerics_domain("cpu")
    assert domain["device"] == "cpu"
    assert (domain["threads"], domain["world_size"], domain["torch"]) == (1, 1, torch.__version__)
    assert set(domain) == {"device", "hardware", "threads", "world_size", "torch"}
