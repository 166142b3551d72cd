"""Planted truths: every claim speaks of an experiment that can be planned, and the checker tells a miss from what is kept."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rrgbench import comparison
from rrgbench.catalogue import Catalogue
from rrgbench.errors import ConfigError
from rrgbench.experiment import Experiment
from rrgbench.experiment.yaml import dump_yaml
from rrgbench.plan import Plan, make_plan
from rrgbench.row import Row
from rrgbench.store import Store

HERE = Path(__file__).parent
FOLDER = HERE.parent / "experiments" / "truths"


def _module(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = sys.modules.setdefault(name, importlib.util.module_from_spec(spec))
    if not hasattr(module, "Path"):
        spec.loader.exec_module(module)
    return module


truths = _module(FOLDER / "run.py", "truths")
toy = _module(HERE / "scored.py", "rrgbench_scored")
CLAIMS = truths.load_claims()


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("planned"))
    store.create()
    return store


def _plan(name: str, catalogue: Catalogue, store: Store) -> Plan:
    small = ["base.dataset.studies=30", "base.dataset.size=32"]
    return make_plan(Experiment.load(FOLDER / f"{name}.yaml", small).resolve(catalogue), store)


def test_every_experiment_has_claims() -> None:
    assert sorted(CLAIMS) == sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "claims")
    assert all(claims for claims in CLAIMS.values())


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_speak_of_rows_values_and_stages_that_are_planned(name: str, catalogue: Catalogue, place: Store) -> None:
    plan = _plan(name, catalogue, place)
    assert plan.experiment.name == f"truth_{name}"
    rows: Any = [
        SimpleNamespace(id=row.id, title=row.title, labels=row.labels, experiment=plan.experiment.name) for row in plan.rows
    ]
    values = {value for row in plan.rows for names in row.names.values() for value in names.values()}
    for claim in CLAIMS[name]:
        sides = [claim.row] if isinstance(claim, truths.Rejections) else [claim.a, claim.b]
        assert [len(comparison.select(rows, selector, "side").rows) for selector in sides] == [1] * len(sides)
        if isinstance(claim, truths.Seconds):
            assert any(step.title.startswith(f"train {claim.stage} ") for step in plan.steps.values())
        else:
            assert claim.value in values


# The checker, on rows whose truth is known.


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found: Store = toy.store_at(tmp_path_factory.mktemp("checked"))
    return found


@pytest.fixture(scope="module")
def rows(store: Store, catalogue: Catalogue) -> Mapping[str, Row]:
    """Two systems, the second much worse, and eight runs of one: four that are alike, then four that are not."""
    source = toy.references(store)

    def row(title: str, *runs: Any) -> Row:
        made: Row = toy.score_here(store, source, list(runs), catalogue, ("bleu",))
        return made.model_copy(update={"title": title, "experiment": "toy", "id": title * 24, "kind": "cell"})

    return {
        "a": row("a", toy.worse(9), toy.worse(9, 1)),
        "b": row("b", toy.worse(3), toy.worse(3, 1)),
        "c": row("c", *(toy.worse(9, shift) for shift in (0, 0, 1, 1)), *(toy.worse(each) for each in (9, 3, 9, 3))),
    }


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({"above": 0.0}, True),
        ({"below": 0.0}, False),
        ({"above": -0.02, "below": 0.02}, False),
        ({"above": 0.9}, False),
        ({}, True),
        ({"ratio": True, "above": 1.0}, True),
        ({"ratio": True, "below": 1.0}, False),
    ],
)
def test_a_planted_difference_is_kept_or_missed(
    limits: dict[str, Any], kept: bool, rows: Mapping[str, Row], store: Store, catalogue: Catalogue
) -> None:
    claim = truths.Difference(claim="toy", a="b", b="a", value="bleu_4", **limits)
    (verdict,) = truths.check([claim], [rows["a"], rows["b"]], Any, store, catalogue)
    assert verdict.kept == kept
    assert verdict.found == pytest.approx(
        verdict.first and (verdict.second / verdict.first if claim.ratio else verdict.second - verdict.first)
    )


def test_a_system_beside_itself_is_no_difference(rows: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    twin = rows["a"].model_copy(update={"title": "twin", "id": "t" * 24})
    claims = [
        truths.Difference(claim="toy", a="a", b="twin", value="bleu_4", above=-0.01, below=0.01),
        truths.Difference(claim="toy", a="a", b="twin", value="bleu_4", above=0.0),
    ]
    verdicts = truths.check(claims, [rows["a"], twin], Any, store, catalogue)
    assert [one.kept for one in verdicts] == [True, False]


def test_a_limit_is_outside_and_the_whole_interval_counts() -> None:
    band = truths.Between(claim="toy", above=-0.1, below=0.1)
    assert band.holds(-0.05, 0.05)
    assert not any(band.holds(*interval) for interval in ((-0.1, 0.0), (0.0, 0.1), (-0.2, 0.05), (0.05, 0.2)))


def test_disjoint_pairs_use_each_seed_once(rows: Mapping[str, Row]) -> None:
    row = rows["c"]
    for runs, pairs in ((1, 4), (2, 2), (3, 1), (4, 1)):
        found = truths.disjoint_pairs(row, runs)
        used = [seed for pair in found for side in pair for seed in side.seeds]
        assert len(found) == pairs
        assert used == row.seeds[: 2 * runs * pairs]
        assert all(len(side.scores["bleu"]) == runs for pair in found for side in pair)
        values = [value for pair in found for side in pair for value in side.values["bleu_4"].seeds]
        assert values == row.values["bleu_4"].seeds[: 2 * runs * pairs]


def test_rejections_are_counted_against_what_chance_gives(rows: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    """Of four pairs two differ: more than one of four, which is the most that chance gives at .05."""
    claims = [
        truths.Rejections(claim="toy", row="c", value="bleu_4", by=by, told=told)
        for by in ("systems", "interval")
        for told in (False, True)
    ]
    verdicts = truths.check(claims, [rows["c"]], Any, store, catalogue)
    assert [(one.found, one.low, one.high, one.kept) for one in verdicts] == [(2, 0, 1, False), (2, 0, 1, True)] * 2


def test_trainings_that_differ_as_much_within_a_side_as_between_are_not_told_apart(
    rows: Mapping[str, Row], store: Store, catalogue: Catalogue
) -> None:
    """Of the toy's seeds two of four pairs differ as systems; two trainings a side say that methods do not."""
    claim = truths.Rejections(claim="toy", row="c", value="bleu_4", runs=2)
    (verdict,) = truths.check([claim], [rows["c"]], Any, store, catalogue)
    assert (verdict.found, verdict.kept) == (0, True)
    with pytest.raises(ConfigError, match="1 training a side; expected runs: 2 or more"):
        truths.check([truths.Rejections(claim="toy", row="c", value="bleu_4")], [rows["c"]], Any, store, catalogue)


def test_nominal_rates_are_binomial() -> None:
    low, high = truths.nominal(40, 0.05)
    chance = [math.comb(40, k) * 0.05**k * 0.95 ** (40 - k) for k in range(41)]
    assert (low, high) == (0, 5)
    assert sum(chance[: high + 1]) >= 0.975 > sum(chance[:high])


def test_a_ratio_of_seconds_has_students_interval() -> None:
    """Logarithms 1, 2, 3: mean 2, standard error 1 / sqrt(3), and 4.302653 of them."""
    ratio, low, high = truths.ratio_interval(np.exp([2.0, 3.0, 4.0]), np.exp([1.0, 1.0, 1.0]))
    half = 4.302653 / math.sqrt(3)
    assert (math.log(ratio), math.log(low), math.log(high)) == pytest.approx((2.0, 2.0 - half, 2.0 + half), rel=1e-6)


def test_a_wrong_claim_is_told(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(dump_yaml({"text": [{"claim": "x", "a": "a", "b": "b", "value": "bleu_4", "over": 0.1}]}))
    with pytest.raises(Exception, match=r"claims.yaml: text: 1.*over"):
        truths.load_claims(path)
