"""Annotator ``precomputed``: graphs from RadGraph's JSON in its forms, and what is no such file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rrgbench_annotators import Precomputed, graph_json

from rrgbench import DataError, Entity, ReportGraph, RRGBenchError
from rrgbench.findings import findings_of
from rrgbench.testing import AnnotatorContract
from rrgbench.testing.toys import REPORTS


def annotation(text: str, *entities: tuple[str, str, int, list[list[str]]]) -> dict[str, Any]:
    """RadGraph's form of one report; entities: tokens, label, place, relations."""
    held = {
        str(number): {"tokens": tokens, "label": label, "start_ix": at, "end_ix": at, "relations": related}
        for number, (tokens, label, at, related) in enumerate(entities, start=1)
    }
    return {"text": text, "entities": held, "data_source": None, "data_split": "inference"}


LARGE = annotation("The heart is large .", ("heart", "ANAT-DP", 1, []), ("large", "OBS-DP", 3, [["located_at", "1"]]))
CLEAR = annotation(
    "Lungs clear . No effusion .",
    ("Lungs", "Anatomy::definitely present", 0, []),
    ("clear", "Observation::definitely present", 1, [["located_at", "1"], ["modify", "2"]]),
    ("effusion", "Observation::definitely absent", 4, []),
)


def write(path: Path, held: Any) -> Path:
    path.write_text(json.dumps(held), encoding="utf-8")
    return path


@pytest.fixture
def made(tmp_path: Path) -> Any:
    def make(held: Any, **options: Any) -> Precomputed:
        return Precomputed(path=write(tmp_path / "graphs.json", held), **options)

    return make


class TestPrecomputed(AnnotatorContract):
    component = Precomputed

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        held = {report: annotation(report, (report.split()[0], "ANAT-DP", 0, [])) for report in REPORTS}
        type(self).options = {"path": write(tmp_path / "graphs.json", held), "missing": "empty"}


@pytest.mark.parametrize(
    "held",
    [
        {"0": LARGE, "1": CLEAR},
        {"p10/p10000001/s50000001.txt": LARGE, "p10/p10000001/s50000002.txt": CLEAR},
        [{"0": LARGE}, {"0": CLEAR}],
        [LARGE, CLEAR],
        [{"0": LARGE, "1": CLEAR}],
        {"all": {"0": LARGE, "1": CLEAR}},
    ],
    ids=["object", "paths", "chexpert plus", "list", "list of calls", "nested"],
)
def test_each_form_is_read_and_a_report_is_found_by_its_text(held: Any, made: Any) -> None:
    large, clear, empty = made(held, lower=False)(["THE HEART\nIS LARGE.", "Lungs clear. No effusion.", "  "])
    assert large.text == "The heart is large ." and empty == ReportGraph("")
    assert large.entities[1] == Entity("large", "OBS-DP", 3, 3, (("located_at", 0),))
    assert clear.entities[1].relations == (("located_at", 0),), "a relation to itself says nothing"
    assert clear.entities[2].label == "Observation::definitely absent"
    assert findings_of(large)["cardiomegaly"] == "present" and findings_of(clear)["effusion"] == "absent"


def test_words_are_lower_cased_unless_that_is_off(made: Any) -> None:
    (graph,) = made([CLEAR])(["lungs clear. no effusion."])
    assert graph.text == "lungs clear . no effusion ." and graph.entities[0].tokens == "lungs"
    assert graph.entities[0].label == "Anatomy::definitely present"


def test_missing_reports_are_counted_and_never_shown(made: Any) -> None:
    with pytest.raises(DataError) as caught:
        made([LARGE])(["The heart is large.", "Secret words.", "Other secret.", "Secret words."])
    assert "no annotation of 2 of 3 reports" in str(caught.value) and "ecret" not in str(caught.value)
    assert made([LARGE], missing="empty")(["Secret words."]) == [ReportGraph("")]


def test_the_identity_follows_the_content_and_the_options(made: Any) -> None:
    first, second = made([LARGE]).identity, made([CLEAR]).identity
    assert first != second and made([LARGE]).identity == first
    assert len({first, made([LARGE], lower=False).identity, made([LARGE], missing="empty").identity}) == 3


def test_of_two_annotations_of_one_text_the_first_is_taken(made: Any) -> None:
    other = annotation("the heart is large.", ("heart", "OBS-U", 1, []))
    assert made([LARGE, other])(["the heart is large."])[0].entities[0].label == "ANAT-DP"


