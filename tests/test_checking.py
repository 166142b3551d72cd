"""`rrgbench data check`: the numbers of a data set, what they mean, and what may never be shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rrgbench import SPLITS, Count, DataError, Inputs, ManyErrors, Split, Targets
from rrgbench.checking import Checked, Finding, child, films
from rrgbench.checking.findings import from_errors, from_numbers
from rrgbench.checking.numbers import Pairs, numbers
from rrgbench.cli.checked import print_checked

LONG = "The heart is normal and the lungs are clear today."


def pair(
    name: str,
    report: str = LONG,
    context: str = "Cough.",
    subject: str = "",
    views: Sequence[str] = ("frontal",),
    labels: dict[str, int] | None = None,
    priors: tuple[str, ...] = (),
    images: Sequence[Path] = (),
) -> tuple[Inputs, Targets]:
    paths = tuple(images) or tuple(Path(f"/films/{name}-{place}.png") for place in range(len(views)))
    return Inputs(name, subject or name, paths, tuple(views), context, priors), Targets(name, report, labels)


def three(train: Sequence[Any] = (), validate: Sequence[Any] = (), test: Sequence[Any] = ()) -> Pairs:
    return {"train": train or [pair("a")], "validate": validate or [pair("b")], "test": test or [pair("c")]}


def said(pairs: Pairs) -> list[str]:
    return [finding.what for finding in from_numbers(numbers(pairs))]


def test_sizes_views_labels_and_lengths_are_counted() -> None:
    studies = [
        pair("1", "One two three.", "", "s", ("frontal", "lateral"), {"edema": 1, "mass": 0}),
        pair("2", "One two three.", "Cough and ___.", "s", ("unknown",), {"edema": 1, "mass": 0}, ("1",)),
        pair("3", "XXXX two three four five.", "Pain", "t", ("frontal",), {"edema": 0, "mass": 0}, ("9",)),
    ]
    one = numbers(three(train=studies))["train"]
    assert (one.studies, one.subjects, one.images) == (3, 2, 4)
    assert one.views == {"unknown": 1, "frontal": 2, "lateral": 1}
    assert one.labels == {"edema": 2, "mass": 0}
    assert one.reports.words == {"min": 3, "5 %": 3, "median": 3, "95 %": 5, "max": 5}
    assert one.reports.placeholders == {"XXXX": 1, "___": 0}
    assert (one.contexts.empty, one.contexts.words["max"], one.contexts.placeholders["___"]) == (1, 3, 1)
    assert (one.distinct, one.commonest, one.in_train) == (2, 2, 0)
    assert (one.with_prior, one.unknown_priors) == (2, 1)


def test_reports_that_train_has_are_counted_in_the_other_splits() -> None:
    found = numbers(three(train=[pair("a", "Same."), pair("b", "Other.")], test=[pair("c", "Same."), pair("d", "New.")]))
    assert [found[split].in_train for split in SPLITS] == [0, 0, 1]


def test_a_context_that_holds_its_report_is_a_leak_unless_an_earlier_study_had_it() -> None:
    context = f"INDICATION: cough. PRIOR REPORT: {LONG.upper()}"
    leaking = numbers(three(test=[pair("c", context=context)]))
    assert leaking["test"].leaks == 1
    known = numbers(three(test=[pair("c", subject="s"), pair("d", subject="s", context=context, priors=("c",))]))
    assert known["test"].leaks == 0
    short = numbers(three(test=[pair("c", "Normal heart.", "Normal heart.")]))
    assert short["test"].leaks == 0


def test_many_leaks_are_an_error_and_a_single_one_a_warning() -> None:
    few = from_numbers(numbers(three(test=[pair("c", context=LONG)])))
    many = from_numbers(numbers(three(test=[pair("c", context=LONG), pair("d", context=LONG)])))
    levels = [[one.level for one in found if "hold the report of their own study" in one.what] for found in (few, many)]
    assert levels == [["warning"], ["error"]]


@pytest.mark.parametrize(
    ("pairs", "what"),
    [
        (three(test=[pair("c", "Heart AXXXX is normal.")]), "reports hold XXXX where something was taken out: test 1 of 1"),
        (three(train=[pair("a", "A ___ year.")]), "reports hold ___ where something was taken out: train 1 of 1"),
        (three(), "reports stand word for word in train: validate 1 of 1, test 1 of 1"),
        (three(test=[pair("c", "Normal.")]), "the shortest report has at most 2 words in test"),
        (three(), "few studies: validate 1, test 1"),
        (three(train=[pair("a", views=("unknown",))]), ""),
        (
            three([pair("a", views=("unknown",))], [pair("b", views=("unknown",))], [pair("c", views=("unknown",))]),
            "no film has a known view",
        ),
        (three([pair("a", context="")], [pair("b", context="")], [pair("c", context=" ")]), "no study has a context"),
        (three(test=[pair("c", priors=("z",))]), "studies name an earlier study that the data set does not have: test 1 of 1"),
        (
            three([pair("a", labels={"mass": 1})], [pair("b", labels={"mass": 1})], [pair("c", labels={"mass": 0})]),
            "test: no study has mass",
        ),
    ],
)
def test_what_numbers_mean_is_told_with_a_repair(pairs: Pairs, what: str) -> None:
    found = list(from_numbers(numbers(pairs)))
    assert all(one.repair for one in found)
    if what:
        assert what in [one.what for one in found]
    else:
        assert not any("known view" in one.what for one in found)


def test_a_data_set_without_anything_odd_has_no_findings() -> None:
    def many(split: str) -> list[Any]:
        return [pair(f"{split}{n}", f"Report {n} of {split} is long enough.", labels={"mass": n % 2}) for n in range(60)]

    assert said({split: many(split) for split in SPLITS}) == []


def test_mistakes_become_findings_and_their_hints_repairs() -> None:
    errors = ManyErrors([DataError("a.csv: line 2", got="x", expected="y", hint="write y"), DataError("b.csv is empty")])
    first, second = from_errors(errors)
    assert first == Finding(level="error", what="a.csv: line 2; got x; expected y", repair="write y")
    assert second.level == "error" and second.repair


def image(path: Path, size: tuple[int, int] = (8, 8), value: int = 7) -> Path:
    Image.new("L", size, value).save(path)
    return path


def test_films_are_all_opened_and_the_broken_and_the_copied_told(tmp_path: Path) -> None:
    good, copy, wide = image(tmp_path / "a.png"), image(tmp_path / "b.png"), image(tmp_path / "c.png", (20, 10))
    broken = tmp_path / "d.png"
    broken.write_bytes(good.read_bytes()[:40])
    pairs = three([pair("1", images=[good]), pair("2", images=[broken])], [pair("3", images=[wide])], [pair("4", images=[copy])])
    ticks: list[tuple[int, int]] = []
    seen, findings = films.look(pairs, lambda done, total: ticks.append((done, total)))
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (seen.opened, seen.unreadable, seen.smallest, seen.largest, seen.modes) == (3, 1, (8, 8), (20, 10), {"L": 3})
    assert (seen.copies, seen.crossing) == (1, 1)
    assert [one.level for one in findings] == ["error", "warning"]
    assert f"film {broken} of study 2 cannot be read" in findings[0].what
    assert "a.png of 1 (train) and b.png of 4 (test)" in findings[1].what


def test_of_many_broken_films_twenty_are_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(30)]
    for path in paths:
        path.write_bytes(b"no image")
    seen, findings = films.look(three([pair("1", views=["frontal"] * 30, images=paths)]), lambda done, total: None)
    assert seen.unreadable == 32  # two of three() are not there at all
    assert len(findings) == 21 and findings[-1].what == "12 more films cannot be read"


def test_mistakes_of_many_studies_are_collected_and_the_others_still_counted(tmp_path: Path) -> None:
    film = image(tmp_path / "a.png")
    right = [pair(f"{split}", images=[film]) for split in SPLITS]
    wrong = [
        pair("x", report=" ", images=[film]),
        pair("y", images=[tmp_path / "no.png"]),
        pair("z", views=("up",), images=[film]),
    ]
    sides: dict[Split, Any] = {split: ((one[0],), (one[1],)) for split, one in zip(SPLITS, right, strict=True)}
    sides["train"] = tuple(zip(*[right[0], *wrong], strict=True))
    sound, findings = child._check("toy", sides)
    assert [len(sound[split]) for split in SPLITS] == [1, 1, 1]
    assert [
        any(word in one.what for one in findings) for word in ("study x has an empty report", "no such image", "view; got 'up'")
    ]
    assert len(findings) == 3


def test_an_empty_split_a_study_twice_and_a_subject_in_two_splits_are_errors(tmp_path: Path) -> None:
    film = image(tmp_path / "a.png")
    one, other = pair("1", subject="s", images=[film]), pair("2", subject="s", images=[film])
    sides: dict[Split, Any] = {
        "train": ((one[0], one[0]), (one[1], one[1])),
        "validate": ((), ()),
        "test": ((other[0],), (other[1],)),
    }
    sound, findings = child._check("toy", sides)
    assert [one.what.partition(";")[0] for one in findings] == [
        "data set toy, split train: study 1 stands twice",
        "data set toy, split validate is empty",
    ]
    assert [one.what for one in child._crossing(sound)] == ["subject s is in train and test"]


def test_what_is_shown_holds_numbers_and_repairs_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    checked = Checked(
        name="toy",
        license="credentialed",
        folder="/data/[bold]toy",
        rules=(Count("with [red]findings", 3, 4),),
        splits=numbers(three()),
        findings=(Finding(level="error", what="a\x1b[31m film", repair="fetch it"),),
    )
    print_checked(checked)
    out = capsys.readouterr().out
    assert "[bold]toy" in out and "with [red]findings" in out and "\x1b[31m" not in out
    assert "error: a?[31m film. Repair: fetch it" in out
    assert "NOT RIGHT: 1 thing to repair; 0 warnings" in out
    assert LONG not in out and "Cough" not in out


# Through the shell.


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of invented studies that is right."""
    root = tmp_path_factory.mktemp("data") / "table"
    root.mkdir()
    rows = ["study_id,subject_id,split,images,report,context"]
    for number in range(12):
        split = "train" if number < 8 else "validate" if number < 10 else "test"
        image(root / f"{number}.png", value=number)
        rows.append(f"{number},s{number},{split},{number}.png,Invented sentence number {number} is secret.,Whisper {number}")
    (root / "table.csv").write_text("\n".join(rows) + "\n")
    return root


