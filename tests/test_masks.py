"""Masks of lungs on their way from a segmenter to a loss: written once, padded, moved with their films, and pooled to tokens."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rrgbench.batches import StudySet, write_masks
from rrgbench.errors import ConfigError, DataError, PluginError
from rrgbench.heads import Heads
from rrgbench.model import Model
from rrgbench.training import load_parts, save_model
from rrgbench.types import UNKNOWN

_spec = importlib.util.spec_from_file_location("toys", Path(__file__).with_name("toys.py"))
assert _spec is not None and _spec.loader is not None
toys = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toys)

torch.set_num_threads(1)
EVERYONE = list(range(11))


class Bright:
    """Finds what is brighter than a level."""

    identity = "bright"

    def __init__(self, level: int = 128) -> None:
        self.level = level

    def __call__(self, image: Image.Image) -> np.ndarray:
        return np.asarray(image.convert("L")) > self.level


class Shifting(toys.ToyImageEncoder):
    """Moves every film by one pixel to the right in training."""

    def transform(self, pixels: torch.Tensor, train: bool) -> torch.Tensor:
        return self.transform_with(pixels, None, train)[0]

    def transform_with(self, pixels: torch.Tensor, masks: Any, train: bool) -> tuple[torch.Tensor, Any]:
        def moved(values: Any) -> Any:
            return values.roll(1, -1) if train and values is not None else values

        return moved(pixels).float() / 255, moved(masks)


def _model(encoder: Any = None) -> Model:
    torch.manual_seed(0)
    encoder = encoder or Shifting()
    return Model({"image": encoder}, heads=Heads({"image": encoder.num_features}, findings=1, masks=True))


def _masks(pixels: np.ndarray) -> np.ndarray:
    """The left half of each film, by half of its pixels; of the fourth film nothing is known."""
    masks = np.zeros((len(pixels), 8, 8), dtype=np.uint8)
    masks[:, :, :4] = 1
    masks[:, ::2, :] = 0
    masks[3] = UNKNOWN
    return masks


def _set(count: int = 11, masks: Any = None) -> StudySet:
    inputs, targets, pixels = toys.make_studies(count)
    return StudySet(
        inputs, pixels=pixels, targets=targets, label_names=("effusion",), masks=_masks(pixels) if masks is None else masks
    )


def test_masks_are_written_once_and_a_film_without_lungs_is_unknown(tmp_path: Path) -> None:
    films = np.zeros((3, 1, 6, 5), dtype=np.uint8)
    films[0, :, :2] = films[2, :, 4:] = 200
    told: list[tuple[int, int, str]] = []
    found = write_masks(tmp_path / "masks.npy", films, Bright(), lambda *now: told.append(now))
    masks = np.load(tmp_path / "masks.npy", mmap_mode="r")
    assert found == 2 and told[-1] == (3, 3, "films")
    assert masks.dtype == np.uint8 and masks.shape == (3, 6, 5)
    assert np.array_equal(masks[0], films[0, 0] // 200)
    assert (masks[1] == UNKNOWN).all()


def test_films_in_colour_are_shown_to_a_segmenter_as_they_are(tmp_path: Path) -> None:
    films = np.zeros((1, 3, 4, 4), dtype=np.uint8)
    films[0, :, 1, 2] = 255
    write_masks(tmp_path / "masks.npy", films, Bright())
    assert np.argwhere(np.load(tmp_path / "masks.npy")[0]).tolist() == [[1, 2]]


def test_masks_that_teach_nothing_or_are_none_are_told(tmp_path: Path) -> None:
    films = np.zeros((2, 1, 4, 4), dtype=np.uint8)
    with pytest.raises(DataError, match="masks to learn; got lungs on none of 2 films"):
        write_masks(tmp_path / "masks.npy", films, Bright())
    with pytest.raises(DataError, match="got 2"):
        write_masks(tmp_path / "masks.npy", films.repeat(2, axis=1), Bright())
    for wrong in (lambda image: np.zeros((4, 4)), lambda image: np.zeros((4, 5), dtype=bool), lambda image: None):
        with pytest.raises(PluginError, match=r"expected bool \(4, 4\)"):
            write_masks(tmp_path / "masks.npy", films, wrong)


def test_masks_of_a_batch_stand_at_their_films_and_padding_is_unknown() -> None:
    _, _, pixels = toys.make_studies(11)
    batch = _set().targets_batch([1, 0])
    assert batch.masks is not None and batch.masks.dtype == torch.uint8
    assert batch.masks.shape == (2, 2, 8, 8)
    masks = _masks(pixels)
    assert np.array_equal(batch.masks[0].numpy(), masks[1:3]) and np.array_equal(batch.masks[1, 0].numpy(), masks[0])
    assert bool((batch.masks[1, 1] == UNKNOWN).all())


def test_masks_must_be_those_of_the_films() -> None:
    inputs, targets, pixels = toys.make_studies(3)
    for given in ({"pixels": pixels, "masks": _masks(pixels)[1:]}, {"masks": _masks(pixels)}):
        with pytest.raises(DataError, match="the masks are not those of the films"):
            StudySet(inputs, targets=targets, **given)


def test_each_token_has_the_share_of_lung_at_its_place() -> None:
    data, model = _set(), _model().eval()
    output = model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))
    assert output.masks.shape == output.mask_logits.shape == (11, 3, 2, 2)
    assert torch.equal(output.masks[0, 0], torch.tensor([[0.5, 0.0], [0.5, 0.0]]))
    assert bool(output.masks[0, 1:].isnan().all()), "padding"
    assert bool(output.masks[2, 0].isnan().all()), "the film of which nothing is known"
    image = output.features["image"]
    assert torch.allclose(output.mask_logits.flatten(1), model.heads.masks(image.hidden_states).squeeze(-1))


def test_masks_move_with_their_films_in_training() -> None:
    data, model = _set(), _model().train()
    output = model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))
    expected = torch.tensor([[0.375, 0.125], [0.375, 0.125]])
    assert torch.equal(output.masks[0, 0], expected)
    model.augment = False
    output = model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))
    assert torch.equal(output.masks[0, 0], torch.tensor([[0.5, 0.0], [0.5, 0.0]]))


def test_films_are_the_same_whether_masks_move_along_or_not() -> None:
    data, model = _set(), _model(Shifting(dropout=0.0)).train()
    inputs, targets = data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE)
    with_masks = model(inputs, targets).finding_logits
    torch.manual_seed(0)
    plain = Model({"image": model.encoders["image"]}, heads=Heads({"image": toys.WIDTH}, findings=1))
    plain.view_embedding = model.view_embedding
    plain.heads.findings = model.heads.findings
    assert torch.allclose(plain.train()(inputs, targets).finding_logits, with_masks)


def test_an_encoder_that_leaves_masks_behind_is_told_how_to_go_on() -> None:
    data, model = _set(), _model(toys.ToyImageEncoder())
    inputs, targets = data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE)
    with pytest.raises(ConfigError, match=r"does not move masks.*augment: false"):
        model.train()(inputs, targets)
    model.augment = False
    assert model(inputs, targets).masks.shape == (11, 3, 2, 2)


def test_masks_that_come_back_otherwise_are_the_encoders_mistake() -> None:
    class Wrong(Shifting):
        def transform_with(self, pixels: torch.Tensor, masks: Any, train: bool) -> tuple[torch.Tensor, Any]:
            return pixels.float(), masks.float()

    data = _set()
    with pytest.raises(PluginError, match="transform_with gave wrong masks"):
        _model(Wrong()).train()(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE))


def test_tokens_that_are_no_grid_are_refused() -> None:
    class Dropping(Shifting):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return super().forward(pixel_values)[:, 1:]

    data = _set()
    with pytest.raises(ConfigError, match="got 3 tokens for a film of 8 x 8"):
        _model(Dropping()).eval()(data.inputs_batch([0]), data.targets_batch([0]))


def test_masks_are_learnt_from_kept_tokens_too() -> None:
    inputs, targets, pixels = toys.make_studies(11)
    model = _model().eval()
    with torch.no_grad():
        tokens = model.film_tokens(torch.from_numpy(pixels)).numpy()
    kept = StudySet(inputs, image_tokens=tokens, targets=targets, masks=_masks(pixels))
    live = _set()
    one, other = (model(data.inputs_batch(EVERYONE), data.targets_batch(EVERYONE)) for data in (kept, live))
    assert torch.equal(one.masks.nan_to_num(9), other.masks.nan_to_num(9))
    assert torch.allclose(one.mask_logits, other.mask_logits, atol=1e-6)


def test_without_a_head_masks_are_not_read() -> None:
    data = _set()
    model = Model({"image": toys.ToyImageEncoder()}, heads=Heads({"image": toys.WIDTH}, findings=1))
    output = model.train()(data.inputs_batch([0]), data.targets_batch([0]))
    assert output.masks is None and output.mask_logits is None


def test_the_head_of_masks_is_left_out_by_who_reads_findings_alone(tmp_path: Path) -> None:
    save_model(_model(), tmp_path / "model.safetensors")
    again = Model({"image": toys.ToyImageEncoder()}, heads=Heads({"image": toys.WIDTH}, findings=1))
    assert load_parts(again, [tmp_path / "model.safetensors"]) == frozenset()
