"""Films prepared: the same shape and bytes for any film, aspect kept or squashed, lungs cropped to or masked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rrgbench_encoders.preparing import Preparation

from rrgbench import PluginError

RESIZES, PADDINGS, FILTERS = ("squash", "pad", "crop"), ("black", "edge"), ("bilinear", "bicubic", "lanczos", "box")


class Window:
    """A segmenter that finds a box, given as shares of the film."""

    identity = "window"

    def __init__(self, top: float, bottom: float, left: float, right: float) -> None:
        self.box = (top, bottom, left, right)

    def __call__(self, image: Image.Image) -> np.ndarray:
        mask = np.zeros((image.height, image.width), dtype=bool)
        top, bottom, left, right = self.box
        mask[round(top * image.height) : round(bottom * image.height), round(left * image.width) : round(right * image.width)] = (
            True
        )
        return mask


def film_of(mode: str, width: int, height: int, seed: int) -> Image.Image:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 16)
    return Image.fromarray(grey).convert(mode)


@settings(max_examples=150, deadline=None)
@given(
    mode=st.sampled_from(("L", "RGB", "I;16", "P", "RGBA", "1", "LA", "I", "F")),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    size=st.integers(1, 48),
    channels=st.sampled_from((1, 3)),
    resize=st.sampled_from(RESIZES),
    padding=st.sampled_from(PADDINGS),
    how=st.sampled_from(FILTERS),
    box=st.none() | st.tuples(*[st.floats(0, 1)] * 4),
    lungs=st.sampled_from(("crop", "mask")),
    seed=st.integers(0, 9),
)
def test_any_film_has_one_shape_and_the_same_bytes_twice(
    mode: str,
    width: int,
    height: int,
    size: int,
    channels: Any,
    resize: Any,
    padding: Any,
    how: Any,
    box: Any,
    lungs: Any,
    seed: int,
) -> None:
    segmenter = None if box is None else Window(*box)
    prepare = Preparation(size, channels, resize, padding, how, segmenter, lungs)
    first, second = (prepare(film_of(mode, width, height, seed)) for _ in range(2))
    assert first.dtype == torch.uint8 and first.shape == (channels, size, size)
    assert torch.equal(first, second)


def test_squash_fills_the_square_and_pad_keeps_the_aspect() -> None:
    film = Image.new("L", (80, 40), 200)
    assert bool((Preparation(32)(film) == 200).all())
    padded = Preparation(32, resize="pad")(film)[0]
    assert bool((padded[8:24] == 200).all()) and int(padded[:8].sum()) == int(padded[24:].sum()) == 0
    upright = Preparation(32, resize="pad")(film.rotate(90, expand=True))[0]
    assert torch.equal(upright, padded.T)


def test_padding_by_the_edge_draws_the_edge_out() -> None:
    rows = np.repeat(np.linspace(10, 250, 40).astype(np.uint8)[:, None], 80, axis=1)
    padded = Preparation(32, 3, resize="pad", padding="edge")(Image.fromarray(rows))
    assert torch.equal(padded[:, :8], padded[:, 8:9].expand(3, 8, 32))
    assert torch.equal(padded[:, 24:], padded[:, 23:24].expand(3, 8, 32))
    assert int(padded[0, 0, 0]) < 20 < 240 < int(padded[0, -1, 0])


def test_crop_keeps_the_middle_square_as_it_was() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 60), dtype=np.uint8)
    cropped = Preparation(32, resize="crop")(Image.fromarray(pixels))
    assert np.array_equal(cropped[0].numpy(), pixels[:, 14:46])


def test_a_film_like_a_ribbon_is_not_blown_up() -> None:
    for size in ((1, 60_000), (60_000, 1)):
        for resize in RESIZES:
            assert Preparation(64, resize=resize)(Image.new("L", size, 9)).shape == (1, 64, 64)  # type: ignore[arg-type]


def test_lungs_are_cropped_to_with_a_margin() -> None:
    pixels = np.zeros((100, 100), dtype=np.uint8)
    pixels[20:60, 30:70] = 255
    cropped = Preparation(44, segmenter=Window(0.2, 0.6, 0.3, 0.7), filter="box")(Image.fromarray(pixels))[0].numpy()
    assert np.array_equal(cropped, pixels[18:62, 28:72]), "5 % of 40 on each side"
    whole = Preparation(100, segmenter=Window(0, 1, 0, 1))(Image.fromarray(pixels))[0].numpy()
    assert np.array_equal(whole, pixels), "a margin ends with the film"


def test_all_but_the_lungs_is_masked() -> None:
    masked = Preparation(100, 3, segmenter=Window(0.2, 0.6, 0.3, 0.7), lungs="mask")(Image.new("RGB", (100, 100), (9, 8, 7)))
    expected = torch.zeros(3, 100, 100, dtype=torch.uint8)
    expected[:, 20:60, 30:70] = torch.tensor([9, 8, 7], dtype=torch.uint8)[:, None, None]
    assert torch.equal(masked, expected)


@pytest.mark.parametrize("lungs", ["crop", "mask"])
def test_a_film_without_lungs_stays_whole(lungs: Any) -> None:
    film = film_of("L", 50, 40, 0)
    assert torch.equal(Preparation(32, segmenter=Window(0, 0, 0, 0), lungs=lungs)(film), Preparation(32)(film))


@pytest.mark.parametrize("mask", [None, np.ones((3, 3), dtype=bool), np.ones((40, 50)), [[True]]])
def test_a_wrong_mask_is_the_segmenters_mistake(mask: Any) -> None:
    class Wrong:
        identity = "wrong"

        def __call__(self, image: Image.Image) -> Any:
            return mask

    with pytest.raises(PluginError, match=r"segmenter Wrong: wrong mask; got .*; expected bool \(40, 50\)"):
        Preparation(32, segmenter=Wrong())(film_of("L", 50, 40, 0))
