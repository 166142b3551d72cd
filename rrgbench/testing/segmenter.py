"""What every segmenter must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from rrgbench.testing.building import assert_fields, built, component_name, saying
from rrgbench.testing.encoders import toy_films

_Mask = np.ndarray[Any, np.dtype[np.bool_]]


def toy_chest(size: int = 96) -> Image.Image:
    """A bright body with two dark lungs on a dark ground, and a grain that is always the same."""
    y, x = np.mgrid[0:size, 0:size] / size
    lungs = sum(((x - place) / 0.13) ** 2 + ((y - 0.5) / 0.28) ** 2 < 1 for place in (0.3, 0.7))
    grey = np.where((abs(x - 0.5) < 0.46) & (y > 0.06), 190.0, 15.0) - 110.0 * (lungs > 0)
    grey += np.random.default_rng(0).normal(0, 3, grey.shape)
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


class SegmenterContract:
    """Subclass it and set ``component`` (and ``options``)."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    def _made(self) -> Any:
        made = built(type(self).component, {}, self.options)
        with saying(f"reading {self._name}.identity"):
            assert_fields(made, {"identity": str})
        return made

    def _mask(self, segmenter: Any, film: Image.Image) -> _Mask:
        with saying(f"{self._name} on a film of mode {film.mode} and size {film.size}"):
            mask = segmenter(film)
        right = isinstance(mask, np.ndarray) and mask.dtype == np.bool_ and mask.shape == (film.height, film.width)
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        assert right, f"{self._name} gives {got}, not bool {(film.height, film.width)}"
        assert isinstance(mask, np.ndarray)
        return mask

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_films_of_every_mode_and_size_have_a_mask(self) -> None:
        """bool (H, W) of the film's own size; a film of one pixel, of one line and of one grey are films too."""
        segmenter = self._made()
        for film in (*toy_films().values(), *(Image.new("L", size, 7) for size in ((1, 1), (90, 1), (1, 90), (33, 64)))):
            self._mask(segmenter, film)

    def test_it_is_deterministic_and_leaves_the_film_as_it_is(self) -> None:
        """The same mask twice, by another object, and after other films."""
        segmenter, film = self._made(), toy_chest()
        before = film.tobytes()
        first = self._mask(segmenter, film)
        self._mask(segmenter, Image.new("L", (40, 40), 90))
        for other in (segmenter, self._made()):
            assert np.array_equal(self._mask(other, film), first), f"{self._name} is not deterministic"
        assert film.tobytes() == before, f"{self._name} writes into the film"

    def test_it_says_who_it_is(self) -> None:
        """``identity`` is a text that is not empty, and that of another object is the same."""
        first, second = self._made().identity, self._made().identity
        assert first and first == second, f"{self._name}.identity is {first!r}, then {second!r}"
