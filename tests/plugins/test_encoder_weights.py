"""Weights of chest films by path: the names of torchvision, torchxrayvision, MoCo and others; what does not fit is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from rrgbench_encoders import Timm
from torch import Tensor, nn

from rrgbench import ConfigError

torch.set_num_threads(1)

State = dict[str, Tensor]
TINY = {"model": "test_resnet", "size": 64}


def saved(folder: Path, state: State) -> Path:
    path = folder / "weights.safetensors"
    safetensors.torch.save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    return path


def whole(model: str = "test_resnet", channels: int = 1, seed: int = 1, **options: object) -> nn.Module:
    torch.manual_seed(seed)
    made: nn.Module = timm.create_model(model, in_chans=channels, num_classes=14, **options).eval()
    with torch.no_grad():  # norms with something in them
        for name, buffer in made.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
    return made


def tokens(made: nn.Module, films: Tensor) -> Tensor:
    found: Tensor = made.forward_features(films)  # type: ignore[operator]
    return found.flatten(2).transpose(1, 2) if found.ndim == 4 else found


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "model.", "backbone.", "encoder.", "visual.", "visual.trunk.", "module.encoder_q.", "module.backbone.net."],
)
def test_names_under_any_prefix(tmp_path: Path, prefix: str) -> None:
    made = whole()
    path = saved(tmp_path, {prefix + name: tensor for name, tensor in made.state_dict().items()} | {"epoch": torch.ones(1)})
    films = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(Timm(**TINY, checkpoint=path).eval()(films), tokens(made, films))


@pytest.mark.parametrize(("first", "second"), [("module.encoder_q.", "module.encoder_k."), ("teacher.", "student.")])
def test_of_two_copies_the_one_that_is_handed_on(tmp_path: Path, first: str, second: str) -> None:
    right, wrong = whole(seed=1), whole(seed=2)
    state = {first + name: tensor for name, tensor in right.state_dict().items()}
    state |= {second + name: tensor for name, tensor in wrong.state_dict().items()} | {"module.queue": torch.zeros(128, 16)}
    films = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(Timm(**TINY, checkpoint=saved(tmp_path, state)).eval()(films), tokens(right, films))


def _old(state: State) -> State:
    """As torchvision wrote DenseNets until 2018, and CheXNet's heirs since; without the counters that came later."""
    renamed = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor for name, tensor in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in renamed
    return {f"module.densenet121.{name}": tensor for name, tensor in renamed.items() if "num_batches" not in name}


