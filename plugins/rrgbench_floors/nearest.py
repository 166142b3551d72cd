"""The report of the train study whose films look most alike."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load_file

from rrgbench import DataError, Examples, Inputs
from rrgbench_floors.films import Vectors, distances, exposed, thumbnail, unit

_Numbers = numpy.ndarray[Any, numpy.dtype[Any]]
_Looks = Mapping[tuple[str, int], tuple[_Numbers, _Numbers]]
"""What studies look like: for each place of a film (its view, and which of that view) the studies that have one, ascending, and
what stands there, one row each."""

_CHUNK = 1024
"""How many train studies are compared at once: memory hangs on it, results do not."""


class Nearest:
    """For each study the report of the nearest train study of another subject; of equally near ones the first in train order.

    Films are shrunk to ``size`` x ``size`` grey pixels and compared with films of the same view (a second frontal with second
    frontals) by the squared distance of their contrasts, whatever their exposure: 2 - 2 x their correlation. Studies with
    several views are compared by the mean over the views that both have. Distances are exact, so that the choice is the
    same on every machine that reads the same pixels.

    Args:
        train: both sides of the train split.
        size: height and width of a shrunken film, in pixels.
        features: vectors to compare in place of pixels, by their angle: ``.npz`` or ``.safetensors`` with one vector for each
            study of train and test, under its study id.

    Raises:
        DataError: a film or the file of features cannot be read, or a study is not in it.
    """

    draws: ClassVar[bool] = False

    def __init__(self, train: Examples, *, size: Annotated[int, Field(ge=2, le=64)] = 32, features: Path | None = None) -> None:
        self._reports = tuple(target.report for target in train.targets)
        self._subjects = _subjects(train.inputs)
        self._vectors: Callable[[_Numbers], Vectors] = exposed if features is None else unit
        given = None if features is None else _Given(features)
        self._look: Callable[[Sequence[Inputs]], _Looks] = given or (lambda studies: _films(studies, size))
        self._train = self._look(train.inputs)

    def generate(self, inputs: Sequence[Inputs]) -> list[str]:
        """One train report a study.

        Raises:
            DataError: as above, or no train study of another subject has a film of one of a study's views.
        """
        asked = {place: (rows, self._vectors(looks)) for place, (rows, looks) in self._look(inputs).items()}
        subjects = _subjects(inputs)
        best = numpy.full(len(inputs), numpy.inf)
        chosen = numpy.zeros(len(inputs), dtype=numpy.int64)
        for start in range(0, len(self._reports), _CHUNK):
            others = self._subjects[start : start + _CHUNK]
            apart = self._apart(asked, len(inputs), start, len(others))
            apart[subjects[:, None] == others] = numpy.inf
            found, least = apart.argmin(axis=1), apart.min(axis=1)  # the first of equals
            nearer = least < best
            best[nearer], chosen[nearer] = least[nearer], start + found[nearer]
        for study, least in zip(inputs, best, strict=True):
            if not numpy.isfinite(least):
                what = f"floor nearest: study {study.study_id} has nothing to be compared with"
                raise DataError(what, expected="a train study of another subject with a film of one of its views")
        return [self._reports[place] for place in chosen]

    def _apart(self, asked: _Looks, count: int, start: int, others: int) -> Vectors:
        """Mean distances (count, others) to the train studies from ``start``; infinite where no view is shared."""
        total, shared = numpy.zeros((2, count, others))
        for place in asked.keys() & self._train.keys():  # sums of whole numbers: their order does not matter
            (rows, vectors), (columns, looks) = asked[place], self._train[place]
            part = slice(*numpy.searchsorted(columns, (start, start + others)))
            cells = numpy.ix_(rows, columns[part] - start)
            total[cells] += distances(vectors, self._vectors(looks[part]))
            shared[cells] += 1
        return numpy.where(shared > 0, total / numpy.maximum(shared, 1), numpy.inf)


def _subjects(studies: Sequence[Inputs]) -> _Numbers:
    return numpy.asarray([study.subject_id for study in studies], dtype=object)


def _films(studies: Sequence[Inputs], size: int) -> _Looks:
    rows: dict[tuple[str, int], list[int]] = {}
    films: dict[tuple[str, int], list[_Numbers]] = {}
    for row, study in enumerate(studies):
        for number, (path, view) in enumerate(zip(study.images, study.views, strict=True)):
            place = view, study.views[:number].count(view)
            rows.setdefault(place, []).append(row)
            films.setdefault(place, []).append(thumbnail(path, study.study_id, size))
    return {place: (numpy.asarray(rows[place]), numpy.stack(films[place])) for place in rows}


class _Given:
    """Vectors from a file, by study id."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if path.suffix == ".npz":
                with numpy.load(path, allow_pickle=False) as file:
                    self._vectors: Mapping[str, _Numbers] = dict(file)
            else:
                self._vectors = load_file(path)
        except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, SafetensorError, zipfile.BadZipFile) as error:
            expected = ".npz or .safetensors with one vector a study"
            raise DataError(f"floor nearest: features {path} cannot be read", got=error, expected=expected) from error

    def __call__(self, studies: Sequence[Inputs]) -> _Looks:
        shape = next(iter(self._vectors.values()), numpy.empty(0)).shape
        for study in studies:
            vector = self._vectors.get(study.study_id)
            if vector is None:
                raise DataError(f"floor nearest: features {self._path} lack study {study.study_id}")
            numeric = vector.dtype.kind in "fiu" and len(shape) == 1 and vector.size
            if not numeric or vector.shape != shape or not numpy.isfinite(vector).all():
                where = f"floor nearest: features {self._path}, study {study.study_id}"
                raise DataError(
                    where, got=f"{vector.dtype} {vector.shape}", expected="a vector of finite numbers, all of one length"
                )
        found = [self._vectors[study.study_id].astype(numpy.float64) for study in studies]
        return {("features", 0): (numpy.arange(len(studies)), numpy.stack(found))} if found else {}
