"""What every floor must be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from rrgbench.testing.building import built, component_name, saying
from rrgbench.testing.protocols import LowerCase
from rrgbench.testing.toys import ToyDataset, toy_values
from rrgbench.types import Examples, Inputs, Split

_SEEDS = range(8)


class FloorContract:
    """Subclass it and set ``component``. The toys have films, in a folder that lives as long as a check."""

    component: ClassVar[Any]
    options: ClassVar[Mapping[str, Any]] = {}

    @property
    def _name(self) -> str:
        return component_name(type(self).component)

    @contextmanager
    def _toys(self) -> Iterator[tuple[dict[str, Any], Sequence[Inputs]]]:
        """Platform values, and the studies to write for."""
        with tempfile.TemporaryDirectory() as folder:
            data = ToyDataset(Path(folder), studies=12)

            def sides(split: Split) -> Examples:
                return Examples(tuple(data.inputs(split)), tuple(data.targets(split)))

            train = sides("train")
            reports = tuple(target.report for target in train.targets)
            more = {"train": train, "train_reports": reports, "validate": sides("validate"), "protocol": LowerCase()}
            yield toy_values(**more), data.inputs("test")

    def _reports(self, floor: Any, inputs: Sequence[Inputs]) -> list[str]:
        with saying(f"{self._name}.generate"):
            reports = list(floor.generate(inputs))
        assert len(reports) == len(inputs), f"{self._name}.generate gives {len(reports)} reports for {len(inputs)} studies"
        wrong = [report for report in reports if not isinstance(report, str)]
        assert not wrong, f"{self._name}.generate gives {type(wrong[0]).__name__}, not str"
        return reports

    def _made(self, values: Mapping[str, Any], seed: int = 0) -> Any:
        return built(type(self).component, {**values, "seed": seed}, self.options)

    def test_a_plan_can_read_whether_it_draws(self) -> None:
        """``draws`` is readable on the factory."""
        draws = getattr(type(self).component, "draws", None)
        assert isinstance(draws, bool), f"{self._name}.draws is {draws!r}, not a bool"

    def test_every_study_gets_a_report(self) -> None:
        """One text a study, for one study and for none too."""
        with self._toys() as (values, inputs):
            floor = self._made(values)
            for number in (len(inputs), 1, 0):
                self._reports(floor, inputs[:number])

    def test_it_is_deterministic(self) -> None:
        """The same seed, the same reports, by another object too."""
        with self._toys() as (values, inputs):
            first, second = self._made(values), self._made(values)
            reports = self._reports(first, inputs)
            same = reports == self._reports(second, inputs) == self._reports(first, inputs)
            assert same, f"{self._name} is not deterministic"

    def test_a_study_gets_its_report_in_any_company(self) -> None:
        """The order of studies and the others beside one do not matter."""
        with self._toys() as (values, inputs):
            floor = self._made(values)
            reports = self._reports(floor, inputs)
            turned = self._reports(floor, inputs[::-1])[::-1]
            assert turned == reports, f"{self._name} depends on the order of studies"
            alone = [self._reports(floor, [study])[0] for study in inputs]
            assert alone == reports, f"{self._name} writes something else for a study alone"

    def test_it_draws_where_it_says_so(self) -> None:
        """Reports depend on the seed if and only if ``draws``."""
        with self._toys() as (values, inputs):
            found = {tuple(self._reports(self._made(values, seed), inputs)) for seed in _SEEDS}
        draws = type(self).component.draws
        if draws:
            assert len(found) > 1, f"{self._name}.draws is True, and {len(_SEEDS)} seeds give the same reports"
        else:
            assert len(found) == 1, f"{self._name}.draws is False, and its reports depend on the seed"
