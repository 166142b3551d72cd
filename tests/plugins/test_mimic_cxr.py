"""The data set MIMIC-CXR over invented trees in its own layout: what it gives, by which rules, and what is never context."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rrgbench_datasets import MIMICCXR

from rrgbench import SPLITS, ConfigError, DataError, ManyErrors
from rrgbench.testing import DatasetContract


def _layouts() -> ModuleType:
    folder = Path(__file__).parent.parent / "layouts"
    spec = importlib.util.spec_from_file_location(
        "rrgbench_layouts", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[spec.name]


layouts = _layouts()


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return layouts.mimic_studies(layouts.phantom_studies(tmp_path_factory.mktemp("phantom")))


@pytest.fixture(scope="module")
def tree(studies: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return layouts.write_mimic(tmp_path_factory.mktemp("mimic"), studies)


@pytest.fixture
def own(tree: Path, tmp_path: Path) -> Path:
    """A tree that a test may break."""
    shutil.copytree(tree, tmp_path / "mimic")
    return tmp_path / "mimic"


class _OnATree(DatasetContract):
    component = MIMICCXR

    write: Any

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def lay(cls, studies: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.root = tmp_path_factory.mktemp("layout")
        cls.write(cls.root, studies)


class TestTextFiles(_OnATree):
    options = {"prior_studies": 2, "context": ["indication", "history", "comparison"]}
    write = staticmethod(layouts.write_mimic)


class TestPackedTablesAndZip(_OnATree):
    options = {"target": "both", "prior_studies": 1, "prior_reports": True}

    @staticmethod
    def write(root: Path, studies: list[Any]) -> None:
        layouts.write_mimic(root, studies, packed=True, records=True, texts=False)
        layouts.write_reports_zip(root, studies)


class TestTableOfSections(_OnATree):
    options = {"reports": "sectioned_csv", "context": ["comparison"], "target": "impression", "max_images": 1}

    @staticmethod
    def write(root: Path, studies: list[Any]) -> None:
        layouts.write_mimic(root, studies, texts=False)
        layouts.write_sectioned(root, studies)


class TestR2Gen(_OnATree):
    options = {"annotation": "annotation.json", "context": [], "item": "film", "text": "r2gen"}
    write = staticmethod(layouts.write_r2gen)


del _OnATree


def by_id(made: MIMICCXR) -> dict[str, tuple[Any, Any]]:
    sides = [(x, y) for split in SPLITS for x, y in zip(made.inputs(split), made.targets(split), strict=True)]
    return {asked.study_id: (asked, judged) for asked, judged in sides}


def test_findings_are_those_that_were_written_whatever_the_headers(tree: Path, studies: list[Any]) -> None:
    found = by_id(MIMICCXR(tree))
    assert {f"s{one.study_id}": one.study.report for one in studies} == {name: side.report for name, (_, side) in found.items()}
    impressions = by_id(MIMICCXR(tree, target="impression"))
    assert all(impressions[f"s{one.study_id}"][1].report == one.impression for one in studies)
    both = by_id(MIMICCXR(tree, target="both"))
    assert all(both[f"s{one.study_id}"][1].report == f"{one.study.report} {one.impression}" for one in studies)


def test_subjects_films_views_and_splits_are_those_of_the_tables(tree: Path, studies: list[Any]) -> None:
    made = MIMICCXR(tree)
    found = by_id(made)
    for one in studies:
        asked, _ = found[f"s{one.study_id}"]
        assert asked.subject_id == f"p{one.subject_id}"
        assert [path.stem for path in asked.images] == [dicom for dicom, _, _ in one.films]
        assert asked.views == tuple("lateral" if view in ("LATERAL", "LL") else "frontal" for _, view, _ in one.films)
        assert asked in made.inputs(one.study.split)


def test_every_source_of_the_same_reports_gives_the_same_studies(studies: list[Any], tree: Path, tmp_path: Path) -> None:
    layouts.write_mimic(tmp_path, studies, packed=True, records=True, texts=False)
    layouts.write_reports_zip(tmp_path, studies)
    layouts.write_sectioned(tmp_path, studies)
    plain, packed = MIMICCXR(tree, context=()), MIMICCXR(tmp_path, context=())
    table = MIMICCXR(tmp_path, context=(), reports="sectioned_csv")
    for split in SPLITS:
        assert plain.targets(split) == packed.targets(split) == table.targets(split)
        assert [one.images[0].name for one in plain.inputs(split)] == [one.images[0].name for one in packed.inputs(split)]
    assert [path.name for path in packed.sources()][:3] == [
        "mimic-cxr-2.0.0-split.csv.gz",
        "mimic-cxr-2.0.0-metadata.csv.gz",
        "cxr-record-list.csv.gz",
    ]
    assert {path.name for path in packed.sources()[3:]} == {"mimic-cxr-reports.zip"}
    assert table.sources()[-1].name == "mimic_cxr_sectioned.csv"


def test_context_is_the_sections_asked_for_and_never_a_reading_of_the_films(tree: Path, studies: list[Any]) -> None:
    found = by_id(MIMICCXR(tree))
    for one in studies:
        reason = " ".join((one.study.context or "___-year-old with cough.").split())
        name = "HISTORY" if one.study.number % 4 in (1, 3) else "INDICATION"
        context = found[f"s{one.study_id}"][0].context
        # PFI is history by the official rules, and a provisional reading in truth.
        assert context == f"{name}: {reason}" and "Edema" not in context
    alone = by_id(MIMICCXR(tree, context=("indication",)))
    assert all("INDICATION" not in asked.context for asked, _ in alone.values())
    assert all(asked.context == "" for asked, _ in by_id(MIMICCXR(tree, context=())).values())


def test_earlier_studies_are_of_the_same_subject_and_earlier_and_their_reports_are_known(tree: Path, studies: list[Any]) -> None:
    found = by_id(MIMICCXR(tree, prior_studies=1, prior_reports=True))
    when = {f"s{one.study_id}": (one.date, one.time) for one in studies}
    with_prior = 0
    for asked, _ in found.values():
        earlier = [
            name
            for name, (other, _) in found.items()
            if other.subject_id == asked.subject_id and when[name] < when[asked.study_id]
        ]
        assert set(asked.prior_ids) == set(earlier)
        if earlier:
            with_prior += 1
            assert asked.context.endswith(f"PRIOR REPORT: {found[earlier[0]][1].report}")
        else:
            assert "PRIOR REPORT" not in asked.context
    assert with_prior > 3
    assert all(asked.prior_ids == () for asked, _ in by_id(MIMICCXR(tree)).values())


def test_studies_of_one_moment_are_not_earlier_and_times_may_lack_zeros(own: Path) -> None:
    path = own / "mimic-cxr-2.0.0-metadata.csv"
    rows = list(csv.DictReader(path.open()))
    studies = dict.fromkeys(row["study_id"] for row in rows)
    subject = next(s for s in rows if sum(r["subject_id"] == s["subject_id"] for r in rows) > 2)["subject_id"]
    first, second = [s for s in studies if any(r["study_id"] == s and r["subject_id"] == subject for r in rows)][:2]

    def priors(**times: str) -> tuple[str, ...]:
        for row in rows:
            if f"s{row['study_id']}" in times:
                row |= {"StudyDate": "21800506", "StudyTime": times[f"s{row['study_id']}"]}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        found = by_id(MIMICCXR(own, prior_studies=3))
        return found[f"s{first}"][0].prior_ids, found[f"s{second}"][0].prior_ids

    assert priors(**{f"s{first}": "93014.5", f"s{second}": "213014.0"}) == ((), (f"s{first}",))
    assert priors(**{f"s{first}": "93014.5", f"s{second}": "93014.5"}) == ((), ())
    assert priors(**{f"s{first}": "93014.55", f"s{second}": "93014.5"}) == ((f"s{second}",), ())


def test_every_rule_is_counted(own: Path, studies: list[Any]) -> None:
    films = sum(len(one.films) for one in studies)
    (own / "files" / f"{studies[0].folder}.txt").write_text(" FINAL REPORT\n INDICATION: Cough.\n \n IMPRESSION: Nothing new.\n")
    dicom = studies[1].films[0][0]
    (own / "files" / studies[1].folder / f"{dicom}.jpg").unlink()
    made = MIMICCXR(own, views=("PA", "AP"), max_images=1, max_study_images=5, missing_images="drop")
    frontals = sum(view in ("PA", "AP") for one in studies for _, view, _ in one.films)
    assert [(count.rule, count.studies, count.images) for count in made.counts()] == [
        ("in the split table", 30, films),
        ("studies of at most 5 films", 30, films),
        ("films of the views asked for", 30, frontals),
        ("films that are there", 29, frontals - 1),
        ("with a report that the official rules part", 29, frontals - 1),
        ("with findings", 28, frontals - 2),
        ("at most 1 films a study", 28, 28),
    ]
    assert sum(len(made.inputs(split)) for split in SPLITS) == 28


def test_studies_with_many_films_are_left_out_by_all_their_films(tree: Path, studies: list[Any]) -> None:
    single = [one for one in studies if len(one.films) == 1]
    made = MIMICCXR(tree, max_study_images=1)
    assert 0 < len(single) < 30
    assert set(by_id(made)) == {f"s{one.study_id}" for one in single}


def test_views_are_in_the_order_asked_for(tree: Path, studies: list[Any]) -> None:
    made = by_id(MIMICCXR(tree, views=("LL", "LATERAL", "PA", "AP")))
    two = next(one for one in studies if len(one.films) == 2)
    assert made[f"s{two.study_id}"][0].views == ("lateral", "frontal")


def test_films_as_items_are_named_by_film_and_share_their_report(tree: Path, studies: list[Any]) -> None:
    found = by_id(MIMICCXR(tree, item="film"))
    assert set(found) == {dicom for one in studies for dicom, _, _ in one.films}
    assert all(len(asked.images) == 1 and asked.images[0].stem == name for name, (asked, _) in found.items())


def test_r2gens_file_gives_its_reports_and_the_text_files_its_context(studies: list[Any], tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "both"
    shutil.copytree(tree, root)
    layouts.write_r2gen(root, studies)
    found = by_id(MIMICCXR(root, annotation="annotation.json", context=("indication",)))
    assert {f"s{one.study_id}": one.study.report for one in studies} == {name: side.report for name, (_, side) in found.items()}
    assert {asked.views for asked, _ in found.values()} == {("frontal",), ("frontal", "lateral")}
    assert any(asked.context for asked, _ in found.values())
    bare = by_id(MIMICCXR(layouts.write_r2gen(tmp_path / "bare", studies), annotation="annotation.json", context=()))
    assert {view for asked, _ in bare.values() for view in asked.views} == {"unknown"}


def test_r2gen_text_cleans_the_train_split_only(tree: Path) -> None:
    made = MIMICCXR(tree, text="r2gen")
    assert all(one.report == one.report.lower() and one.report.endswith(" .") for one in made.targets("train"))
    assert made.targets("test") == MIMICCXR(tree).targets("test")


def rename_study(root: Path, study: Any, to: str) -> None:
    """Give a study another number, in the tables and in the tree."""
    for table in root.glob("*.csv"):
        table.write_text(table.read_text().replace(study.study_id, to))
    old = root / "files" / study.folder
    old.rename(old.with_name(f"s{to}"))
    old.with_suffix(".txt").rename(old.with_name(f"s{to}.txt"))


def test_studies_marked_by_hand_are_left_out_or_have_their_marked_text_and_no_context(own: Path, studies: list[Any]) -> None:
    head = " FINAL REPORT\n INDICATION: Heart and lungs are as they were.\n \n IMPRESSION: Not this.\n".ljust(201, "x")
    text = head + "The marked\n reading.".ljust(148) + "Not this either."
    # The first has its conclusion in a section, the second between two characters, the third has none.
    for number, study in zip(("57936451", "50525523", "58235663"), studies, strict=False):
        rename_study(own, study, number)
        (own / "files" / Path(study.folder).parent / f"s{number}.txt").write_text(text)
    assert len(by_id(MIMICCXR(own))) == 27
    taken = by_id(MIMICCXR(own, custom="as_target"))
    assert len(taken) == 29 and "s58235663" not in taken
    reports = {name: (taken[name][1].report, taken[name][0].context) for name in ("s57936451", "s50525523")}
    assert reports == {"s57936451": ("Heart and lungs are as they were.", ""), "s50525523": ("The marked reading.", "")}


def test_options_that_contradict_each_other_are_one_line(tree: Path) -> None:
    for options, told in (
        ({"reports": "sectioned_csv"}, "option context; got indication, history; expected sections that the official table has"),
        ({"annotation": "annotation.json", "target": "both"}, "option target; got both"),
        ({"annotation": "../annotation.json"}, "option annotation"),
        ({"prior_reports": True}, "option prior_reports; got no prior_studies"),
        ({"prior_studies": 1, "item": "film"}, "option prior_studies"),
        ({"context": ("history", "history")}, "option context; got history, history"),
    ):
        with pytest.raises(ConfigError) as caught:
            MIMICCXR(tree, **options)
        assert told in str(caught.value)


def test_missing_films_and_reports_are_told_together_with_their_number(own: Path, studies: list[Any]) -> None:
    for one in studies[:3]:
        (own / "files" / f"{one.folder}.txt").unlink()
    with pytest.raises(
        DataError, match=r"3 reports of 30 are missing; got no files/p1\d/.* Hint: unpack MIMIC-CXR's reports there"
    ):
        MIMICCXR(own)
    for one in studies[:2]:
        shutil.rmtree(own / "files" / one.folder)
    with pytest.raises(
        DataError,
        match=r"study s5\d+: a film is missing, and \d more of \d+; got no file .*/p1\d.* set the option missing_images to drop",
    ):
        MIMICCXR(own)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty; got nothing; expected the text of a report. Hint: fetch the file again"),
        (b" \r\n\t \n", "is empty; got blanks only"),
        (b"\xef\xbb\xbf\n", "is empty; got blanks only"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "is no report; got a web page; expected the text of a report."),
        (b'\n <?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is no report; got a web page"),
        (b"<HTML><HEAD><TITLE>302 Found</TITLE></HEAD></HTML>", "is no report; got a web page"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["file", "zip"])
@pytest.mark.parametrize("options", [{}, {"annotation": "annotation.json"}], ids=["target", "context"])
def test_a_report_that_is_empty_or_a_page_is_told_with_its_file(
    content: bytes, told: str, packed: bool, options: dict[str, Any], own: Path, studies: list[Any]
) -> None:
    layouts.write_r2gen(own, studies)
    name = f"files/{studies[2].folder}.txt"
    (own / name).write_bytes(content)
    if packed:
        with zipfile.ZipFile(own / "mimic-cxr-reports.zip", "w") as into:
            for path in sorted(own.glob("files/p*/p*/s*.txt")):
                into.write(path, path.relative_to(own).as_posix())
                path.unlink()
    with pytest.raises(DataError) as caught:
        MIMICCXR(own, **options)
    where = f"{own / 'mimic-cxr-reports.zip'}: member {name}" if packed else str(own / name)
    assert str(caught.value).startswith(f"{where} {told}")


def test_reports_that_are_no_reports_are_told_together(own: Path, studies: list[Any]) -> None:
    for one, content in zip(studies[:3], (b"", b"\n", b"<html></html>"), strict=True):
        (own / "files" / f"{one.folder}.txt").write_bytes(content)
    with pytest.raises(ManyErrors) as caught:
        MIMICCXR(own)
    assert sorted(str(error).partition("; got ")[2].partition(";")[0] for error in caught.value.errors) == [
        "a web page",
        "blanks only",
        "nothing",
    ]


@pytest.mark.parametrize("marked", ["<", "<65 yo", "<unk>", "<Headline>"])
def test_a_report_may_begin_with_an_angle(marked: str, own: Path, studies: list[Any]) -> None:
    path = own / "files" / f"{studies[0].folder}.txt"
    path.write_bytes(marked.encode() + path.read_bytes())
    assert f"s{studies[0].study_id}" in by_id(MIMICCXR(own))


def test_a_table_of_sections_must_hold_every_study_that_the_rules_part(own: Path, studies: list[Any]) -> None:
    layouts.write_sectioned(own, studies[:-2])
    with pytest.raises(DataError, match="2 studies of the data set are not in it; got no s5"):
        MIMICCXR(own, reports="sectioned_csv", context=())


def test_mistakes_of_many_rows_are_told_together(own: Path) -> None:
    path = own / "mimic-cxr-2.0.0-split.csv"
    path.write_text(path.read_text().replace(",test", ",tset"))
    with pytest.raises(ManyErrors) as caught:
        MIMICCXR(own)
    assert 1 < len(caught.value.errors) <= 20
    assert all("field split; got 'tset'; expected train, validate or test" in str(one) for one in caught.value.errors)


def test_no_report_stands_in_a_message(own: Path, studies: list[Any]) -> None:
    layouts.write_r2gen(own, studies)
    path = own / "annotation.json"
    content = json.loads(path.read_text())
    item = next(i for i in content["train"] if sum(o["study_id"] == i["study_id"] for o in content["train"]) > 1)
    item["report"] = "A secret reading."
    path.write_text(json.dumps(content))
    with pytest.raises((DataError, ManyErrors)) as caught:
        MIMICCXR(own, annotation="annotation.json", context=())
    assert "has another report than before" in str(caught.value) and "secret" not in str(caught.value)
