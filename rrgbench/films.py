"""Public: films as files. Who opens one of unknown origin opens it here: only image formats, and a mistake is one line."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from rrgbench.errors import DataError

# Pillow's other readers start programs (EPS) or are never a film.
_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP", "GIF", "PPM", "WEBP")

# Pillow's modes of more than 8 bits a channel, which ``convert`` would clip.
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


def open_film(path: Path, study_id: str, *, enough: tuple[int, int] | None = None) -> Image.Image:
    """A film, read whole.

    Args:
        path: its file.
        study_id: whose it is, for the mistake.
        enough: a grey film of this width and height will do, so that a JPEG need not be decoded at full size.

    Raises:
        DataError: the file is missing, damaged or not an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as film:
                if enough is not None:
                    film.draft("L", enough)
                film.load()
                return film
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise DataError(
            f"film {path} of study {study_id} cannot be read",
            got=reason,
            expected="a whole image file (PNG, JPEG, TIFF ..)",
            hint="fetch the file again or take the study out",
        ) from error


def eight_bits(film: Image.Image) -> Image.Image:
    """More than 8 bits are spread over the film's own darkest to brightest; others stay as they are."""
    if film.mode not in _DEEP_MODES:
        return film
    deep = np.asarray(film, dtype=np.float64)
    low, high = float(deep.min()), float(deep.max())
    return Image.fromarray(np.round((deep - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8))
