"""First-party segmenters: the classical one against phantom's own anatomy, the network through a file in its package's format."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rrgbench_datasets.phantom.anatomy import Chest, body_of, exposure_of
from rrgbench_datasets.phantom.canvas import Canvas
from rrgbench_datasets.phantom.dataset import Phantom
from rrgbench_datasets.phantom.draws import Draws
from rrgbench_datasets.phantom.frontal import _heart, _mediastinum
from rrgbench_datasets.phantom.lesions import mark
from rrgbench_segmenters import Threshold, TorchXRayVision, rrgbench_segmenters
from rrgbench_segmenters.pspnet import FILE

from rrgbench import ConfigError
from rrgbench.testing import SegmenterContract, failures, toy_chest

torch.set_num_threads(1)


class TestThreshold(SegmenterContract):
    component = Threshold


def test_the_hook_offers_them() -> None:
    assert rrgbench_segmenters() == {"threshold": Threshold, "torchxrayvision": TorchXRayVision}


def phantom_lungs(data: Phantom, size: int) -> Iterator[tuple[Image.Image, np.ndarray, bool]]:
    """Each frontal film of phantom, its lung fields as they were drawn (the shadow of heart and mediastinum left out, as in
    JSRT's masks), and whether no finding is drawn on it."""
    for study in data._studies:
        body = body_of(data._seed, study.subject)
        exposure = exposure_of(data._seed, study.subject, study.visit, "frontal")
        canvas = Canvas(size, exposure.pose)
        chest = Chest(canvas, body, exposure.breath)
        drawn = [finding for finding in study.findings if finding.drawn]
        draws = data._draws("frontal", study)
        marks = mark(chest, drawn, Draws("lesions", body.vessels, draws.below(1 << 30)))
        lungs = chest.lung(-1, marks.lift[-1]) + chest.lung(1, marks.lift[1])
        shadow = np.maximum(_mediastinum(canvas, body), 0.40 * _heart(canvas, body, marks.heart))
        with Image.open(data._folder / f"{study.study_id}-frontal.png") as film:
            film.load()
        yield film, (lungs > 0.5) & (shadow < 0.2), not drawn


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


@pytest.mark.heavy
def test_lungs_of_phantom_are_found_where_they_were_drawn(tmp_path: Path) -> None:
    """The figures of docs/images.md. Findings (consolidation, effusion, edema) hide lung, so that films without are apart."""
    segmenter, size = Threshold(), 128
    data = Phantom(tmp_path, studies=150, size=size)
    found: dict[bool, list[float]] = {True: [], False: []}
    total = 0
    for film, truth, clear in phantom_lungs(data, size):
        mask = segmenter(film)
        total += 1
        if mask.any():
            found[clear].append(dice(mask, truth))
    clear, other = np.array(found[True]), np.array(found[False])
    told = f"{len(clear) + len(other)} of {total}; clear {len(clear)}: {clear.mean():.3f}; with findings: {other.mean():.3f}"
    print(told)
    assert (len(clear) + len(other)) / total > 0.9, told
    assert clear.mean() > 0.94 and clear.min() > 0.85, told
    assert other.mean() > 0.88, told
    laterals = sorted(data._folder.glob("*-lateral.png"))
    seen = sum(bool(segmenter(Image.open(path)).any()) for path in laterals)
    print(f"lungs on {seen} of {len(laterals)} laterals")
    assert seen / len(laterals) < 0.1


def test_both_lungs_of_a_toy_chest_are_found() -> None:
    mask = Threshold()(toy_chest(96))
    y, x = np.mgrid[0:96, 0:96] / 96
    truth = sum(((x - place) / 0.13) ** 2 + ((y - 0.5) / 0.28) ** 2 < 1 for place in (0.3, 0.7)) > 0
    assert dice(mask, truth) > 0.9


def test_depth_and_size_of_a_film_do_not_matter() -> None:
    film = toy_chest(192)
    mask = Threshold()(film)
    deep = Image.fromarray(np.asarray(film).astype(np.uint16) * 200 + 900)
    assert (Threshold()(deep) != mask).mean() < 0.001, "but for rounding"
    small = Threshold()(film.resize((96, 96), Image.Resampling.BOX))
    assert dice(np.asarray(Image.fromarray(mask).resize((96, 96), Image.Resampling.NEAREST)), small) > 0.95


@pytest.mark.parametrize("what", ["black", "flat", "noise", "one lung", "negative"])
def test_films_that_are_no_frontal_chest_have_no_lungs(what: str) -> None:
    chest = np.asarray(toy_chest(96)).copy()
    films = {
        "black": np.zeros_like(chest),
        "flat": np.full_like(chest, 120),
        "noise": np.random.default_rng(1).integers(0, 256, chest.shape, dtype=np.uint8),
        "one lung": np.where(np.arange(96) < 48, chest, np.uint8(190)),
        "negative": 255 - chest,
    }
    assert not Threshold()(Image.fromarray(films[what])).any()


# The network.


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's own file format with random numbers: a state dict whose names begin with ``module.``."""
    pytest.importorskip("torchxrayvision")
    from torchxrayvision.baseline_models.chestx_det.ptsemseg.pspnet import pspnet

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / FILE
    torch.save({f"module.{name}": tensor for name, tensor in pspnet(14).state_dict().items()}, path)
    return path


@pytest.mark.heavy
def test_the_network_gives_what_its_package_gives(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torchxrayvision.baseline_models.chestx_det import PSPNet

    segmenter = TorchXRayVision(weights=weights, smallest=0.0)
    film = toy_chest(96)
    mask = segmenter(film)
    assert capsys.readouterr().out == "", "standard output belongs to whoever called"
    assert mask.shape == (96, 96) and mask.dtype == np.bool_
    assert segmenter.identity.startswith("torchxrayvision PSPNet ")
    theirs = PSPNet(cache_dir=str(weights.parent)).eval()
    pixels = np.array(film.resize((512, 512), Image.Resampling.BILINEAR), dtype=np.float32) / 255 * 2048 - 1024
    with torch.inference_mode():
        lungs = theirs(torch.from_numpy(pixels)[None, None])[0, 4:6].sigmoid().amax(dim=0)
    assert theirs.targets[4:6] == ["Left Lung", "Right Lung"]
    expected = np.asarray(Image.fromarray(lungs.numpy()).resize((96, 96), Image.Resampling.BILINEAR)) >= 0.5
    assert (mask == expected).mean() > 0.999


def test_missing_weights_are_one_line_that_says_where_they_are_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchxrayvision")
    monkeypatch.setenv("HOME", str(tmp_path))
    for segmenter, said in (
        (TorchXRayVision(), f"no file {tmp_path}/.torchxrayvision/models_data/{FILE}"),
        (TorchXRayVision(weights=tmp_path / FILE), f"no file {tmp_path / FILE}"),
        (TorchXRayVision(weights=tmp_path / "other.pth"), "got other.pth"),
    ):
        for asked in (lambda s=segmenter: s(toy_chest()), lambda s=segmenter: s.identity):
            with pytest.raises(ConfigError, match="releases/download/v1/pspnet") as caught:
                asked()
            assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.pth")), "nothing is downloaded"


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("what", ["empty", "text", "another model", "code"])
def test_a_file_that_is_not_the_weights_is_one_line_and_runs_no_code(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torchxrayvision")
    path, trap = tmp_path / FILE, tmp_path / "trap"
    if what == "another model":
        torch.save({"module.x": torch.zeros(1)}, path)
    else:
        path.write_bytes({"empty": b"", "text": b"<html>not found</html>", "code": pickle.dumps(_Touch(trap))}[what])
    with pytest.raises(ConfigError, match="does not hold the weights of its PSPNet") as caught:
        TorchXRayVision(weights=path)(toy_chest())
    assert "\n" not in str(caught.value)
    assert not trap.exists()
    assert capsys.readouterr().out == ""


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    monkeypatch.delitem(sys.modules, "torchxrayvision.baseline_models.chestx_det", raising=False)
    with pytest.raises(ConfigError, match=r'pip install "rrgbench\[segmentation\]"'):
        TorchXRayVision()(toy_chest())


class ToyNet(torch.nn.Module):
    """Two structures beside the lungs, which are what is darker than the middle; the left lung on the right of the film."""

    targets = ("Heart", "Left Lung", "Spine", "Right Lung")

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.shape == (1, 1, 512, 512) and pixels.min() >= -1024 and pixels.max() <= 1024
        dark = (-pixels).expand(1, 4, 512, 512).clone()
        right = torch.arange(512) >= 256
        dark[:, 1, :, ~right] = dark[:, 3, :, right] = -9
        dark[:, (0, 2)] = 99
        return dark


@pytest.fixture
def toy_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / FILE
    path.write_bytes(b"toy")
    monkeypatch.setattr(TorchXRayVision, "_net", ToyNet())
    return path


def test_what_is_made_of_a_network_keeps_the_contract(toy_net: Path) -> None:
    assert failures("segmenters", TorchXRayVision, {"weights": toy_net}) == {}


def test_films_are_padded_to_a_square_and_masks_are_of_the_films_own_size(toy_net: Path) -> None:
    grey = np.full((30, 60), 200, dtype=np.uint8)
    grey[5:25, 10:20] = grey[10:20, 40:55] = 40
    mask = TorchXRayVision(weights=toy_net)(Image.fromarray(grey))
    assert dice(mask, grey == 40) > 0.95


def test_too_little_lung_is_none(toy_net: Path) -> None:
    grey = np.full((60, 60), 200, dtype=np.uint8)
    grey[10:14, 10:50] = 40  # 4 % of the film
    assert TorchXRayVision(weights=toy_net, smallest=0.03)(Image.fromarray(grey)).any()
    assert not TorchXRayVision(weights=toy_net, smallest=0.1)(Image.fromarray(grey)).any()