FORMS: dict[str, Callable[[State], State]] = {
    "as it is": lambda state: state,
    "with dots": _old,
    "features alone": lambda state: {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")},
    "a classifier of its own": lambda state: (
        {k: v for k, v in state.items() if "classifier" not in k} | {"fc.weight": torch.ones(3, 3)}
    ),
}


@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_densenet_of_torchvision(tmp_path: Path, form: str) -> None:
    import torchvision

    torch.manual_seed(1)
    made = torchvision.models.densenet121(weights=None, num_classes=14).eval()
    path = saved(tmp_path, FORMS[form](made.state_dict()))
    films = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = made.features(films).relu().flatten(2).transpose(1, 2)
        found = Timm(model="densenet121", size=64, channels=3, checkpoint=path).eval()(films)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_resnet_of_torchvision(tmp_path: Path) -> None:
    import torchvision

    torch.manual_seed(1)
    made = torchvision.models.resnet18(weights=None, num_classes=14).eval()
    path = saved(tmp_path, {f"model.{name}": tensor for name, tensor in made.state_dict().items()})
    films = torch.rand(1, 3, 64, 64)
    trunk = nn.Sequential(*list(made.children())[:-2])
    with torch.no_grad():
        expected = trunk(films).flatten(2).transpose(1, 2)
        assert torch.allclose(Timm(model="resnet18", size=64, channels=3, checkpoint=path).eval()(films), expected, atol=1e-5)


def test_a_densenet_of_torchxrayvision_reads_grey_films_as_it_does(tmp_path: Path) -> None:
    xrv = pytest.importorskip("torchxrayvision")
    torch.manual_seed(1)
    made = xrv.models.DenseNet(weights=None, num_classes=18).eval()
    path = saved(tmp_path, made.state_dict() | {"op_threshs": torch.ones(18)})
    films = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    options = {"model": "densenet121", "size": 64, "checkpoint": path, "mean": 0.5, "std": 1 / 2048}
    theirs = torch.stack([torch.from_numpy(xrv.datasets.normalize(film[0].numpy(), 255))[None] for film in films]).float()
    grey, colour = Timm(**options).eval(), Timm(**options, channels=3).eval()
    with torch.no_grad():
        expected = made.features(theirs).relu().flatten(2).transpose(1, 2)
        found = grey(grey.transform(films, False))
        again = colour(colour.transform(films.expand(-1, 3, -1, -1), False))
    scale = float(expected.abs().max())
    assert torch.allclose(found, expected, atol=1e-5 * scale) and torch.allclose(again, expected, atol=1e-4 * scale)


@pytest.mark.parametrize("model", ["test_vit", "test_vit2", "eva02_tiny_patch14_224"])
def test_tables_of_positions_of_another_size_are_interpolated(tmp_path: Path, model: str) -> None:
    patch = 14 if "eva" in model else 16
    made = whole(model, img_size=10 * patch)
    with torch.no_grad():  # positions that change smoothly over the film
        table = made.pos_embed
        prefix = table.shape[1] - 100
        table[:, prefix:] = torch.linspace(-1, 1, 10).repeat_interleave(10)[None, :, None]
    path = saved(tmp_path, {f"visual.{name}": tensor for name, tensor in made.state_dict().items()})
    encoder = Timm(model=model, size=4 * patch, checkpoint=path)
    found = encoder.model.pos_embed.detach()
    assert found.shape[1] == prefix + 16
    rows = found[0, prefix:, 0].reshape(4, 4)
    assert torch.allclose(rows, rows[:, :1].expand(4, 4), atol=1e-4) and bool((rows[1:] > rows[:-1]).all())
    assert torch.equal(encoder.model.blocks[0].norm1.weight, made.blocks[0].norm1.weight)  # type: ignore[union-attr, index]


@pytest.mark.heavy
@pytest.mark.parametrize("model", ["swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "convnext_atto"])
def test_families_with_tables_of_windows_and_with_norms_in_their_heads(tmp_path: Path, model: str) -> None:
    made = whole(model)
    path = saved(tmp_path, made.state_dict())
    size = made.pretrained_cfg["input_size"][-1]
    films = torch.rand(1, 1, size, size)
    encoder, other = Timm(model=model, size=size, checkpoint=path).eval(), Timm(model=model, size=128, checkpoint=path).eval()
    with torch.no_grad():
        found = made.forward_features(films)
        expected = found.flatten(1, 2) if "swin" in model else found.flatten(2).transpose(1, 2)
        assert torch.allclose(encoder(films), expected, atol=1e-5)
        assert other(films[..., :128, :128]).shape == (1, 16, encoder.num_features)


def test_weights_in_half_precision_become_float32(tmp_path: Path) -> None:
    path = saved(tmp_path, {name: t.half() if t.is_floating_point() else t for name, t in whole().state_dict().items()})
    assert {parameter.dtype for parameter in Timm(**TINY, checkpoint=path).parameters()} == {torch.float32}


def _without(word: str) -> Callable[[State], State]:
    return lambda state: {name: tensor for name, tensor in state.items() if word not in name}


WRONG: dict[str, tuple[Callable[[State], State], str]] = {
    "one tensor missing": (_without("layer4.0.bn1.weight"), r"got 74 of 75 tensors.*without layer4\.0\.bn1\.weight;"),
    "a running mean missing": (_without("layer4.0.bn1.running_mean"), r"got 74 of 75.*running_mean"),
    "half of it": (_without("layer4"), r"without layer4\.\S+, layer4\.\S+ and \d+ more"),
    "a deeper model": (
        lambda state: state | {"layer1.7.conv1.weight": torch.ones(1)},
        r"1 more that the model lacks, such as layer1\.7",
    ),
    "a wider one": (
        lambda state: state | {"conv1.0.weight": torch.ones(7, 3, 3, 3)},
        r"without conv1\.0\.weight \(7, 3, 3, 3\) for \(\d+, 1, 3, 3\)",
    ),
    "nothing of it": (lambda state: {"a.b": torch.ones(1)}, r"got 0 of 75.*Hint: it holds names such as a\.b, the model has bn1"),
    "nothing": (lambda state: {}, r"got 0 of 75.*such as none"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_file_that_is_not_the_whole_backbone_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    change, message = WRONG[name]
    path = saved(tmp_path, change(whole().state_dict()))
    with pytest.raises(ConfigError, match=message) as caught:
        Timm(**TINY, checkpoint=path)
    assert "\n" not in str(caught.value) and "not of this model" in str(caught.value)


def test_a_file_of_another_family_is_refused_in_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path, whole("test_convnext").state_dict())
    for model, size in (
        ("test_vit", 64),
        ("swin_tiny_patch4_window7_224", 64),
        ("densenet121", 64),
        ("eva02_tiny_patch14_224", 56),
    ):
        with pytest.raises(ConfigError, match=f"not of this model; got .*expected the weights of {model}") as caught:
            Timm(model=model, size=size, checkpoint=path)
        assert "\n" not in str(caught.value)


def test_the_page_converts_a_pickled_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "encoders.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(import safetensors.*?)```", page, re.DOTALL)
    assert block is not None
    made = whole()
    torch.save({"epoch": 3, "state_dict": made.state_dict()}, tmp_path / "model.pth")
    monkeypatch.chdir(tmp_path)
    exec(block[1], {})
    films = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(Timm(**TINY, checkpoint=Path("model.safetensors")).eval()(films), tokens(made, films))
    with pytest.raises(ConfigError, match=r"model\.pth cannot be read.*converted once"):
        Timm(**TINY, checkpoint=Path("model.pth"))