CONTEXT = "columns.context=context"


@pytest.mark.heavy
def test_a_right_data_set_ends_with_exit_0_and_shows_no_text(table: Path, shell: Callable[..., Any]) -> None:
    ran = shell("data", "check", "table", "--root", table, "--set", CONTEXT)
    assert ran.code == 0, ran.err
    assert "RIGHT: a run can read it" in ran.out and "films opened: 12" in ran.out
    assert "in the table" in ran.out and "without context" in ran.out
    assert "secret" not in ran.out + ran.err and "Whisper" not in ran.out + ran.err


@pytest.mark.heavy
def test_json_is_nothing_but_json_and_says_the_same(table: Path, shell: Callable[..., Any]) -> None:
    ran = shell("data", "check", "table", "--json", "--no-films", "--set", CONTEXT, env={"RRGBENCH_DATA": str(table.parent)})
    told = ran.json
    assert (ran.code, ran.err, told["is_right"], told["films"]) == (0, "", True, None)
    assert {split: one["studies"] for split, one in told["splits"].items()} == {"train": 8, "validate": 2, "test": 2}
    assert told["rules"] == [{"rule": "in the table", "studies": 12, "images": 12}]
    assert told["license"] == "credentialed" and "secret" not in ran.out and "Whisper" not in ran.out


