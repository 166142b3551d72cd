"""Films as short vectors that can be compared exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from rrgbench.films import eight_bits, open_film

Pixels = numpy.ndarray[Any, numpy.dtype[numpy.uint8]]
Vectors = numpy.ndarray[Any, numpy.dtype[numpy.float64]]

UNIT = 2.0**24
"""The length of a vector, in whole steps: sums of their products stay below 2**53, so that float64 adds them without rounding,
in any order and on every machine."""


def thumbnail(path: Path, study_id: str, size: int) -> Pixels:
    """A film in grey, uint8 (size * size,). More than 8 bits are spread over the film's own darkest to brightest.

    Raises:
        DataError: the file is missing, damaged or not an image.
    """
    film = eight_bits(open_film(path, study_id, enough=(4 * size, 4 * size))).convert("L")
    return numpy.asarray(film.resize((size, size), Image.Resampling.BOX)).ravel()


def exposed(pixels: Pixels) -> Vectors:
    """Films (n, pixels) as ``unit`` vectors of their contrasts: brightness and contrast of a whole film do not count."""
    grey = pixels.astype(numpy.float64)  # whole numbers: the mean is taken out before anything is rounded
    return unit(grey * grey.shape[1] - grey.sum(axis=1, keepdims=True))


def unit(vectors: Vectors) -> Vectors:
    """Vectors (n, d) of length ``UNIT``, in whole numbers; a vector of zeros stays one."""
    lengths = numpy.sqrt(numpy.square(vectors).sum(axis=1, keepdims=True))
    return numpy.round(vectors / numpy.where(lengths > 0, lengths, 1.0) * UNIT)


def distances(first: Vectors, second: Vectors) -> Vectors:
    """Squared distances (n, m) of ``unit`` vectors, exact."""
    lengths = numpy.square(first).sum(axis=1)[:, None] + numpy.square(second).sum(axis=1)
    return numpy.asarray(lengths - 2.0 * (first @ second.T))
