"""ReXrank's JSON: a file a split, what is missing stays missing, and predictions go in and out in its form."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rrgbench_datasets import IUXray, ReXrank

from rrgbench import SPLITS, ConfigError, DataError, RRGBenchError
from rrgbench.predictions import filled, match_studies, read_texts
from rrgbench.testing import DatasetContract

Studies = dict[str, dict[str, Any]]


def study(number: int, films: int = 2, **more: Any) -> dict[str, Any]:
    name = f"CXR{number}_IM-{number:04}"
    return {
        "key_image_path": f"{name}/0.png",
        "image_path": [f"{name}/{film}.png" for film in range(films)],
        "report": "Findings: never read. Impression: None",
        "section_findings": f"Heart {number} is\n normal. Lungs clear.",
        "section_impression": f"Nothing acute in {number}.",
        "split": "test",
        "frontal_lateral": ["Frontal", "Lateral", "Lateral"][:films],
        "context": f"Indication: cough {number}. Comparison: None",
    } | more


def several(*numbers: int) -> Studies:
    return {f"CXR{number}_IM-{number:04}": study(number) for number in numbers}


def toy() -> Studies:
    """Six studies, of which two lack a section in two of the ways in which sections are missing."""
    made = several(1, 2, 3, 4, 5, 6)
    made["CXR2_IM-0002"]["section_findings"] = None
    made["CXR3_IM-0003"]["section_impression"] = float("nan")
    made["CXR4_IM-0004"]["section_findings"] = "None"
    del made["CXR5_IM-0005"]["section_impression"]
    made["CXR6_IM-0006"] |= {"section_findings": " ", "section_impression": ""}
    return made


def write(root: Path, real: bool = False, **files: Studies) -> Path:
    for name, studies in files.items():
        (root / f"{name}.json").write_text(json.dumps(studies), encoding="utf-8")
        for one in studies.values():
            for path in one["image_path"]:
                film = root / "images" / path
                film.parent.mkdir(parents=True, exist_ok=True)
                if real:
                    Image.new("L", (8, 8), 9).save(film)
                else:
                    film.write_bytes(b"film")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, test=toy())


def error(root: Path, **options: Any) -> str:
    with pytest.raises(RRGBenchError) as caught:
        ReXrank(root, **options)
    assert isinstance(caught.value, (DataError, ConfigError))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 1000
    return line


class TestOfThreeFiles(DatasetContract):
    component = ReXrank
    options: Mapping[str, Any] = {"validate": "valid.json", "train": "all.json"}

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _root(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        everything = toy() | several(7, 8, 9, 10)
        cls.root = write(tmp_path_factory.mktemp("three"), real=True, test=toy(), valid=several(7), all=everything)


class TestOfTestAlone(DatasetContract):
    component = ReXrank
    options: Mapping[str, Any] = {"target": "findings", "films": "key"}

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _root(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.root = write(tmp_path_factory.mktemp("alone"), real=True, test=toy())


# What is missing stays missing.


def test_a_missing_section_is_missing_in_every_form_and_never_a_word(root: Path) -> None:
    data = ReXrank(root)
    assert {one.study_id: one.report for one in data.targets("test")} == {
        "CXR1_IM-0001": "Findings: Heart 1 is normal. Lungs clear. Impression: Nothing acute in 1.",
        "CXR2_IM-0002": "Impression: Nothing acute in 2.",
        "CXR3_IM-0003": "Findings: Heart 3 is normal. Lungs clear.",
        "CXR4_IM-0004": "Impression: Nothing acute in 4.",
        "CXR5_IM-0005": "Findings: Heart 5 is normal. Lungs clear.",
    }
    assert [(count.rule, count.studies, count.images) for count in data.counts()] == [
        ("test: studies of test.json", 6, 12),
        ("test: the bare word None is a missing section (1 sections)", 6, 12),
        ("test: with findings or impression", 5, 10),
    ]


@pytest.mark.parametrize("word", ["None", "none", " nan\n", "NULL"])
def test_the_bare_word_is_missing_and_the_same_word_in_a_sentence_is_not(tmp_path: Path, word: str) -> None:
    one = {"CXR1_IM-0001": study(1, section_findings=word), "CXR2_IM-0002": study(2, section_findings="None of it.")}
    data = ReXrank(write(tmp_path, test=one), target="findings")
    assert [target.report for target in data.targets("test")] == ["None of it."]


def test_a_target_leaves_out_the_studies_that_lack_it(root: Path) -> None:
    data = ReXrank(root, target="findings")
    assert [one.study_id[:4] for one in data.targets("test")] == ["CXR1", "CXR3", "CXR5"]
    assert data.targets("test")[0].report == "Heart 1 is normal. Lungs clear."
    assert [one.report for one in ReXrank(root, target="impression").targets("test")][1] == "Nothing acute in 2."


def test_inputs_hold_films_views_and_context(root: Path) -> None:
    (given, *_) = ReXrank(root).inputs("test")
    assert (given.study_id, given.subject_id) == ("CXR1_IM-0001", "CXR1")
    assert given.images == (root / "images/CXR1_IM-0001/0.png", root / "images/CXR1_IM-0001/1.png")
    assert given.views == ("frontal", "lateral")
    assert given.context == "Indication: cough 1. Comparison: None"
    assert ReXrank(root, context="none").inputs("test")[0].context == ""


@pytest.mark.parametrize("context", [None, float("nan"), "", "None", "<context></context>"])
def test_a_missing_context_is_empty(tmp_path: Path, context: Any) -> None:
    data = ReXrank(write(tmp_path, test={"a": study(1, context=context)}))
    assert data.inputs("test")[0].context == ""


def test_the_tags_that_some_files_have_around_the_context_are_no_context(tmp_path: Path) -> None:
    data = ReXrank(write(tmp_path, test={"a": study(1, context="<context>Age:50-60.\nIndication: cough</context>")}))
    assert data.inputs("test")[0].context == "Age:50-60. Indication: cough"


def test_views_that_are_not_one_a_film_are_unknown_and_counted(tmp_path: Path) -> None:
    made = several(1, 2) | {"CXR3_IM-0003": study(3, frontal_lateral=["Frontal"]), "CXR4_IM-0004": study(4, frontal_lateral=None)}
    data = ReXrank(write(tmp_path, test=made))
    assert [one.views for one in data.inputs("test")][1:] == [("frontal", "lateral"), ("unknown",) * 2, ("unknown",) * 2]
    assert "test: views that are not one a film are unknown (1 studies)" in [count.rule for count in data.counts()]


def test_the_key_film_alone_can_be_asked_for(tmp_path: Path) -> None:
    made = several(1) | {"CXR2_IM-0002": study(2, key_image_path="CXR2_IM-0002/1.png")}
    root = write(tmp_path, test=made)
    first, second = ReXrank(root, films="key").inputs("test")
    assert (first.images, first.views) == ((root / "images/CXR1_IM-0001/0.png",), ("frontal",))
    assert (second.images, second.views) == ((root / "images/CXR2_IM-0002/1.png",), ("lateral",))
    assert [(c.studies, c.images) for c in ReXrank(root, films="key").counts()][-1] == (2, 2)
    del made["CXR1_IM-0001"]["key_image_path"]
    assert "field key_image_path is missing" in error(write(tmp_path, test=made), films="key")


def test_a_film_may_have_another_suffix_and_a_missing_one_be_dropped(root: Path) -> None:
    film = root / "images/CXR1_IM-0001/0.png"
    film.rename(film.with_suffix(".jpg"))
    assert ReXrank(root).inputs("test")[0].images[0].name == "0.jpg"
    film.with_suffix(".jpg").unlink()
    assert "study CXR1_IM-0001: a film is missing" in error(root)
    assert ReXrank(root, missing_images="drop").inputs("test")[0].views == ("lateral",)
    (root / "images/CXR1_IM-0001/1.png").unlink()
    data = ReXrank(root, missing_images="drop")
    assert "CXR1_IM-0001" not in {one.study_id for one in (*data.inputs("test"), *data.targets("test"))}
    assert [(c.rule, c.studies, c.images) for c in data.counts()][-1] == ("test: films that are there", 4, 8)


def test_the_folder_of_the_films_is_found_or_named(root: Path) -> None:
    (root / "images").rename(root / "PNG")
    assert ReXrank(root).inputs("test")[0].images[0].parent.parent.name == "PNG"
    (root / "PNG").rename(root / "mine")
    assert "the films are missing" in error(root)
    assert len(ReXrank(root, images="mine").inputs("test")) == 5


# Splits.


def test_a_split_without_a_file_is_not_there(root: Path) -> None:
    assert ReXrank(root).splits == ("test",)
    write(root, valid=several(7))
    assert ReXrank(root, validate="valid.json").splits == ("validate", "test")


def test_train_is_what_remains_of_a_file_that_holds_everything(tmp_path: Path) -> None:
    other = {"CXR1_IM-9999": study(1, image_path=["CXR1_IM-9999/0.png"], frontal_lateral=["Frontal"])}
    root = write(tmp_path, test=several(1, 2), valid=several(2, 3), all=several(1, 2, 3, 4, 5) | other)
    data = ReXrank(root, validate="valid.json", train="all.json")
    assert {split: [one.subject_id for one in data.inputs(split)] for split in SPLITS} == {
        "train": ["CXR4", "CXR5"],
        "validate": ["CXR3"],
        "test": ["CXR1", "CXR2"],
    }
    told = {count.rule: count.studies for count in data.counts()}
    assert told["validate: without subjects of test"] == 1
    assert told["train: studies of all.json"] == 6
    assert told["train: without subjects of test and validate"] == 2
    assert [path.name for path in data.sources()] == ["test.json", "valid.json", "all.json"]


def test_a_file_of_train_that_holds_test_alone_leaves_nothing(root: Path) -> None:
    (root / "train.json").write_bytes((root / "test.json").read_bytes())
    assert "no study is left for the split train; got 6 studies, 0 not of other splits" in error(root, train="train.json")


@pytest.mark.parametrize(
    ("name", "more", "subject"),
    [
        ("CXR12_IM-0001-1001", {}, "CXR12"),
        ("patient64545_study1", {}, "patient64545"),
        ("s1", {"image_path": ["valid/patient64545/study1/view1_frontal.png"], "frontal_lateral": None}, "patient64545"),
        ("50051329", {"image_path": ["p10/p10046166/s50051329/a.jpg"], "frontal_lateral": None}, "p10046166"),
        ("anything", {"subject_id": 10046166}, "10046166"),
        ("anything", {"image_path": ["a.png"], "frontal_lateral": None}, "anything"),
    ],
)
def test_the_subject_is_the_field_or_the_patient_that_id_or_path_names(
    tmp_path: Path, name: str, more: dict[str, Any], subject: str
) -> None:
    data = ReXrank(write(tmp_path, test={name: study(0) | {"image_path": ["x/a.png"], "frontal_lateral": None} | more}))
    assert data.inputs("test")[0].subject_id == subject


def test_r2gen_text_cleans_the_train_split_only(tmp_path: Path) -> None:
    root = write(tmp_path, test=several(1), train=several(2))
    data = ReXrank(root, train="train.json", text="r2gen", target="findings")
    assert data.targets("train")[0].report == "heart 2 is normal . lungs clear ."
    assert data.targets("test")[0].report == "Heart 1 is normal. Lungs clear."


def test_iu_xray_in_rexranks_form_has_r2gens_three_splits_and_train_is_what_remains(tmp_path: Path) -> None:
    base = Path(os.environ.get("RRGBENCH_DATA", "absent")) / "iu_xray"
    if not (base / "annotation.json").is_file():
        pytest.skip("RRGBENCH_DATA does not hold iu_xray")
    annotation = json.loads((base / "annotation.json").read_text(encoding="utf-8"))
    made = {key: {one["id"]: _as_rexrank(one) for one in items} for key, items in annotation.items()}
    everything = {name: one for key in ("test", "train", "val") for name, one in made[key].items()}
    for name, studies in (("test", made["test"]), ("valid", made["val"]), ("all", everything)):
        (tmp_path / f"{name}.json").write_text(json.dumps(studies), encoding="utf-8")
    (tmp_path / "images").symlink_to(base / "images")
    options: dict[str, Any] = {"missing_images": "drop", "target": "findings", "validate": "valid.json", "train": "all.json"}
    data, known = ReXrank(tmp_path, **options), IUXray(base, missing_images="drop", context="none")
    assert [len(data.inputs(split)) for split in SPLITS] == [2069, 296, 590]
    for split in SPLITS:
        for ours, theirs in zip(data.inputs(split), known.inputs(split), strict=True):
            assert (ours.study_id, ours.subject_id) == (theirs.study_id, theirs.subject_id)
            assert [path.name for path in ours.images] == [path.name for path in theirs.images]
        reports = [(one.study_id, " ".join(one.report.split())) for one in known.targets(split)]
        assert [(one.study_id, one.report) for one in data.targets(split)] == reports


def _as_rexrank(item: dict[str, Any]) -> dict[str, Any]:
    return {"image_path": item["image_path"], "section_findings": item["report"], "section_impression": "None"}


# What can be wrong with a file.


def changed(**fields: Any) -> str:
    made = toy()
    made["CXR3_IM-0003"] |= fields
    return json.dumps(made)


def renamed(name: str) -> str:
    made = toy()
    made[name] = made.pop("CXR3_IM-0003")
    return json.dumps(made)


FIELD = "study CXR3_IM-0003: field "
CORRUPT: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty; got 0 bytes"),
    "blank": (" \n", "is not readable as JSON"),
    "cut short": (json.dumps(toy())[:-40], "is not readable as JSON"),
    "JSON lines": (json.dumps(toy()) + "\n" + json.dumps(toy()), "is not readable as JSON; got Extra data"),
    "a list": (json.dumps(list(toy().values())), "top level; got a list; expected an object of studies by id"),
    "a text": ('"x"', "top level; got text"),
    "null": ("null", "top level; got null"),
    "no study": ("{}", "top level; got no study"),
    "R2Gen's annotation": ('{"train": [], "val": [], "test": []}', "study train; got a list"),
    "predictions": ('{"CXR1_IM-0001": "Clear."}', "study CXR1_IM-0001; got text; expected an object with image_path"),
    "an id twice": ('{"a": {}, "a": {}}', "a key stands twice; got the key 'a' twice in one object"),
    "a field twice": ('{"a": {"context": "x", "context": "y"}}', "a key stands twice"),
    "deep": ("[" * 50_000, "got too many levels"),
    "deep inside": ('{"a": {"image_path": ' + "[" * 50_000, "got too many levels"),
    "a number of many digits": ('{"a": ' + "9" * 5000 + "}", "is not readable as JSON"),
    "UTF-16": (json.dumps(toy()).encode("utf-16"), "line 1 is not text; got a NUL byte"),
    "Latin-1": ('{"caf\xe9": {}}'.encode("latin-1"), "is not UTF-8; got byte 0xe9"),
    "NUL": (b'{"a\0": {}}', "is not text; got a NUL byte"),
    "a zip": (b"PK\x03\x04" + bytes(60), "is not text"),
    "CSV": ("study_id,report\n1,x\n", "is not readable as JSON"),
    "no image_path": ('{"a": {"section_findings": "Clear."}}', "field image_path; got nothing"),
    "an empty image_path": (changed(image_path=[]), FIELD + "image_path; got an empty list"),
    "image_path a number": (changed(image_path=7), FIELD + "image_path; got a number"),
    "image_path of numbers": (changed(image_path=[7]), FIELD + "image_path; got a list with a number"),
    "image_path of lists": (changed(image_path=[["a.png"]]), FIELD + "image_path; got a list with a list"),
    "a film twice": (changed(image_path=["a.png", "a.png"]), FIELD + "image_path; got a.png, a.png; expected each film once"),
    "a path upward": (changed(image_path=["../a.png"]), FIELD + "image_path; got '../a.png'"),
    "a path upward inside": (changed(image_path=["a/../../a.png"]), FIELD + "image_path; got 'a/../../a.png'"),
    "an absolute path": (changed(image_path=["/etc/passwd"]), FIELD + "image_path; got '/etc/passwd'"),
    "a path with backslashes": (changed(image_path=["a\\b.png"]), FIELD + "image_path"),
    "a path with a NUL": (changed(image_path=["a\0.png"]), FIELD + "image_path"),
    "a path with a line break": (changed(image_path=["a\n.png"]), FIELD + "image_path"),
    "an empty path": (changed(image_path=[""]), FIELD + "image_path; got ''"),
    "a long path": (changed(image_path=["a" * 5000]), FIELD + "image_path"),
    "a key film upward": (changed(key_image_path="../a.png"), FIELD + "key_image_path; got '../a.png'"),
    "a key film that is a list": (changed(key_image_path=["a.png"]), FIELD + "key_image_path; got a list"),
    "findings a number": (changed(section_findings=7), FIELD + "section_findings; got a number; expected text, or null"),
    "findings a list": (changed(section_findings=["x"]), FIELD + "section_findings; got a list"),
    "findings true": (changed(section_findings=True), FIELD + "section_findings; got true or false"),
    "findings infinite": (changed(section_findings=float("inf")), FIELD + "section_findings; got a number"),
    "impression an object": (changed(section_impression={"x": 1}), FIELD + "section_impression; got an object"),
    "a huge text": (changed(section_findings="x" * 200_000), FIELD + "section_findings; got 200000 characters"),
    "half a character": (changed(section_findings="\ud800"), FIELD + "section_findings; got a lone surrogate"),
    "a NUL in a text": (changed(section_findings="a\0b"), FIELD + "section_findings; got a NUL character"),
    "a context that is an object": (changed(context={"age": 5}), FIELD + "context; got an object"),
    "another view": (changed(frontal_lateral=["Frontal", "Oblique"]), FIELD + "frontal_lateral; got 'Oblique'"),
    "a view that is a number": (changed(frontal_lateral=[0, 1]), FIELD + "frontal_lateral; got a number"),
    "views that are an object": (changed(frontal_lateral={}), FIELD + "frontal_lateral; got an object"),
    "a subject that is a list": (changed(subject_id=[1]), FIELD + "subject_id; got a list"),
    "an empty subject": (changed(subject_id=" "), FIELD + "subject_id; got ' '"),
    "an empty id": (renamed(""), "got the id ''"),
    "an id with a line break": (renamed("a\nb"), "got the id 'a\\nb'"),
    "an id with blanks around": (renamed(" a"), "got the id ' a'"),
    "a long id": (renamed("a" * 300), "expected at most 200 characters"),
    "an id without a subject": (
        json.dumps(several(1) | {"other": study(3, image_path=["a.png"], frontal_lateral=None)}),
        "its subject is not known; got 1 of 2 studies without, 1 with",
    ),
    "no section at all": (json.dumps({"a": study(1, section_findings=None, section_impression="None")}), "no study is left"),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_corrupt_file_is_one_line_that_names_it(root: Path, name: str) -> None:
    content, told = CORRUPT[name]
    path = root / "test.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    line = error(root)
    assert line.startswith(str(path)), line
    assert told in line, line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"test": "../test.json"}, "option test; got '../test.json'"),
        ({"test": "/etc/passwd"}, "option test; got '/etc/passwd'"),
        ({"test": "other.json"}, "other.json: no such file"),
        ({"test": "images"}, "images is a folder"),
        ({"train": "test.json"}, "got one file twice"),
        ({"validate": "nowhere.json"}, "nowhere.json: no such file"),
        ({"images": "../images"}, "option images"),
        ({"images": "nowhere"}, "the films are missing"),
    ],
)
def test_wrong_options_are_one_line(root: Path, options: dict[str, Any], told: str) -> None:
    assert told in error(root, **options)


# Predictions in and out.


def test_predictions_go_out_in_rexranks_form_and_come_in_again(root: Path, tmp_path: Path) -> None:
    data = ReXrank(root)
    predictions = {one.study_id: f'Findings: "é" for\n{one.study_id}' for one in data.targets("test")}
    content, left_out = filled(root / "test.json", predictions)
    assert left_out == ("CXR6_IM-0006",)
    out = tmp_path / "out.json"
    out.write_bytes(content)
    read = read_texts(out)
    assert dict(read.texts) == predictions
    assert "section_findings" in read.ignored and "model_prediction" not in read.ignored
    assert match_studies(read, list(predictions), "the test split") == predictions
    made = json.loads(content)
    assert made["CXR3_IM-0003"]["section_impression"] is None
    for name, fields in made.items():
        given = toy()[name] | {"model_prediction": predictions[name]}
        assert fields == (given if name != "CXR3_IM-0003" else given | {"section_impression": None})
    again, _ = filled(out, predictions)
    assert again == content


def test_a_file_that_was_filled_is_a_data_set_too(root: Path) -> None:
    data = ReXrank(root)
    content, _ = filled(root / "test.json", {one.study_id: "Clear." for one in data.targets("test")})
    (root / "filled.json").write_bytes(content)
    assert ReXrank(root, test="filled.json").targets("test") == data.targets("test")


def test_predictions_of_other_studies_are_refused_with_how_ids_differ(root: Path) -> None:
    with pytest.raises(DataError, match="predictions of studies that are not in it; got 1: cxr1_im-0001") as caught:
        filled(root / "test.json", {"cxr1_im-0001": "Clear."})
    assert "differ by case only" in str(caught.value)


@pytest.mark.parametrize("content", ["[]", '{"a": "Clear."}', '{"a": {}, "b": 1}'])
def test_only_a_file_of_studies_can_be_filled(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="expected a mapping of study ids, each to an object"):
        filled(tmp_path / "x.json", {"a": "Clear."})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": {"model_prediction": null}}', "the prediction of a; got null"),
        ('{"a": {"model_prediction": 7}}', "the prediction of a; got 7"),
        (
            '{"a": {"model_prediction": "Clear."}, "b": "Clear."}',
            "key 'b'; got a text; expected a text for every id, or an object",
        ),
        ('{"a": {"model_prediction": "Clear."}, "b": {}}', "key 'b'; got an object with no key"),
        (
            '{"a": {"report": "Clear."}}',
            "key 'a'; got an object with report; expected a text for every id, or an object with model",
        ),
    ],
)
def test_a_wrong_file_of_predictions_is_one_line(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_texts(tmp_path / "x.json")
    assert told in str(caught.value)


def test_rexranks_reports_are_no_references_since_they_may_say_none(root: Path) -> None:
    with pytest.raises(DataError, match="got an object; expected a text"):
        read_texts(root / "test.json", ("reference", "report"))


# The whole way.


@pytest.mark.heavy
def test_a_benchmark_that_is_a_file_is_scored_and_its_predictions_go_out_again(
    root: Path, tmp_path: Path, shell: Any, write_experiment: Any
) -> None:
    given = {one.study_id: f"Findings: lungs clear, {one.study_id}." for one in ReXrank(root).targets("test")}
    predictions, out = tmp_path / "given.json", tmp_path / "out.json"
    predictions.write_bytes(filled(root / "test.json", given)[0])
    dataset = ("--dataset", "rexrank", "--root", root, "--metrics", "bleu,diversity", "--floors", "constant")
    refused = shell("score", predictions, *dataset, "--store", tmp_path / "store", "--json")
    assert refused.code == 2
    assert "diversity cannot be computed; got rexrank has no train split" in refused.err
    asked = [*dataset[:4], "--metrics", "bleu", "--floors", "constant", "--store", tmp_path / "store"]
    scored = shell("score", predictions, *asked, "--json")
    assert scored.code == 0, scored.err
    row = scored.json["row"]
    assert (row["n"], row["license"]) == (5, "credentialed")
    assert row["not_applicable"]["floor constant"] == "rexrank has no train split"
    told = shell(
        "leaderboard", "predictions", row["id"], "--out", out, "--into", root / "test.json", "--store", tmp_path / "store"
    )
    assert told.code == 0, told.err
    assert "1 studies of" in told.err
    assert out.read_bytes() == predictions.read_bytes()
    assert shell("score", out, *asked, "--json").json["executed"] == {}
    trained = write_experiment(tmp_path, {"base.dataset": {"name": "rexrank", "root": str(root), "target": "both"}})
    planned = shell("plan", trained, "--store", tmp_path / "store")
    assert planned.code == 2
    assert "data set rexrank has no train and no validate split" in planned.err