def test_a_file_larger_than_a_window_is_read_in_parts(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {f"köy {number}": annotation(f"größe {number} 心 \\u2028 .", ("größe", "OBS-DP", 0, [])) for number in range(40)}
    whole = made(held)
    expected = whole([f"Größe {number} 心 \\u2028." for number in range(40)])
    for size in (1, 7, 64):
        monkeypatch.setattr(graph_json, "_CHUNK", size)
        index = graph_json.read_index(whole._path)
        assert index.sha256 == whole._index.sha256
        assert [index.graph(graph.text) for graph in expected] == expected


@pytest.mark.parametrize("mark", ["\ufeff", " \n\t"])
def test_what_stands_before_the_value_does_not_count(mark: str, tmp_path: Path) -> None:
    (tmp_path / "graphs.json").write_text(mark + json.dumps([LARGE]) + "\n", encoding="utf-8")
    assert len(Precomputed(path=tmp_path / "graphs.json")(["The heart is large."])[0].entities) == 2


def _changed(**fields: Any) -> list[Any]:
    entity = {"tokens": "heart", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []}
    return [{"text": "heart", "entities": {"1": {**entity, **fields}}}]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "a JSON object of annotations, or a list of them"),
        ("null", "a JSON object of annotations"),
        ('"text"', "a JSON object of annotations"),
        ("[]", "annotations; got none"),
        ("{}", "annotations; got none"),
        ("[{}]", "annotations; got none"),
        ("[1, 2]", "an element that is no object"),
        ('{"0": [1]}', "an element that is no object"),
        ('{"text": "a", "entities": {}}', "an element that is no object"),
        ('{0: {"text": "a"}}', "a key that is no text"),
        ('{"0" {"text": "a"}}', "a key without a value"),
        ('[{"text": "a"', "no JSON value"),
        ('[{"text": "a", "entities": {}} {}]', "elements that break off"),
        ('[{"text": "a", "entities": {}}', "elements that break off"),
        ('[{"text": "a", "entities": {}}] []', "more after its end"),
        ('[{"text": "a", "labeler_1": {}}]', "got an object with labeler_1, text"),
        ('[{"text": 5, "entities": {}}]', "`text` \\(a text\\)"),
        ('[{"text": "a", "entities": []}]', "`entities` \\(an object\\)"),
        ('[{"0": 5}]', "got int"),
        ('[{"a":' * 100_000, "RecursionError|no JSON value"),
        ('[{"text": "a", "entities": {}, "n": ' + "9" * 5000 + "}]", "ValueError|no JSON value"),
        (json.dumps(_changed(label=5)), "entity 1; got fields"),
        (json.dumps(_changed(tokens="")), "entity 1; got fields"),
        (json.dumps(_changed(start_ix="0")), "start_ix <= end_ix"),
        (json.dumps(_changed(start_ix=True)), "start_ix <= end_ix"),
        (json.dumps(_changed(start_ix=3)), "start_ix <= end_ix"),
        (json.dumps(_changed(relations={})), "relations; expected"),
        (json.dumps(_changed(relations=[["modify"]])), "relations; expected"),
        (json.dumps(_changed(relations=[["modify", "9"]])), "relations; expected"),
        (json.dumps([{"text": "a", "entities": {"1": []}}]), "entity 1; got list"),
    ],
)
def test_what_is_no_such_file_is_refused_in_one_line(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "graphs.json").write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        Precomputed(path=tmp_path / "graphs.json")(["heart"])
    assert "\n" not in str(caught.value) and "graphs.json" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe[", b'[{"text": "\xff", "entities": {}}]', b"PK\x03\x04", b"[" * 1000, b"\0" * 100]
)
def test_bytes_that_are_no_text_are_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "graphs.json").write_bytes(content)
    with pytest.raises(DataError):
        Precomputed(path=tmp_path / "graphs.json")(["heart"])


def test_an_endless_element_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_json, "_LONGEST", 5000)
    monkeypatch.setattr(graph_json, "_CHUNK", 500)
    for content in ('[{"text": "' + "a" * 50_000, json.dumps([annotation("a " * 3000)])):
        (tmp_path / "graphs.json").write_text(content)
        with pytest.raises(DataError, match="at most 5000"):
            graph_json.read_index(tmp_path / "graphs.json")


def test_a_file_that_changes_while_it_is_used_is_told(made: Any) -> None:
    annotator = made([LARGE, CLEAR])
    annotator(["The heart is large."])
    write(annotator._path, [CLEAR, LARGE])
    with pytest.raises(DataError, match="changed while it was read"):
        annotator(["The heart is large."])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got a folder"):
        Precomputed(path=tmp_path)(["a"])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 400))
def test_no_damage_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    whole = json.dumps([{"0": LARGE}, {"0": CLEAR}]).encode()
    path = tmp_path_factory.mktemp("noise") / "graphs.json"
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        graph_json.read_index(path)
    except RRGBenchError as error:
        assert "\n" not in str(error)
