"""Films as short vectors that can be compared exactly."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from rrgbench import DataError

Pixels = numpy.ndarray[Any, numpy.dtype[numpy.uint8]]
Vectors = numpy.ndarray[Any, numpy.dtype[numpy.float64]]

# Pillow's other readers start programs (EPS) or are never a film.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "PPM", "WEBP")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
# What Pillow raises on files that are not what they claim to be.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

UNIT = 2.0**24
"""The length of a vector, in whole steps: sums of their products stay below 2**53, so that float64 adds them without rounding,
in any order and on every machine."""


def thumbnail(path: Path, study_id: str, size: int) -> Pixels:
    """A film in grey, uint8 (size * size,). More than 8 bits are spread over the film's own darkest to brightest.

    Raises:
        DataError: the file is missing, damaged or not an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as film:
                film.draft("L", (4 * size, 4 * size))  # JPEG need not be read at full size
                film.load()
                return numpy.asarray(_grey(film).resize((size, size), Image.Resampling.BOX)).ravel()
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise DataError(
            f"floor nearest: film {path} of study {study_id} cannot be read",
            got=reason,
            expected="a whole image file (PNG, JPEG, TIFF ..)",
            hint="fetch the file again or take the study out",
        ) from error


def _grey(film: Image.Image) -> Image.Image:
    if film.mode in _DEEP_MODES:
        deep = numpy.asarray(film, dtype=numpy.float64)
        low, high = float(deep.min()), float(deep.max())
        return Image.fromarray(numpy.round((deep - low) * (255.0 / max(high - low, 1e-12))).astype(numpy.uint8))
    return film.convert("L")


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
