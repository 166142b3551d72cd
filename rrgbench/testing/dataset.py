"""What every data set must be."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

from PIL import Image

from rrgbench.interfaces import Dataset
from rrgbench.testing.building import built, component_name, saying
from rrgbench.types import SPLITS, VIEWS, Inputs, License, Split, Targets

_LEAK_WORDS = 8
"""A report at least so long that stands whole in the context of its study is no coincidence."""


class DatasetContract:
    """Subclass it and set ``component`` (and ``root``, where it reads a folder; ``options``: a small one).

    The data set is made once a class, and its films stay in a temporary folder until the class is gone.
    """

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}
    root: ClassVar[Path | None] = None

    def _fresh(self) -> tuple[Dataset, Any]:
        folder = tempfile.TemporaryDirectory(prefix="rrgbench-contract-")
        values = {"cache_dir": Path(folder.name), **({} if self.root is None else {"root": self.root})}
        made: Dataset = built(type(self).component, values, self.options)
        return made, folder

    def _made(self) -> Dataset:
        cls = type(self)
        if "_held" not in vars(cls):
            cls._held = self._fresh()
        return cls._held[0]

    _held: ClassVar[tuple[Dataset, Any]]

    @property
    def _splits(self) -> tuple[Split, ...]:
        """Those it has; a benchmark may have test alone."""
        return tuple(getattr(self._made(), "splits", SPLITS))

    def _inputs(self) -> Iterator[tuple[Split, Inputs]]:
        for split in self._splits:
            with saying(f"{self._name}.inputs({split!r})"):
                yield from ((split, one) for one in self._made().inputs(split))

    def _targets(self, split: Split) -> list[Targets]:
        with saying(f"{self._name}.targets({split!r})"):
            return list(self._made().targets(split))

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    def test_its_license_is_known(self) -> None:
        """``license`` is readable on the factory."""
        license_ = getattr(type(self).component, "license", None)
        assert license_ in get_args(License), f"{self._name}.license is {license_!r}, not one of {get_args(License)}"

    def test_inputs_and_targets_go_together(self) -> None:
        """No split is empty, test is there, and both sides have the same studies in the same order."""
        assert "test" in self._splits, f"{self._name} has no test split"
        for split in self._splits:
            left = [one.study_id for name, one in self._inputs() if name == split]
            right = [one.study_id for one in self._targets(split)]
            assert left, f"{self._name}: the split {split} is empty"
            assert left == right, f"{self._name}: inputs and targets of {split} are not the same studies in the same order"

    def test_study_ids_are_unique(self) -> None:
        """Over all splits."""
        ids = [one.study_id for _, one in self._inputs()]
        double = sorted({one for one in ids if ids.count(one) > 1}) if len(set(ids)) < len(ids) else []
        assert not double, f"{self._name}: studies occur twice: {', '.join(double[:5])}"

    def test_no_subject_crosses_splits(self) -> None:
        """What is learnt about a subject in train is no skill in test."""
        seen: dict[str, Split] = {}
        for split, one in self._inputs():
            other = seen.setdefault(one.subject_id, split)
            assert other == split, f"{self._name}: subject {one.subject_id} is in {other} and in {split}"

    def test_films_can_be_opened_and_views_are_known(self) -> None:
        """Every study has films, one view a film; the first film of every split opens."""
        opened: set[Split] = set()
        for split, one in self._inputs():
            assert one.images, f"{self._name}: study {one.study_id} has no film"
            same = len(one.images) == len(one.views)
            assert same, f"{self._name}: study {one.study_id} has {len(one.images)} films and {len(one.views)} views"
            unknown = [view for view in one.views if view not in VIEWS]
            assert not unknown, f"{self._name}: study {one.study_id} has views {unknown}, not of {VIEWS}"
            missing = [path for path in one.images if not Path(path).is_file()]
            assert not missing, f"{self._name}: study {one.study_id}: {missing[0]} is no file"
            if split not in opened:
                opened.add(split)
                with saying(f"opening {one.images[0]}"), Image.open(one.images[0]) as film:
                    film.load()

    def test_reports_are_texts_and_labels_are_zero_or_one(self) -> None:
        """No report is empty, and all studies have the same labels."""
        names: set[tuple[str, ...] | None] = set()
        for split in self._splits:
            for one in self._targets(split):
                written = isinstance(one.report, str) and one.report.strip()
                assert written, f"{self._name}: study {one.study_id} has an empty report"
                wrong = {k: v for k, v in (one.labels or {}).items() if v not in (0, 1)}
                assert not wrong, f"{self._name}: study {one.study_id} has labels {wrong}, not 0 or 1"
                names.add(None if one.labels is None else tuple(one.labels))
        assert len(names) == 1, f"{self._name}: studies have different labels: {sorted(map(str, names))[:3]}"

    def test_no_context_holds_the_report(self) -> None:
        """The inputs of a study never say what its report says."""
        contexts = {one.study_id: " ".join(re.findall(r"\w+", one.context.lower())) for _, one in self._inputs()}
        for split in self._splits:
            for one in self._targets(split):
                words = re.findall(r"\w+", one.report.lower())
                leaks = len(words) >= _LEAK_WORDS and " ".join(words) in contexts[one.study_id]
                assert not leaks, f"{self._name}: the context of study {one.study_id} holds its report"

    def test_its_sources_are_files(self) -> None:
        """What it depends on besides the films."""
        with saying(f"{self._name}.sources()"):
            sources = list(self._made().sources())
        missing = [path for path in sources if not Path(path).is_file()]
        assert not missing, f"{self._name}.sources() names {missing[0]}, which is no file"

    def test_it_is_made_the_same_twice(self) -> None:
        """The same studies with the same films, byte by byte for the first ones, from another folder too."""
        first, (second, folder) = self._made(), self._fresh()
        with folder:
            for split in self._splits:
                same = list(first.targets(split)) == list(second.targets(split))
                assert same, f"{self._name}: the targets of {split} are not the same twice"
                for one, other in zip(first.inputs(split), second.inputs(split), strict=True):
                    kept = (one.study_id, one.subject_id, one.views, one.context, one.prior_ids)
                    again = (other.study_id, other.subject_id, other.views, other.context, other.prior_ids)
                    assert kept == again, f"{self._name}: the inputs of study {one.study_id} are not the same twice"
                pair = (first.inputs(split)[0].images[0], second.inputs(split)[0].images[0])
                assert pair[0].read_bytes() == pair[1].read_bytes(), f"{self._name}: the films of {split} are not the same twice"
