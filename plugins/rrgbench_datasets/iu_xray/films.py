"""The files of films: found under the name that they should have, or its other suffixes; and the squashed ones, restored."""

from __future__ import annotations

import functools
import hashlib
import stat
from collections.abc import Mapping
from pathlib import Path

import numpy
from PIL import Image

from rrgbench import DataError
from rrgbench.films import open_film
from rrgbench_datasets.iu_xray.study import SUFFIXES, Study, stem
from rrgbench_datasets.phantom.films import keep

Grey = numpy.ndarray[tuple[int, int], numpy.dtype[numpy.uint8]]


class Finder:
    """Finds the files of studies."""

    def __init__(self, folder: Path, hint: str, *, drop: bool) -> None:
        self._folder, self._hint, self._drop = folder, hint, drop
        self.dropped: list[str] = []

    def of(self, study: Study) -> dict[str, Path]:
        """The files of a study's films by their names.

        Raises:
            DataError: a film is missing, or none is there.
        """
        found = {name: path for name in study.films if (path := self._find(study, name)) is not None}
        if not found:
            raise DataError(f"{study.where}: field image_path", got="no film that is there", expected="at least one")
        return found

    def _find(self, study: Study, name: str) -> Path | None:
        plain = stem(name)
        for candidate in dict.fromkeys((name, *(plain + suffix for suffix in SUFFIXES if plain != name))):
            path = self._folder / candidate
            try:
                status = path.stat()
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                hint = "fetch the film again"
                raise DataError(f"{study.where}: film {path}", got="an empty file or a folder", expected="an image", hint=hint)
            return path
        if self._drop:
            self.dropped.append(name)
            return None
        raise DataError(
            f"{study.where}: a film is missing",
            got=f"no file {self._folder / name}",
            expected="the film, as .jpg or .png",
            hint=self._hint,
        )


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
