"""Reports from outside: what is read is what stands there, and whatever could change n or a text is one clear line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrgbench.errors import DataError
from rrgbench.predictions import match_studies, read_texts

REPORTS = {
    "s1": "The heart is normal.",
    "s2": 'Lungs "clear", no effusion.\nStable.',
    "s3": "",
    "s4": "Naïve\u2028 text ½ with signs.",
}


def _csv(rows: dict[str, str], header: str = "study_id,prediction", end: str = "\r\n") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end).writerows(rows.items())
    return header + end + out.getvalue()


def _lines(rows: dict[str, str], **more: Any) -> str:
    return "".join(json.dumps({"study_id": s, "prediction": t, **more}, ensure_ascii=False) + "\n" for s, t in rows.items())


FORMS: dict[str, tuple[str, str]] = {
    "CSV with CRLF": (".csv", _csv(REPORTS)),
    "CSV with LF": (".csv", _csv(REPORTS, end="\n")),
    "CSV without an end": (".csv", _csv(REPORTS, end="\n").rstrip("\n")),
    "CSV with blank lines": (".csv", _csv(REPORTS, end="\n").replace("s4,", "\n\ns4,") + "\n\n"),
    "CSV with a byte order mark": (".csv", "\ufeff" + _csv(REPORTS)),
    "CSV without a suffix": ("", _csv(REPORTS)),
    "JSON mapping": (".json", json.dumps(REPORTS, ensure_ascii=False)),
    "JSON mapping, escaped": (".json", json.dumps(REPORTS, indent=1)),
    "JSON mapping with a byte order mark": (".json", "\ufeff" + json.dumps(REPORTS)),
    "JSON list": (".json", json.dumps([{"study_id": s, "prediction": t} for s, t in REPORTS.items()])),
    "JSON without a suffix": (".txt", json.dumps(REPORTS, indent=1)),
    "JSON on one line without a suffix": (".txt", json.dumps(REPORTS)),
    "JSON list without a suffix": (".txt", json.dumps([{"study_id": s, "prediction": t} for s, t in REPORTS.items()])),
    "JSON lines": (".jsonl", _lines(REPORTS)),
    "JSON lines with blank lines and CRLF": (".jsonl", _lines(REPORTS).replace("\n", "\r\n\r\n")),
    "JSON lines without a suffix": (".out", _lines(REPORTS)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_texts(form: str, tmp_path: Path) -> None:
    suffix, text = FORMS[form]
    path = tmp_path / f"predictions{suffix}"
    path.write_bytes(text.encode())
    found = read_texts(path)
    assert found.texts == REPORTS
    assert list(found.texts) == list(REPORTS)
    assert found.empty == ("s3",)
    assert found.ignored == ()
    assert form.startswith(found.format)


def test_one_prediction_on_one_line_is_told_apart_from_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "predictions"
    path.write_text(_lines({"s1": "Clear."}))
    assert read_texts(path).texts == {"s1": "Clear."}
    path.write_text('{"s1": "Clear."}')
    assert read_texts(path).texts == {"s1": "Clear."}


@settings(max_examples=60, deadline=None)
@given(
    texts=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(lambda s: s.strip()),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40).map(lambda text: f"{text} heart"),
        min_size=1,
        max_size=6,
    )
)
def test_any_text_comes_back_as_it_was_from_every_format(texts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    for suffix, text in ((".csv", _csv(texts)), (".json", json.dumps(texts)), (".jsonl", _lines(texts))):
        path = folder / f"p{suffix}"
        path.write_bytes(text.encode())
        assert read_texts(path).texts == texts


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("model,study_id,score,prediction\nx,s1,0.5,Clear.\n")
    assert read_texts(path).ignored == ("model", "score")
    (tmp_path / "p.jsonl").write_text(_lines({"s1": "Clear."}, model="x", score=float("nan")))
    assert read_texts(tmp_path / "p.jsonl").ignored == ("model", "score")


def test_references_may_be_called_report_or_reference(tmp_path: Path) -> None:
    for name in ("report", "reference"):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"study_id,{name}\ns1,Clear.\n")
        assert read_texts(path, ("reference", "report")).texts == {"s1": "Clear."}
    path.write_text("study_id,report,reference\ns1,Clear.,Clear.\n")
    with pytest.raises(DataError, match="names a column twice"):
        read_texts(path, ("reference", "report"))


# What is refused.

LONG = "the heart " * 20_000
TWICE = _csv({"s1": "a b", "s2": "b c", "s3": "c d", "s4": "d e"}) + "s4,x y\r\ns1,x y\r\ns2,x y\r\ns3,x y\r\n"
BAD: dict[str, tuple[str, bytes, list[str]]] = {
    "empty": (".csv", b"", ["is empty; got 0 bytes"]),
    "empty JSON": (".json", b"", ["is empty"]),
    "blank": (".csv", b" \r\n\n", ["is empty; got 4 bytes"]),
    "a header alone": (".csv", b"study_id,prediction\n", ["holds no predictions"]),
    "an empty mapping": (".json", b"{}", ["holds no predictions"]),
    "an empty list": (".json", b"[]", ["holds no predictions"]),
    "no header": (
        ".csv",
        b"s1,The heart is normal.\ns2,Clear.\n",
        ["line 1", "the first line names the columns"],
    ),
    "no id column": (".csv", b"id,prediction\ns1,Clear.\n", ["line 1", "got 'id', 'prediction'"]),
    "no prediction column": (".csv", b"study_id,report\ns1,Clear.\n", ["expected study_id and prediction"]),
    "a column twice": (".csv", b"study_id,prediction,prediction\ns1,a,b\n", ["names a column twice"]),
    "a header with spaces": (".csv", b"study_id, prediction\ns1,Clear.\n", ["written exactly so, without spaces"]),
    "a header in capitals": (".csv", b"Study_ID,Prediction\ns1,Clear.\n", ["written exactly so"]),
    "semicolons": (".csv", b"study_id;prediction\ns1;Clear.\n", ["parted by commas"]),
    "tabs": (".csv", b"study_id\tprediction\ns1\tClear.\n", ["parted by commas"]),
    "a comma that is not quoted": (".csv", b"study_id,prediction\ns1,Clear, normal.\n", ["line 2; got 3 fields; expected 2"]),
    "a line that is short": (".csv", b"study_id,prediction\ns1,a b\n\ns2\n", ["line 4; got 1 fields"]),
    "a quotation mark that is not closed": (".csv", b'study_id,prediction\ns1,"Clear.\ns2,a\n', ["CSV", "not closed?"]),
    "text after a quotation mark": (".csv", b'study_id,prediction\ns1,"a" b\n', ["line 2: not readable as CSV"]),
    "a field without an end": (".csv", f'study_id,prediction\ns1,"{LONG}'.encode(), ["CSV", "field larger", "not closed?"]),
    "a huge text": (".jsonl", _lines({"s1": LONG}).encode(), ["line 1", "200000 characters", "at most 131072"]),
    "a huge id": (".json", json.dumps({LONG: "a"}).encode(), ["study_id", "200000 characters"]),
    "Latin-1": (".csv", "study_id,prediction\ns1,na\xefve\n".encode("latin-1"), ["line 2", "byte 0xef at offset 25", "UTF-8"]),
    "UTF-16": (".csv", _csv({"s1": "a"}).encode("utf-16"), ["not UTF-8 text; got byte 0xff at offset 0", "UTF-16: save it as"]),
    "UTF-16 without a mark": (".csv", _csv({"s1": "a"}).encode("utf-16-le"), ["a NUL byte", "offset 1"]),
    "a film": (".csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", ["byte 0x89 at offset 0"]),
    "a spreadsheet": (".csv", b"PK\x03\x04\x14\0\x06\0", ["a zip archive (a spreadsheet?)"]),
    "gzip": (".jsonl", gzip.compress(b"x"), ["packed with gzip: unpack it"]),
    "a NUL byte": (".csv", b"study_id,prediction\ns1,a\0b\n", ["line 2: a NUL byte", "offset 24"]),
    "a NUL escape": (".json", b'{"s1": "a\\u0000b"}', ["a NUL character"]),
    "a NUL in an id": (".json", b'{"s\\u00001": "ab"}', ["study_id; got a NUL character"]),
    "half a character": (".jsonl", b'{"study_id": "s1", "prediction": "a\\ud800b"}', ["line 1", "surrogate"]),
    "UTF-8 of a surrogate": (".csv", b"study_id,prediction\ns1,\xed\xa0\x80\n", ["offset 23"]),
    "truncated JSON": (".json", json.dumps(REPORTS).encode()[:60], ["not readable as JSON", "seems to be cut off"]),
    "truncated after a comma": (".json", b'{"s1": "a", ', ["not readable as JSON", "cut off"]),
    "a truncated line": (".jsonl", _lines({"s1": "a", "s2": "b"}).encode()[:-9], ["line 2: not readable as JSON", "cut off"]),
    "JSON lines called JSON": (".json", _lines({"s1": "a", "s2": "b"}).encode(), ["Extra data", "name it .jsonl"]),
    "no JSON at all": (".json", b"study_id,prediction\n", ["not readable as JSON", "line 1, column 1"]),
    "a bare text": (".json", b'"Clear."', ["the whole; got a text"]),
    "levels without end": (".json", b"[" * 100_000, ["too many levels"]),
    "a number without end": (".json", b'{"s1": ' + b"9" * 5000 + b"}", ["not readable as JSON"]),
    "keys twice": (".json", b'{"s1": "a", "s2": "b", "s1": "c", "s2": "d"}', ["more than once", "2: s1, s2"]),
    "keys of a member twice": (
        ".jsonl",
        b'{"study_id": "s1", "prediction": "a", "prediction": "b"}',
        ["line 1", "more than once", "1: prediction"],
    ),
    "ids twice in CSV": (".csv", TWICE.encode(), ["stand more than once; got 4: s4, s1, s2, ..; expected each study once"]),
    "ids twice in a list": (
        ".json",
        b'[{"study_id": "s", "prediction": "a"}, {"study_id": "s", "prediction": "a"}]',
        ["got 1: s"],
    ),
    "ids twice in lines": (".jsonl", _lines({"s": "a"}).encode() * 3, ["more than once; got 1: s"]),
    "null": (".json", b'{"s1": null}', ["the prediction of s1; got null; expected a text", 'write ""']),
    "NaN": (".json", b'{"s1": NaN}', ["the prediction of s1; got NaN; expected a text"]),
    "a number": (".jsonl", b'{"study_id": "s1", "prediction": 3}', ["line 1", "the prediction of s1; got 3"]),
    "true": (".json", b'{"s1": true}', ["got true"]),
    "a list of texts": (".json", b'{"s1": ["Clear."]}', ["got a list"]),
    "an object": (".json", b'{"s1": {"prediction": "Clear."}}', ["got an object"]),
    "NaN in CSV": (".csv", b"study_id,prediction\ns1,nan\n", ["line 2: the prediction of s1; got 'nan'", "JSON can hold"]),
    "null in CSV": (".csv", b"study_id,prediction\ns1,NULL\n", ["got 'NULL'"]),
    "None in CSV": (".csv", b"study_id,prediction\ns1, None \n", ["got ' None '"]),
    "a number in CSV": (".csv", b"study_id,prediction\ns1,-0.5e3\n", ["got '-0.5e3'"]),
    "no id": (".csv", b"study_id,prediction\n ,Clear.\n", ["line 2: study_id; got ' '"]),
    "an id that is null": (".jsonl", b'{"study_id": null, "prediction": "a"}', ["line 1: study_id; got null"]),
    "an id that is a number": (".jsonl", b'{"study_id": 7, "prediction": "a"}', ["study_id; got 7", "quotation marks"]),
    "no prediction": (".jsonl", b'{"study_id": "s1"}', ["line 1: its keys; got study_id; expected an object with"]),
    "no object": (".json", b'["Clear."]', ["item 0; got a text; expected an object with study_id and prediction"]),
    "a line that is no object": (".jsonl", b'["s1", "Clear."]\n', ["line 1; got a list"]),
}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the shell in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        from rrgbench.cli import main

        monkeypatch.setenv("RRGBENCH_NO_PLUGIN_COMMANDS", "1")
        monkeypatch.setattr(sys, "argv", ["rrgbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def _is_one_line(ran: tuple[int, str, str], wanted: list[str]) -> None:
    code, out, err = ran
    assert (code, out) == (2, ""), err
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert line.isprintable()
    assert len(line) < 700
    assert all(part in line for part in wanted), line


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_and_exit_2(name: str, tmp_path: Path, command: Any) -> None:
    suffix, content, wanted = BAD[name]
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    (tmp_path / "references.csv").write_text("study_id,report\ns1,Clear.\n")
    ran = command("score", path, "--references", tmp_path / "references.csv", "--store", tmp_path / "store")
    _is_one_line(ran, [str(path), *wanted])
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda path: None, ["no such file"]),
        (lambda path: path.mkdir(), ["is a folder"]),
        (lambda path: path.symlink_to(path), ["cannot be read"]),
    ],
    ids=["absent", "a folder", "a loop"],
)
def test_a_file_that_is_none_is_one_line(make: Any, wanted: list[str], tmp_path: Path, command: Any) -> None:
    path = tmp_path / "p.csv"
    make(path)
    _is_one_line(command("score", path, "--dataset", "phantom", "--store", tmp_path / "store"), wanted)


STUDIES = [f"CXR{number}_IM-{number:04d}" for number in range(1, 8)]
IDS: dict[str, tuple[Callable[[str], str | None], list[str]]] = {
    "missing": (lambda s: s if s not in STUDIES[:5] else None, [f"5 missing ({', '.join(STUDIES[:3])}, ..)", "exactly its 7"]),
    "one missing": (lambda s: s if s != STUDIES[0] else None, [f"got 1 missing ({STUDIES[0]}); expected"]),
    "unknown": (lambda s: f"other{STUDIES.index(s)}", ["7 missing", "7 unknown (other0, other1, other2, ..)"]),
    "whitespace": (lambda s: f" {s} ", ["7 differ by whitespace only: ' CXR1_IM-0001 ' for 'CXR1_IM-0001'"]),
    "case": (str.lower, ["differ by case only: 'cxr1_im-0001'"]),
    "a prefix more": (lambda s: f"s{s}", ["7 differ by the prefix 's' only"]),
    "a prefix less": (lambda s: s.removeprefix("CXR"), ["7 differ by the prefix 'CXR' only"]),
    "a folder": (lambda s: f"images/test/{s}", ["differ by a folder in front only"]),
    "a suffix": (lambda s: f"{s}.png", ["differ by a suffix only"]),
}


@pytest.mark.parametrize("name", IDS)
def test_other_studies_than_those_to_be_scored_are_one_line(name: str, tmp_path: Path, command: Any) -> None:
    change, wanted = IDS[name]
    path, references = tmp_path / "p.json", tmp_path / "references.json"
    references.write_text(json.dumps(dict.fromkeys(STUDIES, "Clear.")))
    path.write_text(json.dumps({changed: "Clear." for study in STUDIES if (changed := change(study)) is not None}))
    ran = command("score", path, "--references", references, "--store", tmp_path / "store")
    _is_one_line(ran, [f"{path}: not of the studies of the references", *wanted])
    assert not list((tmp_path / "store").glob("steps/*/*"))


def test_extra_studies_are_named_and_their_split_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"a": "x", "b": "x", "t1": "x", "t2": "x"}))
    others = {"validate": frozenset[str](), "train": frozenset({"t1", "t2", "t3"})}
    with pytest.raises(DataError) as told:
        match_studies(read_texts(path), ["a", "b"], "toy, test", others)
    assert str(told.value) == (
        f"{path}: not of the studies of toy, test; got 2 unknown (t1, t2); expected exactly its 2. "
        "Hint: 2 of the unknown ones are of train"
    )


def test_the_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"b": "2", "a": "1"}))
    assert list(match_studies(read_texts(path), ["a", "b"], "toy").items()) == [("a", "1"), ("b", "2")]


def test_an_empty_reference_is_refused_and_an_empty_prediction_is_not(tmp_path: Path, command: Any) -> None:
    path, references = tmp_path / "p.json", tmp_path / "r.json"
    path.write_text(json.dumps({"a": "Clear."}))
    references.write_text(json.dumps({"a": " "}))
    ran = command("score", path, "--references", references, "--store", tmp_path / "store")
    _is_one_line(ran, [str(references), "study a has an empty report"])


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "what to score against; got nothing; expected one of --dataset, --references, --like"),
        (["--dataset", "phantom", "--references", "r.csv"], "got --dataset and --references"),
        (["--dataset", "phantom", "--split", "train"], "--split; got train; expected test or validate"),
        (["--references", "r.csv", "--set", "studies=10"], "--set says nothing beside --references"),
        (["--references", "r.csv", "--floors", "none"], "--floors says nothing beside --references"),
        (["--like", "e.yaml", "--protocol", "raw"], "--protocol says nothing beside --like"),
        (["--dataset", "phantom", "--set", "root=/x"], "--root gives the folder"),
        (["--dataset", "phantom", "--set", "studies"], "--set; got 'studies'; expected option=value"),
        (["--dataset", "phantom", "--set", "studies=many"], "--dataset.studies; got 'many'; expected int"),
        (["--dataset", "phantm"], "did you mean 'phantom'?"),
        (["--dataset", "phantom", "--metrics", "bleu,ruge"], "did you mean 'rouge'?"),
        (["--dataset", "phantom", "--metrics", "none"], "--metrics; got none; expected at least one"),
        (["--dataset", "phantom", "--metrics", "[bleu"], "--metrics, line 1: not readable as YAML"),
        (["--dataset", "phantom", "--protocol", "{name: raw, x: 1}"], "raw has no such option; got 'x'"),
        (["--dataset", "phantom", "--floors", "ceiling"], "--floors: no floors component of that name; got 'ceiling'"),
        (["--references", "r.csv", "--protocol", "r2gen-iu"], "protocol r2gen-iu reads the train reports"),
        (["--references", "r.csv", "--metrics", "bleu,diversity"], "--metrics: diversity cannot be computed"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    arguments: list[str], wanted: str, tmp_path: Path, command: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("study_id,prediction\ns1,Clear.\n")
    Path("r.csv").write_text("study_id,report\ns1,Clear.\n")
    _is_one_line(command("score", "p.csv", *arguments, "--store", "store"), [wanted])
