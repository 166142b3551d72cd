"""Augmentation: shapes, types and ranges stay, nothing happens where all is off, and masks end where their films do."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rrgbench_encoders.augmenting import Augmentation, Geometry

torch.set_num_threads(1)

AUGMENTATIONS = st.builds(
    Augmentation,
    crop=st.floats(0, 0.49),
    rotation=st.floats(0, 180),
    horizontal_flip=st.booleans(),
    jitter=st.floats(0, 0.9),
    noise=st.floats(0, 0.5),
)


def films_of(count: int, size: int, channels: int = 1, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=random)


@settings(max_examples=60, deadline=None)
@given(augmentation=AUGMENTATIONS, count=st.integers(1, 5), size=st.integers(1, 40), seed=st.integers(0, 99))
def test_films_keep_type_shape_and_range_and_the_same_draws_give_the_same_bytes(
    augmentation: Augmentation, count: int, size: int, seed: int
) -> None:
    films = films_of(count, size, 3)
    kept, results = films.clone(), []
    for _ in range(2):
        torch.manual_seed(seed)
        moved = augmentation.draw(count, size).apply(films, smooth=True)
        results.append((moved, augmentation.tone(moved.float() / 255)))
    (first, toned), (second, again) = results
    assert torch.equal(first, second) and torch.equal(toned, again)
    assert torch.equal(films, kept)
    assert first.dtype == torch.uint8 and first.shape == films.shape
    for film, source in zip(first, films):
        assert source.min() <= film.min() and film.max() <= source.max()
    assert toned.dtype == torch.float32 and toned.shape == films.shape and bool(toned.isfinite().all())
    bound = 2 * augmentation.jitter + 6 * augmentation.noise + 1e-6
    assert -bound <= float(toned.min()) and float(toned.max()) <= 1 + bound


@given(count=st.integers(1, 4), size=st.integers(1, 30), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_nothing_happens_where_all_is_off(count: int, size: int, seed: int) -> None:
    films = films_of(count, size, seed=seed)
    off = Augmentation()
    assert torch.equal(off.draw(count, size).apply(films, smooth=True), films)
    assert torch.equal(off.tone(films.float()), films.float())


@settings(max_examples=60, deadline=None)
@given(
    crop=st.floats(0, 0.2),
    rotation=st.floats(0, 45),
    flip=st.booleans(),
    row=st.integers(14, 30),
    column=st.integers(14, 30),
    seed=st.integers(0, 99),
)
def test_a_marked_place_ends_where_its_mask_does(
    crop: float, rotation: float, flip: bool, row: int, column: int, seed: int
) -> None:
    masks = torch.zeros(8, 1, 48, 48, dtype=torch.uint8)
    masks[:, :, row : row + 5, column : column + 5] = 1
    torch.manual_seed(seed)
    geometry = Augmentation(crop=crop, rotation=rotation, horizontal_flip=flip).draw(8, 48)
    films, moved = geometry.apply(masks * 200, smooth=True), geometry.apply(masks, smooth=False)
    assert set(moved.unique().tolist()) <= {0, 1}
    for film, mask in zip(films[:, 0].float(), moved[:, 0].float()):
        assert mask.sum() > 0
        rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
        for places in (rows, columns):
            assert abs((film * places).sum() / film.sum() - (mask * places).sum() / mask.sum()) < 0.75
        assert not bool(((film > 150) & (mask == 0)).any())


def test_a_turn_by_zero_is_a_shift_and_a_quarter_turn_is_one() -> None:
    films = films_of(6, 17)
    rows, columns, mirrored = torch.tensor([0, 2, -3, 0, 1, 0]), torch.tensor([0, -1, 4, 2, 0, 0]), torch.arange(6) % 2 == 0
    plain = Geometry(rows, columns, mirrored).apply(films, smooth=True)
    turned = Geometry(rows, columns, mirrored, torch.zeros(6)).apply(films, smooth=True)
    assert torch.equal(plain, turned)
    still = torch.zeros(6, dtype=torch.int64)
    quarter = Geometry(still, still, None, torch.full((6,), math.pi / 2)).apply(films, smooth=True)
    assert torch.equal(quarter, torch.rot90(films, 1, (2, 3))) or torch.equal(quarter, torch.rot90(films, -1, (2, 3)))
    assert torch.equal(Geometry(still, still, None, torch.full((6,), math.pi)).apply(films, smooth=False), films.flip(2, 3))


def test_the_edge_is_drawn_out_over_what_was_outside() -> None:
    films = films_of(1, 9)
    down = Geometry(torch.tensor([-3]), torch.tensor([0])).apply(films, smooth=True)
    assert torch.equal(down[:, :, 3:], films[:, :, :6])
    assert torch.equal(down[:, :, :3], films[:, :, :1].expand(1, 1, 3, 9))
    bright = torch.full((1, 1, 9, 9), 80, dtype=torch.uint8)
    turned = Geometry(torch.tensor([2]), torch.tensor([2]), None, torch.tensor([0.6])).apply(bright, smooth=True)
    assert bool((turned == 80).all()), "no black corners"


def test_films_turn_either_way_up_to_the_limit() -> None:
    torch.manual_seed(0)
    angles = Augmentation(rotation=10).draw(500, 32).angles
    assert angles is not None
    assert angles.abs().max() <= math.radians(10) and angles.min() < -0.15 and angles.max() > 0.15
    assert abs(angles.mean()) < 0.02


def test_noise_is_normal_of_the_size_asked_for_and_alike_in_all_channels() -> None:
    torch.manual_seed(0)
    films = torch.full((4, 3, 64, 64), 0.5)
    noise = Augmentation(noise=0.05).tone(films) - films
    assert noise.std().item() == pytest.approx(0.05, rel=0.03) and abs(noise.mean().item()) < 0.002
    assert torch.equal(noise[:, 0], noise[:, 1]) and not torch.equal(noise[0], noise[1])
