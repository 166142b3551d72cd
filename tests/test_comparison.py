"""Comparing rows: which rows a selector names, what is paired with what, what is refused, and that the numbers are the rows'."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from rrgbench.catalogue import Catalogue
from rrgbench.comparison import (
    Selection,
    compare,
    load_candidates,
    pair_rows,
    same_signatures,
    select,
    shown_values,
    write_deltas,
)
from rrgbench.errors import ConfigError, StoreError
from rrgbench.row import Row, write_row
from rrgbench.store import Store


def _beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"rrgbench_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec and spec.loader
    module = sys.modules.setdefault(f"rrgbench_{name}", importlib.util.module_from_spec(spec))
    if not hasattr(module, "Path"):
        spec.loader.exec_module(module)
    return module


toy = _beside("scored")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    found: Store = toy.store_at(tmp_path_factory.mktemp("compared"))
    return found


@pytest.fixture(scope="module")
def scored(store: Store, catalogue: Catalogue) -> Mapping[str, Row]:
    """A grid of four cells, a floor and a row from outside, of real scores."""
    source = toy.references(store)
    grid = {
        ("concat", "none"): (3, 5),
        ("concat", "bert"): (6, 9),
        ("gating", "none"): (3, 4),
        ("gating", "bert"): (7, 7),
    }
    found: dict[str, Row] = {}
    for number, ((fusion, text), (one, other)) in enumerate(grid.items()):
        runs = [toy.worse(one), toy.worse(other, 1)]
        row = toy.score_here(store, source, runs, catalogue, ("bleu", "rouge", "cider"))
        labels = {"fusion": fusion, "text": text}
        title = ", ".join(f"{axis}={label}" for axis, label in labels.items())
        changes = {"kind": "cell", "labels": labels, "title": title, "experiment": "grid", "id": f"{number}a{'0' * 22}"}
        found[title] = row.model_copy(update=changes)
    floor = toy.score_here(store, source, [toy.worse(2)], catalogue)
    found["constant"] = floor.model_copy(update={"kind": "floor", "title": "constant", "experiment": "grid", "id": "f" * 24})
    found["outside"] = toy.score_here(store, source, [toy.worse(5), toy.worse(5, 2)], catalogue)
    for path in (store.root / "rows").rglob("*.json"):
        path.unlink()
    for row in found.values():
        write_row(store, row)
    return found


def _titles(selection: Selection) -> list[str]:
    return sorted(row.title for row in selection.rows)


# Selecting.


@pytest.mark.parametrize(
    ("selector", "titles"),
    [
        ("1a0000000000000000000000", ["fusion=concat, text=bert"]),
        ("1a00", ["fusion=concat, text=bert"]),
        ("constant", ["constant"]),
        ("floor: constant", ["constant"]),
        ("fusion=concat, text=none (baseline)", ["fusion=concat, text=none"]),
        ("grid:constant", ["constant"]),
        ("external:outside", ["outside"]),
        ("fusion=concat, text=bert", ["fusion=concat, text=bert"]),
        ("fusion=concat,text=none", ["fusion=concat, text=none"]),
        ("text=none,fusion=concat", ["fusion=concat, text=none"]),
        ("text=null", ["fusion=concat, text=none", "fusion=gating, text=none"]),
        ("encoders.text=null", ["fusion=concat, text=none", "fusion=gating, text=none"]),
        ("encoders.text=bert, fusion=gating", ["fusion=gating, text=bert"]),
    ],
)
def test_a_selector_names_rows(selector: str, titles: list[str], scored: Mapping[str, Row], store: Store) -> None:
    assert _titles(select(load_candidates(store), selector, "A")) == titles


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("nobody", "A: no such row; got 'nobody'. Hint: known: "),
        ("constnt", "did you mean 'constant'?"),
        ("fusn=concat", "no row has the axis fusn. Hint: did you mean 'fusion'?"),
        ("fusion=concaat", "no row has fusion=concaat. Hint: did you mean 'concat'?"),
        ("fusion=", "A: no such row; got 'fusion='"),
        ("grid:nobody", "A: no such row"),
    ],
)
def test_a_selector_that_names_none_is_one_line(selector: str, wanted: str, scored: Mapping[str, Row], store: Store) -> None:
    with pytest.raises(ConfigError) as told:
        select(load_candidates(store), selector, "A")
    assert wanted in str(told.value)


def test_conditions_that_no_row_has_together_are_one_line(scored: Mapping[str, Row]) -> None:
    rows = [row for title, row in scored.items() if title != "fusion=gating, text=none"]
    with pytest.raises(ConfigError, match="no row has all of it"):
        select(rows, "fusion=gating,text=null", "A")


def test_a_name_of_several_rows_is_one_line(scored: Mapping[str, Row]) -> None:
    twin = scored["constant"].model_copy(update={"experiment": "other", "id": "e" * 24})
    with pytest.raises(
        ConfigError, match=r"'constant' names 2 rows; got ffffffffffff grid:constant \| eeeeeeeeeeee other:constant"
    ):
        select([*scored.values(), twin], "constant", "A")
    assert select([*scored.values(), twin], "other:constant", "A").rows == (twin,)


def test_a_cell_that_experiments_share_is_one_candidate_that_with_the_most_values(
    scored: Mapping[str, Row], store: Store, tmp_path: Path
) -> None:
    row = scored["fusion=concat, text=none"]
    few = row.model_copy(update={"experiment": "again", "values": {"rouge_l": row.values["rouge_l"]}})
    other = Store(tmp_path)
    for one in (few, row):
        write_row(other, one)
    assert load_candidates(other) == [row]
    assert load_candidates(other, "again") == [few]
    with pytest.raises(ConfigError, match="no rows of experiment nobody in"):
        load_candidates(other, "nobody")


# Pairing.


def _paired(scored: Mapping[str, Row], first: str, second: str) -> tuple[list[tuple[str, str]], list[str]]:
    rows = list(scored.values())
    found = pair_rows(select(rows, first, "A"), select(rows, second, "B"))
    return [(one.title, other.title) for one, other in found.pairs], [row.title for row in found.unpaired]


def test_rows_are_paired_by_the_axes_that_nobody_speaks_of(scored: Mapping[str, Row]) -> None:
    assert _paired(scored, "text=null", "text=bert") == (
        [("fusion=concat, text=none", "fusion=concat, text=bert"), ("fusion=gating, text=none", "fusion=gating, text=bert")],
        [],
    )
    assert _paired(scored, "fusion=gating,text=null", "fusion=concat,text=bert")[0] == [
        ("fusion=gating, text=none", "fusion=concat, text=bert")
    ]


def test_rows_without_a_partner_are_named(scored: Mapping[str, Row]) -> None:
    some = {title: row for title, row in scored.items() if title != "fusion=gating, text=bert"}
    assert _paired(some, "text=null", "text=bert") == (
        [("fusion=concat, text=none", "fusion=concat, text=bert")],
        ["fusion=gating, text=none"],
    )


def test_a_floor_goes_with_every_row(scored: Mapping[str, Row]) -> None:
    assert _paired(scored, "constant", "text=bert") == (
        [("constant", "fusion=concat, text=bert"), ("constant", "fusion=gating, text=bert")],
        [],
    )
    assert _paired(scored, "fusion=concat", "outside")[0] == [
        ("fusion=concat, text=none", "outside"),
        ("fusion=concat, text=bert", "outside"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ("constant", "constant", "both sides are the same row; got constant"),
        ("text=null", "text=none", "both sides are the same row"),
        ("fusion=concat", "text=bert", "'fusion=concat': rows that no axis tells apart"),
    ],
)
def test_sides_that_cannot_be_paired_are_one_line(first: str, second: str, wanted: str, scored: Mapping[str, Row]) -> None:
    with pytest.raises(ConfigError) as told:
        _paired(scored, first, second)
    assert wanted in str(told.value)


# Refusing.


def _signed(row: Row, **changes: Any) -> Row:
    """The row with another signature of every value."""
    values = {name: value.model_copy(update={"signature": {**value.signature, **changes}}) for name, value in row.values.items()}
    return row.model_copy(update={"values": values})


OTHER: dict[str, Any] = {
    "metric": "bleu of somebody else",
    "metric_version": "0",
    "metric_annotator": "another()@1",
    "protocol": "clean()@1",
    "references": "r2",
    "references_changed": True,
    "studies": "s2",
    "n": 7,
}


@pytest.mark.parametrize("field", OTHER)
def test_rows_whose_signatures_differ_are_refused_and_the_field_is_named(field: str, scored: Mapping[str, Row]) -> None:
    one, other = scored["fusion=concat, text=none"], scored["constant"]
    same_signatures([(one, other)], ["bleu_4"])
    ours = one.values["bleu_4"].signature.get(field)
    with pytest.raises(ConfigError) as told:
        same_signatures([(one, _signed(other, **{field: OTHER[field]}))], ["bleu_4"])
    line = str(told.value)
    assert (
        f"{one.title} and constant may not be compared: they differ in {field} (of bleu_4); got {ours} and {OTHER[field]}" in line
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dataset", "other"),
        ("dataset_options", {"studies": 3}),
        ("split", "validate"),
        ("n", 3),
        ("protocol", "clean"),
        ("protocol_options", {"lower": True}),
    ],
)
def test_rows_of_other_data_or_protocols_are_refused(field: str, value: Any, scored: Mapping[str, Row]) -> None:
    one, other = scored["fusion=concat, text=none"], scored["constant"]
    with pytest.raises(ConfigError) as told:
        same_signatures([(one, other.model_copy(update={field: value}))], ["bleu_4"])
    assert f"they differ in {field}; got {getattr(one, field)} and {value}" in str(told.value)


def test_only_the_values_that_are_shown_must_agree(scored: Mapping[str, Row]) -> None:
    one, other = scored["fusion=concat, text=none"], scored["constant"]
    bleu = other.values["bleu_4"]
    values = {**other.values, "bleu_4": bleu.model_copy(update={"signature": {**bleu.signature, "metric_version": "0"}})}
    changed = other.model_copy(update={"values": values})
    same_signatures([(one, changed)], ["rouge_l"])
    with pytest.raises(ConfigError, match="metric_version"):
        same_signatures([(one, changed)], ["rouge_l", "bleu_4"])


def test_every_pair_is_held_to_the_first(scored: Mapping[str, Row]) -> None:
    rows = list(scored.values())[:4]
    with pytest.raises(ConfigError, match="may not be compared"):
        same_signatures([(rows[0], rows[1]), (_signed(rows[2], n=9), _signed(rows[3], n=9))], ["bleu_4"])


def test_values_are_those_that_all_rows_have(scored: Mapping[str, Row]) -> None:
    pairs = [(scored["fusion=concat, text=none"], scored["constant"])]
    assert shown_values(pairs, None) == (["bleu_4", "bleu_1", "bleu_2", "bleu_3", "rouge_l"], ["cider"])
    assert shown_values(pairs, ["rouge_l"])[0] == ["rouge_l"]
    for asked, wanted in ((["cider"], "only some of the rows have it"), (["bleu_5"], "did you mean 'bleu_")):
        with pytest.raises(ConfigError) as told:
            shown_values(pairs, asked)
        assert wanted in str(told.value)
    bare = scored["constant"].model_copy(update={"values": {}})
    with pytest.raises(ConfigError, match="no value in common"):
        shown_values([(pairs[0][0], bare)], None)


def test_a_metric_whose_code_changed_is_refused(scored: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    one, other = scored["fusion=concat, text=none"], scored["constant"]
    old = one.model_copy(update={"metrics": {**one.metrics, "bleu": {**one.metrics["bleu"], "version": "0"}}})
    with pytest.raises(ConfigError, match=r"metric bleu: its code changed since row .* was scored: version; got 0; expected"):
        compare(store, catalogue, [(old, other)], ["bleu_4"])
    lost = one.model_copy(update={"metrics": {}})
    with pytest.raises(ConfigError, match="expected the identity of a metrics component"):
        compare(store, catalogue, [(lost, other)], ["bleu_4"])


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"inputs": ""}, "does not say who its subjects are"),
        ({"inputs": "0" * 64}, "cannot be read"),
        ({"scores": {}}, "scores of bleu; got 0 steps; expected 2, one a seed"),
        ({"scores": {"bleu": ["0" * 64, "1" * 64]}}, "DONE cannot be read"),
    ],
)
def test_what_is_not_in_the_store_is_one_line(
    changes: dict[str, Any], wanted: str, scored: Mapping[str, Row], store: Store, catalogue: Catalogue
) -> None:
    one = scored["fusion=concat, text=none"].model_copy(update=changes)
    with pytest.raises(StoreError) as told:
        compare(store, catalogue, [(one, scored["constant"])], ["bleu_4"])
    assert wanted in str(told.value)


# Comparing.


def test_the_numbers_are_the_rows(scored: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    none, bert = (select(list(scored.values()), f"text={label}", "A") for label in ("none", "bert"))
    pairs = pair_rows(none, bert).pairs
    names = shown_values(pairs, None)[0]
    found = compare(store, catalogue, pairs, names, resamples=200, deltas=True)
    assert [line.value for line in found.lines] == names
    for line in found.lines:
        sides = [[pair[place].values[line.value].value for pair in pairs] for place in (0, 1)]
        assert (line.first, line.second) == pytest.approx([np.mean(side) for side in sides])
        assert line.difference == pytest.approx(line.second - line.first)
        assert line.low is not None
        assert line.high is not None
        assert line.low <= line.difference <= line.high
        assert line.p is not None
        assert line.p_holm is not None
        assert 0 <= line.p <= line.p_holm <= 1
        assert line.p_systems is not None and 1 / 201 <= line.p_systems <= 1
    assert found.seeds_paired
    assert found.subjects == len(toy.REFERENCES)
    rouge = next(line for line in found.lines if line.value == "rouge_l")
    assert rouge.p_systems == 1 / 201, "fewer words are left out of every report"
    assert np.mean(found.deltas["rouge_l"][1]) == pytest.approx(rouge.second), "a mean over reports"


def test_the_other_way_round_is_the_same_with_another_sign(scored: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    one, other = scored["fusion=concat, text=none"], scored["fusion=concat, text=bert"]
    (there,) = compare(store, catalogue, [(one, other)], ["rouge_l"], resamples=200).lines
    (back,) = compare(store, catalogue, [(other, one)], ["rouge_l"], resamples=200).lines
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p == there.p


def test_seeds_are_sorted_before_they_are_paired(scored: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    one, other = scored["fusion=concat, text=none"], scored["fusion=concat, text=bert"]
    turned = other.model_copy(
        update={"seeds": other.seeds[::-1], "scores": {key: steps[::-1] for key, steps in other.scores.items()}}
    )
    assert compare(store, catalogue, [(one, turned)], ["rouge_l"], resamples=100) == compare(
        store, catalogue, [(one, other)], ["rouge_l"], resamples=100
    )


def test_seeds_that_are_not_the_same_are_drawn_apart(scored: Mapping[str, Row], store: Store, catalogue: Catalogue) -> None:
    cell = scored["fusion=concat, text=none"]
    for other in (scored["constant"], scored["outside"], cell.model_copy(update={"seeds": [5, 6], "id": "other"})):
        found = compare(store, catalogue, [(cell, other)], ["rouge_l"], resamples=100)
        assert not found.seeds_paired


def test_deltas_are_one_line_a_study(scored: Mapping[str, Row], store: Store, catalogue: Catalogue, tmp_path: Path) -> None:
    pairs = [(scored["fusion=concat, text=none"], scored["fusion=concat, text=bert"])]
    found = compare(store, catalogue, pairs, ["rouge_l", "cider"], resamples=100, deltas=True)
    write_deltas(tmp_path / "deltas.csv", found)
    with (tmp_path / "deltas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["study_id"] for row in rows] == list(toy.REFERENCES)
    assert list(rows[0])[:5] == ["study_id", "subject_id", "rouge_l.a", "rouge_l.b", "rouge_l.delta"]
    for line in found.lines:
        assert np.mean([float(row[f"{line.value}.delta"]) for row in rows]) == pytest.approx(line.difference)


# The command.


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Store, scored: Any) -> Any:
    def run(*arguments: object) -> tuple[int, str, str]:
        from rrgbench.cli import main

        monkeypatch.setenv("RRGBENCH_NO_PLUGIN_COMMANDS", "1")
        monkeypatch.setattr(sys, "argv", ["rrgbench", *map(str, arguments), "--store", str(store.root)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def test_the_command_prints_a_table_or_json(command: Any, tmp_path: Path) -> None:
    code, out, err = command("compare", "encoders.text=null", "encoders.text=bert", "--resamples", 100)
    assert (code, err) == (0, "")
    assert "reference-file test, 24 studies of 24 subjects, protocol raw" in out
    assert "A: fusion=concat, text=none (seeds 0, 1) | fusion=gating, text=none (seeds 0, 1)" in out
    assert "seeds are paired" in out
    _, out, _ = command("compare", "constant", "outside", "--resamples", 100)
    assert "seeds do not belong together" in out
    code, out, err = command(
        "compare", "constant", "fusion=concat,text=bert", "--resamples", 100, "--json", "--deltas", tmp_path / "d.csv"
    )
    assert code == 0
    told = json.loads(out)
    assert [line["value"] for line in told["values"]] == ["bleu_4", "bleu_1", "bleu_2", "bleu_3", "rouge_l"]
    assert told["not_compared"] == ["cider"]
    assert told["seeds_paired"] is False
    assert err.startswith("warning: ")
    assert "its licence goes with it" in err
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 25


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["constant", "nobody"], "error: B: no such row; got 'nobody'"),
        (["constant", "outside", "--values", "bleu_9"], "error: --values; got bleu_9"),
        (["constant", "outside", "--experiment", "nothing"], "error: no rows of experiment nothing"),
        (["constant", "constant"], "error: both sides are the same row"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(arguments: list[str], wanted: str, command: Any) -> None:
    code, out, err = command("compare", *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith(wanted)


def test_a_value_without_resamples_has_no_interval(store: Store, catalogue: Catalogue, tmp_path: Path) -> None:
    other: Store = toy.store_at(tmp_path)
    source = toy.references(other)
    rows = [toy.score_here(other, source, [toy.worse(every)], catalogue, ["bleu"]) for every in (3, 4)]
    assert rows[0].values["bleu_4"].low is not None

    class Fixed:
        values, resampled = {"bleu_4": "higher"}, False

        def aggregate(self, statistics: Any) -> Mapping[str, float]:
            return {"bleu_4": float(statistics.sum())}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rrgbench.comparison._metric", lambda *given: Fixed())
        (line,) = compare(other, catalogue, [(rows[0], rows[1])], ["bleu_4"], deltas=True).lines
    assert (line.low, line.high, line.p, line.p_holm) == (None, None, None, None)
    assert line.difference != 0