@pytest.mark.heavy
def test_what_must_be_repaired_is_told_together_with_exit_2(table: Path, tmp_path: Path, shell: Callable[..., Any]) -> None:
    root = tmp_path / "table"
    shutil.copytree(table, root)
    (root / "3.png").write_bytes(b"no film")
    (root / "5.png").write_bytes((root / "11.png").read_bytes())
    ran = shell("data", "check", "table", "--root", root, "--set", CONTEXT)
    assert (ran.code, "Traceback" in ran.err) == (2, False)
    assert "error: film " in ran.out and "3.png of study 3 cannot be read" in ran.out
    assert "1 films stand in two splits" in ran.out and "NOT RIGHT: 1 thing to repair" in ran.out
    text = (root / "table.csv").read_text()
    (root / "table.csv").write_text(text.replace(",train,", ",trein,", 2))
    ran = shell("data", "check", "table", "--root", root, "--json")
    findings = json.loads(ran.out)["findings"]
    assert ran.code == 2 and len(findings) == 2
    assert all("field split; got 'trein'" in one["what"] and "split_names" in one["repair"] for one in findings)


@pytest.mark.heavy
def test_wrong_options_and_names_are_one_line(table: Path, tmp_path: Path, shell: Callable[..., Any]) -> None:
    for arguments, words in (
        (("nothing",), "no datasets component of that name"),
        (("table", "--root", table, "--set", "row=page"), "row"),
        (("table", "--root", table, "--set", "columns.film=x"), "option columns.film: no such field"),
        (("table", "--root", table, "--set", "root=x"), "--root gives the folder"),
        (("table", "--root", tmp_path / "no"), "no such folder"),
    ):
        ran = shell("data", "check", *arguments)
        assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
        assert words in ran.err and ran.out == ""


BAD = """
import rrgbench

class Bad:
    license = "open"
    def inputs(self, split): raise ValueError("no such split")
    def targets(self, split): return ()
    def sources(self): return ()

@rrgbench.hookimpl
def rrgbench_datasets():
    return {"bad": Bad}
"""


@pytest.mark.heavy
def test_a_data_set_that_fails_in_its_own_code_is_one_line(plugin: Any, tmp_path: Path, shell: Callable[..., Any]) -> None:
    environment = plugin("badset", BAD) | {"RRGBENCH_PLUGINS": "badset", "RRGBENCH_CACHE": str(tmp_path / "cache")}
    ran = shell("data", "check", "bad", env=environment)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: data set bad could not be read; got ValueError: no such split\n"


@pytest.mark.heavy
def test_nothing_is_written_beside_the_data(table: Path, tmp_path: Path, shell: Callable[..., Any]) -> None:
    before = sorted(path.name for path in table.iterdir())
    (tmp_path / "here").mkdir()
    ran = shell(
        "data", "check", "phantom", "--set", "studies=30", "--set", "size=32", env={"RRGBENCH_STORE": str(tmp_path / "store")}
    )
    assert ran.code == 0, ran.err
    assert not (tmp_path / "store").exists() and sorted(path.name for path in table.iterdir()) == before
