"""Films that were squashed to a square, given their shape back."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy
from PIL import Image

from rrgbench import DataError
from rrgbench.films import open_film
from rrgbench_datasets.keeping import keep
from rrgbench_datasets.reading import stem

Grey = numpy.ndarray[tuple[int, int], numpy.dtype[numpy.uint8]]


def restored_size(film: tuple[int, int], original: tuple[int, int]) -> tuple[int, int]:
    """The width and height that give a squashed film its shape: one side stays, the other grows, so that no pixel is lost."""
    (width, height), (columns, rows) = film, original
    return (round(height * columns / rows), height) if columns >= rows else (width, round(width * rows / columns))


def restore(
    films: Mapping[str, tuple[Path, str]], sizes: Mapping[str, tuple[int, int]], cache: Path
) -> tuple[dict[str, Path], int]:
    """Every film as a file in the cache: in its own shape where that is told and the film is a square, else as it is.

    Args:
        films: the file of each film and whose it is, by the film's name.
        sizes: the width and height that a film had, by its name without suffix.
        cache: where the files go; they are named by content and shape.

    Returns:
        The file of each film by its name, and how many films were given their shape back.

    Raises:
        DataError: a film cannot be read, or the cache cannot be written.
    """
    names: dict[str, str] = {}
    draws = {}
    for name, (path, study_id) in films.items():
        shape = sizes.get(stem(name))
        told = f"{shape[0]}x{shape[1]}" if shape else "asis"
        names[name] = f"{stem(name).replace('/', '-')}-{_digest(path, study_id)}-{told}.png"
        draws[names[name]] = functools.partial(_redrawn, path, study_id, shape)
    key = hashlib.sha256("\n".join(names.values()).encode()).hexdigest()[:16]
    folder = cache / "unsquashed"
    keep(folder, draws, "iu_xray", f"films-{key}.json")
    return {name: folder / made for name, made in names.items()}, sum(stem(name) in sizes for name in films)


def _digest(path: Path, study_id: str) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise DataError(f"film {path} of study {study_id} cannot be read", got=error.strerror) from error


def _redrawn(path: Path, study_id: str, original: tuple[int, int] | None) -> Grey:
    film = open_film(path, study_id).convert("L")
    if original is not None and film.width == film.height:
        film = film.resize(restored_size(film.size, original), Image.Resampling.BILINEAR)
    return numpy.asarray(film)
