"""CheXpert Plus from its table: films to studies, splits by subject, and one line for each thing that can be wrong."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rrgbench_datasets import CheXpertPlus
from rrgbench_datasets.chexpert_labels import FINDINGS

from rrgbench import SPLITS, ConfigError, DataError, RRGBenchError
from rrgbench.testing import DatasetContract

TABLE = "df_chexpert_plus_240401.csv"
COLUMNS = """
    path_to_image path_to_dcm frontal_lateral ap_pa deid_patient_id patient_report_date_order report section_narrative
    section_clinical_history section_history section_comparison section_technique section_procedure_comments section_findings
    section_impression section_end_of_impression section_summary section_accession_number age sex race ethnicity
    interpreter_needed insurance_type recent_bmi deceased split
""".split()  # noqa: SIM905 - as it is read

Row = dict[str, str]


def row(patient: int, study: int, view: str = "view1_frontal", split: str = "train", **more: str) -> Row:
    place = f"{split}/patient{patient:05}/study{study}/{view}"
    made = dict.fromkeys(COLUMNS, "") | {
        "path_to_image": f"{place}.jpg",
        "path_to_dcm": f"{place}.dcm",
        "frontal_lateral": "Lateral" if "lateral" in view else "Frontal",
        "ap_pa": "" if "lateral" in view else "AP",
        "deid_patient_id": f"patient{patient:05}",
        "patient_report_date_order": str(study),
        "section_clinical_history": f"\n{40 + patient} years, cough ",
        "section_findings": f"\n Lungs {patient}.{study} are clear.\n\nNo effusion.",
        "section_impression": f"\n1. NOTHING ACUTE IN {patient}.{study}.",
        "split": split,
    }
    return made | more


def toy() -> list[Row]:
    """Forty patients of train, of whom every fourth has three studies, and two of valid; some sections are missing."""
    rows = [row(patient, 1) for patient in range(1, 41)]
    for patient in range(4, 41, 4):
        rows += [row(patient, 3), row(patient, 3, "view2_lateral"), row(patient, 2, section_findings=" \n")]
    rows += [row(9001, 1, split="valid"), row(9001, 1, "view2_lateral", split="valid")]
    rows += [row(9002, 1, split="valid", section_findings="")]
    rows[0] |= {"section_history": "Smoker.", "section_comparison": "None."}
    return rows


def as_csv(rows: list[Row], columns: list[str] = COLUMNS) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write(root: Path, rows: list[Row], png: bool = False, real: bool = False) -> Path:
    """The table and its films; ``real`` ones can be opened."""
    (root / TABLE).write_text(as_csv(rows), encoding="utf-8", newline="")
    for number, one in enumerate(rows):
        place = Path(one["path_to_image"])
        film = root / ("PNG" / place.with_suffix(".png") if png else place)
        film.parent.mkdir(parents=True, exist_ok=True)
        if real:
            Image.new("L", (8, 8), number % 256).save(film)
        else:
            film.write_bytes(b"film")
    return root


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("tree"), toy())


@pytest.fixture
def root(tree: Path, tmp_path: Path) -> Path:
    """A folder of its own with the table, and the films of all."""
    (tmp_path / TABLE).write_bytes((tree / TABLE).read_bytes())
    for split in ("train", "valid"):
        (tmp_path / split).symlink_to(tree / split)
    return tmp_path


OPTIONS: dict[str, Any] = {"validate_share": 0.2}


def read(root: Path, **options: Any) -> CheXpertPlus:
    return CheXpertPlus(root, **{**OPTIONS, **options})


def error(root: Path, **options: Any) -> str:
    with pytest.raises(RRGBenchError) as caught:
        read(root, **options)
    assert isinstance(caught.value, (DataError, ConfigError))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def studies(data: CheXpertPlus) -> dict[str, Any]:
    return {one.study_id: one for split in SPLITS for one in data.inputs(split)}


class TestOfAJpegTree(DatasetContract):
    component = CheXpertPlus
    options: Mapping[str, Any] = OPTIONS

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _root(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.root = write(tmp_path_factory.mktemp("jpg"), toy(), real=True)


class TestOfAPngTreeWithLabels(DatasetContract):
    component = CheXpertPlus
    options: Mapping[str, Any] = {
        **OPTIONS,
        "target": "both",
        "labels": "report",
        "context": ["history", "clinical_history", "comparison"],
        "test_share": 0.2,
        "prior_studies": 5,
    }

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _root(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.root = write(tmp_path_factory.mktemp("png"), toy(), png=True, real=True)
        write_labels(cls.root, toy())


# From rows to studies.


def test_the_rows_of_a_study_are_its_films_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [row(4, 3, "view10_frontal"), row(9001, 1, split="valid"), row(4, 3, "view2_lateral"), row(4, 3)]
    rows += [row(n, 1) for n in range(5, 30)]
    made = studies(read(write(tmp_path, rows)))["patient00004_study3"]
    assert [path.stem for path in made.images] == ["view1_frontal", "view2_lateral", "view10_frontal"]
    assert made.views == ("frontal", "lateral", "frontal")
    assert made.subject_id == "patient00004"


def test_texts_stand_on_one_line_and_a_missing_section_is_missing(root: Path) -> None:
    data = read(root, context=("clinical_history", "history", "comparison"), target="both")
    reports = {one.study_id: one.report for split in SPLITS for one in data.targets(split)}
    assert reports["patient00001_study1"] == "Lungs 1.1 are clear. No effusion. 1. NOTHING ACUTE IN 1.1."
    assert reports["patient00004_study2"] == "1. NOTHING ACUTE IN 4.2."
    assert studies(data)["patient00001_study1"].context == "41 years, cough Smoker. None."
    assert (
        studies(read(root, context=("history", "clinical_history")))["patient00001_study1"].context == "Smoker. 41 years, cough"
    )
    assert studies(read(root, context=()))["patient00001_study1"].context == ""


def test_studies_without_the_target_are_left_out_and_counted(root: Path) -> None:
    data = read(root)
    assert [one.study_id for one in data.targets("test")] == ["patient09001_study1"]
    told = {count.rule: (count.studies, count.images) for count in data.counts()}
    assert told["all rows of the table"] == (62, 73)
    assert told["studies with findings"] == (51, 62)
    sizes = [len(data.inputs(split)) for split in SPLITS]
    assert [count.studies for count in data.counts()[-3:]] == sizes
    assert sum(sizes) == 51
    assert {one.study_id for one in read(root, target="impression").inputs("test")} == {
        "patient09001_study1",
        "patient09002_study1",
    }


def test_of_a_report_that_was_anonymised_anew_for_each_film_the_first_rows_is_taken(tmp_path: Path) -> None:
    rows = toy()
    rows += [row(1, 1, "view2_lateral", section_findings="Another date.", section_history="Told here alone.")]
    data = read(write(tmp_path, rows))
    report = next(one.report for split in SPLITS for one in data.targets(split) if one.study_id == "patient00001_study1")
    assert report == "Lungs 1.1 are clear. No effusion."
    assert "one text a study, the first row's (1 studies have several)" in [count.rule for count in data.counts()]


def test_r2gen_text_cleans_the_train_split_only(root: Path) -> None:
    data = read(root, text="r2gen")
    assert data.targets("test")[0].report == "Lungs 9001.1 are clear. No effusion."
    assert all(" ." in one.report and one.report == one.report.lower() for one in data.targets("train"))


# Splits.


def test_valid_is_test_and_validate_is_drawn_from_train_by_subject(root: Path) -> None:
    data = read(root)
    of = {split: {one.subject_id for one in data.inputs(split)} for split in SPLITS}
    assert of["test"] == {"patient09001"}
    assert of["train"] & of["validate"] == set()
    assert of["train"] | of["validate"] == {f"patient{n:05}" for n in range(1, 41)}
    assert 2 <= len(of["validate"]) <= 16


def test_a_larger_share_keeps_what_a_smaller_one_drew(root: Path) -> None:
    few, many = ({one.subject_id for one in read(root, validate_share=share).inputs("validate")} for share in (0.1, 0.4))
    assert few < many


def test_with_a_test_share_test_is_drawn_from_train_and_valid_stands_in_validate(root: Path) -> None:
    data = read(root, test_share=0.2, target="impression")
    of = {split: {one.subject_id for one in data.inputs(split)} for split in SPLITS}
    assert {"patient09001", "patient09002"} < of["validate"]
    assert of["test"] and not of["test"] & (of["train"] | of["validate"])
    alone = read(root, test_share=0.2, validate_share=0.0, target="impression")
    assert {one.subject_id for one in alone.inputs("validate")} == {"patient09001", "patient09002"}
    assert {one.subject_id for one in alone.inputs("test")} == of["test"]
    assert [count.rule for count in data.counts()[-3:]] == [
        "train: the table's train without what the others have of it",
        "validate: 0.2 of the train subjects and the table's valid",
        "test: 0.2 of the train subjects",
    ]


def test_shares_are_met_over_many_subjects(tmp_path: Path) -> None:
    rows = [*(row(n, 1) for n in range(1, 600)), row(9001, 1, split="valid")]
    data = read(write(tmp_path, rows), validate_share=0.1)
    assert 0.06 < len(data.inputs("validate")) / 599 < 0.14


def test_an_empty_split_is_told(tmp_path: Path) -> None:
    rows = [row(n, 1) for n in range(1, 30)]
    assert "no study is left in the split test" in error(write(tmp_path, rows))


# Views, films, priors.


def test_views_and_projection_choose_films(root: Path) -> None:
    data = read(root, views=("lateral",))
    assert {view for one in studies(data).values() for view in one.views} == {"lateral"}
    assert "films that are lateral" in [count.rule for count in data.counts()]
    rows = toy()
    for one in rows[:30]:
        one["ap_pa"] = "PA"
    rows[30]["ap_pa"] = "LL"
    (root / TABLE).write_text(as_csv(rows), encoding="utf-8", newline="")
    kept = read(root, projection="pa", test_share=0.2, validate_share=0.2)
    assert "patient00031_study1" not in studies(kept) and "patient00040_study1" not in studies(kept)
    assert "patient00001_study1" in studies(kept)
    assert "patient00004_study3" in studies(kept)  # its lateral film has no projection


def test_a_png_tree_has_the_other_suffix_and_a_jpeg_tree_may_have_a_folder(tmp_path: Path) -> None:
    for name in ("png", "small"):
        (tmp_path / name).mkdir()
    images = studies(read(write(tmp_path / "png", toy(), png=True)))["patient00001_study1"].images
    assert images == (tmp_path / "png/PNG/train/patient00001/study1/view1_frontal.png",)
    small = write(tmp_path / "small", toy())
    (small / "CheXpert-v1.0-small").mkdir()
    for split in ("train", "valid"):
        (small / split).rename(small / "CheXpert-v1.0-small" / split)
    assert studies(read(small))["patient00001_study1"].images[0].is_file()
    (small / "CheXpert-v1.0-small").rename(small / "mine")
    assert studies(read(small, folder="mine"))["patient00001_study1"].images[0].is_file()
    assert "no folder train or valid in" in error(small)
    assert "option folder" in error(small, folder="../small")


def test_a_film_that_is_missing_is_an_error_or_is_dropped_with_its_study(tmp_path: Path) -> None:
    root = write(tmp_path, toy())
    (root / "train/patient00004/study3/view2_lateral.jpg").unlink()
    (root / "train/patient00002/study1/view1_frontal.jpg").unlink()
    assert "study patient00002_study1: a film is missing" in error(root)
    data = read(root, missing_images="drop")
    assert studies(data)["patient00004_study3"].views == ("frontal",)
    assert "patient00002_study1" not in studies(data)
    assert [(c.studies, c.images) for c in data.counts() if c.rule == "films that are there"] == [(61, 71)]


def test_an_empty_film_is_an_error_even_where_missing_ones_are_dropped(tmp_path: Path) -> None:
    root = write(tmp_path, toy())
    (root / "train/patient00002/study1/view1_frontal.jpg").write_bytes(b"")
    assert "got an empty file or a folder" in error(root, missing_images="drop")


def test_priors_are_the_studies_that_the_table_says_are_earlier(root: Path) -> None:
    found = studies(read(root, target="impression", prior_studies=5))
    assert found["patient00004_study3"].prior_ids == ("patient00004_study1", "patient00004_study2")
    assert found["patient00004_study1"].prior_ids == ()
    assert studies(read(root, target="impression"))["patient00004_study3"].prior_ids == ("patient00004_study2",)
    assert studies(read(root))["patient00004_study3"].prior_ids == ("patient00004_study1",)  # study2 has no findings
    assert studies(read(root, prior_studies=0))["patient00004_study3"].prior_ids == ()


def test_studies_of_the_same_place_in_the_order_are_not_priors_of_each_other(tmp_path: Path) -> None:
    rows = [*toy(), row(1, 2, patient_report_date_order="1.0"), row(1, 3, patient_report_date_order="2")]
    found = studies(read(write(tmp_path, rows), prior_studies=9))
    assert found["patient00001_study2"].prior_ids == ()
    assert set(found["patient00001_study3"].prior_ids) == {"patient00001_study1", "patient00001_study2"}


# Labels.


def label(one: Row, **more: Any) -> dict[str, Any]:
    return {"path_to_image": one["path_to_image"], **dict.fromkeys(FINDINGS), **more}


def write_labels(root: Path, rows: list[Row], lines: bool = True, **more: Any) -> Path:
    path = root / "chexbert_labels" / "report_fixed.json"
    path.parent.mkdir(exist_ok=True)
    items = [label(one, **more) for one in rows]
    path.write_text("".join(json.dumps(item) + "\n" for item in items) if lines else json.dumps(items), encoding="utf-8")
    return path


@pytest.mark.parametrize("lines", [True, False])
def test_labels_are_those_of_the_published_file(root: Path, lines: bool) -> None:
    write_labels(root, toy(), lines, Edema=1.0, Fracture=0.0, Pneumonia=-1.0, Cardiomegaly=float("nan"))
    (one,) = read(root, labels="report").targets("test")
    assert one.labels is not None
    assert tuple(one.labels) == FINDINGS
    assert [name for name, value in one.labels.items() if value] == ["Edema", "Pneumonia"]
    (strict,) = read(root, labels="report", uncertain="absent").targets("test")
    assert strict.labels is not None and [name for name, value in strict.labels.items() if value] == ["Edema"]
    assert [path.name for path in read(root, labels="report").sources()] == [TABLE, "report_fixed.json"]
    assert read(root).targets("test")[0].labels is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Edema": "1.0"}, "Edema; got '1.0'; expected 1, 0, -1 or null"),
        ({"Edema": "yes"}, "Edema; got 'yes'; expected 1, 0, -1 or null"),
        ({"Edema": True}, "Edema; got True"),
        ({"Edema": 2}, "Edema; got 2"),
        ({"Edema": 0.5}, "Edema; got 0.5"),
        ({"Edema": [1]}, "Edema; got [1]"),
        ({"path_to_image": None}, "path_to_image; got nothing or no text"),
        ({"path_to_image": "elsewhere.jpg"}, "51 films have no labels; got no train/"),
    ],
)
def test_wrong_labels_are_one_line(root: Path, change: dict[str, Any], told: str) -> None:
    rows = toy() if "path_to_image" not in change else toy()[:1]
    write_labels(root, rows, **change)
    assert told in error(root, labels="report")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "report_fixed.json is empty"),
        ("[]", "51 films have no labels"),
        ("7\n", "line 1; got a number; expected an object"),
        ("[7]", "item 0; got a number"),
        ('{"path_to_image": "a.jpg"', "line 1 is not JSON"),
        ('{"a": 1, "a": 2}\n', "key 'a' stands twice"),
        ("[" * 50_000, "too many levels"),
        (json.dumps({"path_to_image": "train/patient00001/study1/view1_frontal.jpg"}), "Enlarged Cardiomediastinum is missing"),
        ('{"path_to_image": "a.jpg"}\n{"path_to_image": "a.jpg"}\n', "line 2: film a.jpg stands twice"),
    ],
)
def test_a_wrong_file_of_labels_is_one_line(root: Path, content: str, told: str) -> None:
    path = write_labels(root, [])
    path.write_text(content, encoding="utf-8")
    assert told in error(root, labels="report")


def test_labels_that_are_not_there_say_where_they_were_looked_for(root: Path) -> None:
    line = error(root, labels="impression")
    assert "impression_fixed.json is missing" in line and "chexbert_labels" in line and "option labels to none" in line


# What can be wrong with the table.


def changed(**fields: str) -> Callable[[str], bytes]:
    """The table with other fields in its last row."""
    return lambda text: as_csv([*toy()[:-1], toy()[-1] | fields]).encode()


def more(*rows: Row) -> Callable[[str], bytes]:
    return lambda text: as_csv([*toy(), *rows]).encode()


def without(*names: str) -> Callable[[str], bytes]:
    return lambda text: as_csv(toy(), [name for name in COLUMNS if name not in names]).encode()


def header(old: str, new: str) -> Callable[[str], bytes]:
    return lambda text: text.replace(old, new, 1).encode()


PLACE = "path_to_image; got "
CORRUPT: dict[str, tuple[Callable[[str], bytes], str]] = {
    "empty": (lambda text: b"", "is empty; expected the columns path_to_image"),
    "blank": (lambda text: b"\n\n", "is empty; expected the columns path_to_image"),
    "header alone": (lambda text: text.split("\n")[0].encode(), "holds no film; got 0 rows"),
    "cut in a row": (
        lambda text: text[: text.rindex(",,")].encode(),
        "cells; expected 27, as the header has. Hint: the file may be cut short",
    ),
    "cut in a text": (lambda text: text[: text.rindex("NOTHING")].encode(), "is not CSV"),
    "a quotation mark that is never closed": (
        lambda text: text.encode() + b'"' + b"x" * 200_000,
        "field larger than field limit",
    ),
    "a huge text": (changed(section_impression="x" * 140_000), "field larger than field limit"),
    "a huge line": (lambda text: text.encode() + b"x" * (1 << 24), "is too long"),
    "text after a quotation mark": (lambda text: text.encode() + b'"a"b,c\n', "is not CSV"),
    "no path_to_image": (without("path_to_image"), "header: no column path_to_image"),
    "no split and no order": (
        without("split", "patient_report_date_order"),
        "header: no column patient_report_date_order, split",
    ),
    "no findings": (without("section_findings"), "header: no column section_findings"),
    "a column twice": (header("section_narrative", "split"), "the column 'split' twice"),
    "tabs": (lambda text: text.replace(",", "\t").encode(), "header: no column"),
    "another delimiter": (lambda text: text.replace(",", ";").encode(), "header: no column"),
    "UTF-16": (lambda text: text.encode("utf-16"), "line 1 is not text; got a NUL byte"),
    "Latin-1": (lambda text: text.replace("cough", "caf\xe9").encode("latin-1"), "is not UTF-8; got byte 0xe9"),
    "NUL": (lambda text: text.replace("cough", "co\0gh").encode(), "is not text; got a NUL byte"),
    "a zip": (lambda text: b"PK\x03\x04" + bytes(60), "is not text"),
    "JSON": (lambda text: b'[{"path_to_image": 1}]', "header: no column"),
    "too many fields": (lambda text: text.encode() + b",".join([b"x"] * 30) + b"\n", "30 cells; expected 27"),
    "a film twice": (more(toy()[0]), "film train/patient00001/study1/view1_frontal.jpg stands twice"),
    "a path upward": (changed(path_to_image="valid/../../etc/passwd.jpg"), PLACE + "'valid/../../etc/passwd.jpg'"),
    "a path upward in front": (changed(path_to_image="../valid/patient09002/study1/view1_frontal.jpg"), PLACE + "'../valid"),
    "an absolute path": (changed(path_to_image="/valid/patient09002/study1/view1_frontal.jpg"), PLACE + "'/valid"),
    "a path with backslashes": (changed(path_to_image="valid\\patient09002\\study1\\view1_frontal.jpg"), PLACE),
    "a path with a line break": (changed(path_to_image="valid/patient09002/study1/view1_frontal.jpg\n"), PLACE),
    "a path with another beginning": (changed(path_to_image="CheXpert-v1.0/valid/patient09002/study1/view1_frontal.jpg"), PLACE),
    "a path without a study": (changed(path_to_image="valid/patient09002/view1_frontal.jpg"), PLACE),
    "a path with other digits": (changed(path_to_image="valid/patient\u0660\u0669/study1/view1_frontal.jpg"), PLACE),
    "no path": (changed(path_to_image=""), PLACE + "''"),
    "a text file": (changed(path_to_image="valid/patient09002/study1/view1_frontal.txt"), PLACE),
    "another view": (changed(frontal_lateral="Oblique"), "frontal_lateral; got 'Oblique'; expected Frontal or Lateral"),
    "no view": (changed(frontal_lateral=""), "frontal_lateral; got ''"),
    "a long projection": (changed(ap_pa="PA" * 40), "ap_pa; got "),
    "no patient": (changed(deid_patient_id=" "), "deid_patient_id is empty"),
    "another patient": (
        more(row(1, 9, deid_patient_id="patient00077")),
        "got 'patient00077'; expected 'patient00001', as elsewhere",
    ),
    "a subject in two splits": (more(row(1, 9, split="valid")), "patient00001 stands in two splits; got train and valid"),
    "another split": (changed(split="test"), "split; got 'test'; expected train or valid"),
    "no split": (changed(split=""), "split; got ''"),
    "an order that is no number": (
        changed(patient_report_date_order="2019-01-01"),
        "patient_report_date_order; got '2019-01-01'",
    ),
    "a negative order": (changed(patient_report_date_order="-1"), "patient_report_date_order; got '-1'"),
    "an order of many digits": (changed(patient_report_date_order="9" * 5000), "patient_report_date_order; got '999"),
    "an order and a half": (changed(patient_report_date_order="1.5"), "patient_report_date_order; got '1.5'"),
    "no order": (changed(patient_report_date_order=""), "patient_report_date_order; got ''"),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_corrupt_table_is_one_line_that_names_the_file(root: Path, name: str) -> None:
    corrupt, told = CORRUPT[name]
    path = root / TABLE
    path.write_bytes(corrupt(path.read_text(encoding="utf-8")))
    line = error(root)
    assert line.startswith(str(path)), line
    assert told in line, line
    assert "Traceback" not in line


def test_a_mistake_names_the_line_where_its_row_begins(root: Path) -> None:
    rows = toy()
    rows[2]["split"] = "nowhere"
    (root / TABLE).write_text(as_csv(rows), encoding="utf-8", newline="")
    number = int(re.search(r"line (\d+)", error(root))[1])  # type: ignore[index]
    assert "patient00003" in as_csv(rows).split("\n")[number - 1]


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(root: Path) -> None:
    before = read(root)
    path = root / TABLE
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    after = read(root)
    assert all(before.targets(split) == after.targets(split) for split in SPLITS)
    assert all(before.inputs(split) == after.inputs(split) for split in SPLITS)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"table": "../x.csv"}, "option table; got '../x.csv'"),
        ({"table": "/etc/passwd"}, "option table; got '/etc/passwd'"),
        ({"table": "other.csv"}, "other.csv cannot be read; got No such file"),
        ({"table": "train"}, "train cannot be read; got a folder; expected a file"),
        ({"context": ("history", "history")}, "option context; got history, history"),
        ({"views": ()}, "option views; got none"),
        ({"validate_share": 0.0}, "option validate_share; got 0.0"),
        ({"folder": "nowhere"}, "the films are missing"),
    ],
)
def test_wrong_options_are_one_line(root: Path, options: dict[str, Any], told: str) -> None:
    assert told in error(root, **options)


def test_reading_it_imports_no_torch() -> None:
    code = "import sys, rrgbench_datasets.chexpert_plus, rrgbench_datasets.rexrank; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
