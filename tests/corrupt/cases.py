"""What can be wrong with the files of a data set: a table that further data sets extend.

A case breaks a whole, right tree and says what words the one clear mistake must hold. To add a data set, add its layout to
``LAYOUTS`` (factory, how it is laid down, its options) and its cases to ``CASES``.
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from rrgbench_datasets import MIMICCXR, Table


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
Break = Callable[[Path], object]


@dataclass(frozen=True)
class Layout:
    """A right tree: the data set that reads it, how studies of phantom are laid down, and its options."""

    dataset: Any
    lay: Callable[[Path, Sequence[Any]], object]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One thing that is wrong. ``told``: words of the mistake; ``options`` come on top of the layout's."""

    layout: str
    name: str
    change: Break
    told: str
    options: Mapping[str, Any] = field(default_factory=dict)


def _packed(root: Path, studies: Sequence[Any]) -> None:
    named = layouts.mimic_studies(studies)
    layouts.write_mimic(root, named, packed=True, records=True, texts=False)
    layouts.write_reports_zip(root, named)


def _sectioned(root: Path, studies: Sequence[Any]) -> None:
    named = layouts.mimic_studies(studies)
    layouts.write_mimic(root, named, texts=False)
    layouts.write_sectioned(root, named)


LAYOUTS: dict[str, Layout] = {
    "mimic": Layout(
        MIMICCXR, lambda root, studies: layouts.write_mimic(root, layouts.mimic_studies(studies)), {"prior_studies": 1}
    ),
    "packed": Layout(MIMICCXR, _packed),
    "sectioned": Layout(MIMICCXR, _sectioned, {"reports": "sectioned_csv", "context": ("comparison",)}),
    "r2gen": Layout(
        MIMICCXR,
        lambda root, studies: layouts.write_r2gen(root, layouts.mimic_studies(studies)),
        {"annotation": "annotation.json", "context": ()},
    ),
    "csv": Layout(Table, layouts.write_csv, {"columns": {"views": "views", "context": "context"}, "labels": "finding_"}),
    "jsonl": Layout(Table, layouts.write_jsonl, {"file": "table.jsonl", "columns": {"views": "views", "context": "context"}}),
    "parquet": Layout(Table, layouts.write_parquet, {"file": "table.parquet", "columns": {"views": "views"}}),
}

# How files are broken.


def _path(root: Path, name: str) -> Path:
    """The first file that a pattern names."""
    return sorted(root.glob(name))[0]


def cut(name: str, keep: float = 0.6) -> Break:
    """A file cut short."""
    return lambda root: os.truncate(_path(root, name), int(_path(root, name).stat().st_size * keep))


def put(name: str, content: bytes) -> Break:
    """A file with other content."""
    return lambda root: (root / name).write_bytes(content)


def gone(name: str) -> Break:
    """A file or folder that is missing."""

    def change(root: Path) -> None:
        path = _path(root, name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def swap(name: str, old: bytes, new: bytes, count: int = 1) -> Break:
    """Other bytes in place of some; the first ones only."""

    def change(root: Path) -> None:
        content = _path(root, name).read_bytes()
        assert old in content, f"{name} holds no {old!r}"
        _path(root, name).write_bytes(content.replace(old, new, count))

    return change


def empty(name: str) -> Break:
    """A file without content."""
    return lambda root: _path(root, name).write_bytes(b"")


def recoded(name: str, encoding: str, more: str = "") -> Break:
    """A text in another encoding."""
    return lambda root: _path(root, name).write_bytes((_path(root, name).read_text("utf-8") + more).encode(encoding))


def cells(name: str, row: int = 0, **values: str) -> Break:
    """Other cells in a row of a CSV."""

    def change(root: Path) -> None:
        rows = _rows(root, name)
        rows[row] |= values
        _write(root, name, rows)

    return change


def no_column(name: str, column: str) -> Break:
    """A CSV without one of its columns."""
    return lambda root: _write(root, name, [{k: v for k, v in row.items() if k != column} for row in _rows(root, name)])


def twice(name: str, row: int = 0) -> Break:
    """A row of a CSV that stands twice."""
    return lambda root: _write(root, name, [*(rows := _rows(root, name)), rows[row]])


def fewer(name: str, keep: int) -> Break:
    """A CSV with its first rows only."""
    return lambda root: _write(root, name, _rows(root, name)[:keep])


def _rows(root: Path, name: str) -> list[dict[str, str]]:
    content = (root / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _write(root: Path, name: str, rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    (root / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def item(change: Callable[[dict[str, Any]], object], name: str = "annotation.json", split: str = "test") -> Break:
    """The first item of a split of R2Gen's file, changed."""

    def apply(root: Path) -> None:
        content = json.loads((root / name).read_text())
        change(content[split][0])
        (root / name).write_text(json.dumps(content))

    return apply


def whole(change: Callable[[dict[str, Any]], object], name: str = "annotation.json") -> Break:
    """R2Gen's file, changed as a whole."""

    def apply(root: Path) -> None:
        content = json.loads((root / name).read_text())
        changed = change(content)
        (root / name).write_text(json.dumps(content if changed is None else changed))

    return apply


def line(change: Callable[[dict[str, Any]], object], name: str = "table.jsonl") -> Break:
    """The first line of a file of JSON lines, changed."""

    def apply(root: Path) -> None:
        first, *others = (root / name).read_text().splitlines()
        value = json.loads(first)
        change(value)
        (root / name).write_text("\n".join([json.dumps(value), *others]) + "\n")

    return apply


def parquet(change: Callable[[list[dict[str, Any]]], object]) -> Break:
    """A Parquet file with other rows."""

    def apply(root: Path) -> None:
        import pyarrow
        from pyarrow import parquet as files

        rows = files.read_table(root / "table.parquet").to_pylist()
        change(rows)
        files.write_table(pyarrow.Table.from_pylist(rows), root / "table.parquet")

    return apply


# What is broken.

SPLIT, META, SECTIONED = "mimic-cxr-2.0.0-split.csv", "mimic-cxr-2.0.0-metadata.csv", "mimic_cxr_sectioned.csv"
REPORT, FILM = "files/p*/p*/s*.txt", "files/p*/p*/s*/*.jpg"
DEEP = b"[" * 200_000
BOMB = gzip.compress(b"dicom_id,study_id,subject_id,split\n" + b"a" * (1 << 25))

CASES: list[Case] = [
    Case("mimic", "no split table", gone(SPLIT), "the table of the split is missing"),
    Case("mimic", "no metadata", gone(META), "the table of the metadata is missing"),
    Case("mimic", "no films at all", gone("files"), "no folder files"),
    Case("mimic", "an empty split table", empty(SPLIT), "is empty; expected the columns dicom_id"),
    Case("mimic", "a split table without a column", no_column(SPLIT, "split"), "header: no column split"),
    Case("mimic", "a split table with a column twice", swap(SPLIT, b"study_id", b"split"), "the column 'split' twice"),
    Case("mimic", "a film twice in the split", twice(SPLIT), "stands twice; expected each film once"),
    Case("mimic", "an unknown split", cells(SPLIT, split="dev"), "field split; got 'dev'; expected train, validate or test"),
    Case("mimic", "a study id that is no number", cells(SPLIT, study_id="s5o"), "field study_id; got 's5o'; expected a number"),
    Case("mimic", "a subject id with a path", cells(SPLIT, subject_id="../../etc"), "field subject_id; got '../../etc'"),
    Case("mimic", "a film's name with a path", cells(SPLIT, dicom_id="../../../etc/passwd"), "field dicom_id"),
    Case("mimic", "an absolute path for a film", cells(SPLIT, dicom_id="/etc/passwd"), "field dicom_id; got '/etc/passwd'"),
    Case("mimic", "an empty name of a film", cells(SPLIT, dicom_id=""), "field dicom_id; got ''"),
    Case("mimic", "a subject in two splits", cells(SPLIT, split="test"), "has two; got test and train; expected one split"),
    Case("mimic", "a study of two subjects", cells(SPLIT, subject_id="19999999"), "expected one subject"),
    Case("mimic", "a short row", swap(SPLIT, b",train\r\n", b"\r\n"), "line 2; got 3 cells; expected 4"),
    Case("mimic", "a long row", swap(SPLIT, b",train\r\n", b",train,x\r\n"), "line 2; got 5 cells; expected 4"),
    Case("mimic", "a quote that never ends", swap(SPLIT, b"train", b'"train'), "is not CSV; got"),
    Case("mimic", "a NUL byte in a table", swap(SPLIT, b"train", b"tr\0ain"), "is not text; got a NUL byte"),
    Case("mimic", "a table in UTF-16", recoded(SPLIT, "utf-16"), "is not text; got a NUL byte"),
    Case("mimic", "a table in Latin-1", recoded(SPLIT, "latin-1", "é,1,1,train\r\n"), "is not UTF-8; got byte 0xe9"),
    Case("mimic", "a huge cell", cells(SPLIT, split="x" * 200_000), "is not CSV; got field larger than field limit"),
    Case("mimic", "metadata without a film", fewer(META, 5), "films of the data set are not in it"),
    Case("mimic", "metadata with a film twice", twice(META), "stands twice; expected each film once"),
    Case("mimic", "metadata without dates", no_column(META, "StudyDate"), "header: no column StudyDate"),
    Case("mimic", "a date that is none", cells(META, StudyDate="21801399"), "field StudyDate; got '21801399'; expected a date"),
    Case("mimic", "a date in words", cells(META, StudyDate="May 6"), "field StudyDate; got 'May 6'"),
    Case("mimic", "an empty date", cells(META, StudyDate=""), "field StudyDate; got ''"),
    Case("mimic", "a time that is none", cells(META, StudyTime="256014"), "field StudyTime; got '256014'; expected a time"),
    Case("mimic", "a time with two points", cells(META, StudyTime="90000.5.5"), "field StudyTime; got '90000.5.5'"),
    Case("mimic", "a missing report", gone(REPORT), "1 reports of 20 are missing; got no files/p1"),
    Case("mimic", "an empty report", empty(REPORT), "is empty; got nothing; expected the text of a report"),
    Case("mimic", "a report of blanks", lambda root: _path(root, REPORT).write_bytes(b" \n \n"), "is empty; got blanks only"),
    Case("mimic", "a page", lambda root: _path(root, REPORT).write_bytes(b"<html>403</html>"), "is no report; got a web page"),
    Case("mimic", "a report with a NUL byte", swap(REPORT, b"FINAL", b"\0INAL"), "is not text; got a NUL byte"),
    Case("mimic", "a report in Latin-1", swap(REPORT, b"FINAL", b"F\xcfNAL"), "is not UTF-8; got byte 0xcf"),
    Case(
        "mimic",
        "a huge report",
        lambda root: _path(root, REPORT).write_bytes(b" " * (1 << 21)),
        "is too large; got 2097152 bytes",
    ),
    Case("mimic", "a missing film", gone(FILM), ": a film is missing; got no file"),
    Case("mimic", "an empty film", empty(FILM), "got an empty file or a folder"),
    Case("mimic", "no film of the view asked for", lambda root: None, "split train is empty", {"views": ("SWIMMERS",)}),
    Case("packed", "a truncated gzip", cut(f"{SPLIT}.gz"), "cannot be read; got Compressed file ended"),
    Case("packed", "no gzip at all", put(f"{SPLIT}.gz", b"dicom_id,study_id\n"), "cannot be read; got Not a gzipped file"),
    Case("packed", "a gzip with wrong bytes", lambda root: _flip(root / f"{SPLIT}.gz"), f"{SPLIT}.gz"),
    Case("packed", "one endless line in a gzip", put(f"{SPLIT}.gz", BOMB), "line 2 is too long"),
    Case("packed", "an empty gzip", put(f"{SPLIT}.gz", gzip.compress(b"")), "is empty; expected the columns"),
    Case("packed", "records without a path", no_column("cxr-record-list.csv.gz", "path"), "header: no column path"),
    Case(
        "packed",
        "a record outside",
        cells("cxr-record-list.csv.gz", path="files/../../x.dcm"),
        "expected a path inside the folder",
    ),
    Case("packed", "an absolute record", cells("cxr-record-list.csv.gz", path="/etc/x.dcm"), "field path; got '/etc/x.dcm'"),
    Case("packed", "a record of another study", cells("cxr-record-list.csv.gz", study_id="59999999"), "as the split has it"),
    Case("packed", "a film without record", fewer("cxr-record-list.csv.gz", 3), "got nothing; expected study s5"),
    Case("packed", "a truncated zip", cut("mimic-cxr-reports.zip"), "cannot be read; got File is not a zip file"),
    Case("packed", "a zip with wrong bytes", swap("mimic-cxr-reports.zip", b"FINAL", b"FINAl"), "cannot be read; got Bad CRC-32"),
    Case("packed", "a zip without reports", lambda root: _bare_zip(root), "reports of 20 are missing"),
    Case("sectioned", "no table of sections", gone(SECTIONED), "the table of sections is missing"),
    Case("sectioned", "a table without findings", no_column(SECTIONED, "findings"), "header: no column findings"),
    Case("sectioned", "a study twice", twice(SECTIONED), "stands twice; expected each study once"),
    Case("sectioned", "a study without number", cells(SECTIONED, study="study one"), "field study; got 'study one'"),
    Case("sectioned", "a study that is missing", fewer(SECTIONED, 12), "8 studies of the data set are not in it"),
    Case("sectioned", "a table that is cut short", cut(SECTIONED), SECTIONED),
    Case("r2gen", "no annotation", gone("annotation.json"), "annotation.json cannot be read; got No such file"),
    Case("r2gen", "an annotation that is cut short", cut("annotation.json"), "is not JSON"),
    Case("r2gen", "a list at the top", put("annotation.json", b"[]"), "top level; got a list"),
    Case("r2gen", "very deep JSON", put("annotation.json", DEEP), "is not JSON; got too many levels"),
    Case("r2gen", "NaN", put("annotation.json", b'{"train": NaN}'), "is not JSON; got NaN is no JSON"),
    Case("r2gen", "a key twice", put("annotation.json", b'{"train": [], "train": []}'), "key 'train' stands twice"),
    Case("r2gen", "a split that is missing", whole(lambda c: c.pop("val") and None), "expected an object with the keys"),
    Case("r2gen", "a split that is no list", whole(lambda c: c.update(val={})), "split val; got an object"),
    Case("r2gen", "an empty split", whole(lambda c: c.update(val=[])), "split validate is empty"),
    Case("r2gen", "an item that is none", whole(lambda c: c["test"].append(7)), "got a number; expected an object with study_id"),
    Case("r2gen", "no report", item(lambda i: i.pop("report")), "field report is missing"),
    Case("r2gen", "a report that is a list", item(lambda i: i.update(report=["x"])), "field report; got a list; expected text"),
    Case("r2gen", "half a character", item(lambda i: i.update(report="\ud800 heart")), "field report; got a lone surrogate"),
    Case("r2gen", "a study id in words", item(lambda i: i.update(study_id="one")), "field study_id; got 'one'"),
    Case("r2gen", "a subject id that is true", item(lambda i: i.update(subject_id=True)), "field subject_id; got True"),
    Case("r2gen", "a path outside", item(lambda i: i.update(image_path=["../a.jpg"])), "field image_path; got '../a.jpg'"),
    Case("r2gen", "an absolute path", item(lambda i: i.update(image_path=["/a.jpg"])), "field image_path; got '/a.jpg'"),
    Case("r2gen", "no films", item(lambda i: i.update(image_path=[])), "field image_path; got []"),
    Case("r2gen", "an item twice", whole(lambda c: c["test"].append(c["test"][0])), "stands twice; expected each film once"),
    Case("r2gen", "a subject in two splits", item(lambda i: i.update(subject_id=10000000)), "has two"),
    Case("csv", "no table", gone("table.csv"), "no such file; expected the table, in the root"),
    Case("csv", "an empty table", empty("table.csv"), "is empty"),
    Case("csv", "a header only", lambda root: _header_only(root), "is empty; got 0 studies"),
    Case("csv", "no column of reports", no_column("table.csv", "report"), "header: no column report"),
    Case("csv", "no column of splits", no_column("table.csv", "split"), "header: no column split"),
    Case("csv", "another delimiter", lambda root: _delimited(root, b",", b";"), "header: no column"),
    Case("csv", "a study twice", twice("table.csv"), "the study stands twice; got also at line 2"),
    Case("csv", "a study without id", cells("table.csv", study_id=" "), "field study_id; got ''"),
    Case("csv", "a very long id", cells("table.csv", study_id="a" * 300), "field study_id; got 300 characters"),
    Case("csv", "an unknown split", cells("table.csv", split="holdout"), "name it in the option split_names"),
    Case(
        "csv",
        "a subject in two splits",
        cells("table.csv", -1, subject_id="M0000"),
        "subject M0000 is in two splits; got train and test",
    ),
    Case("csv", "an unknown view", cells("table.csv", views="oblique"), "field views"),
    Case("csv", "too many views", cells("table.csv", views="frontal;lateral;frontal"), "field views; got 3 for"),
    Case(
        "csv",
        "a path outside",
        cells("table.csv", images="../../etc/passwd", views=""),
        "got '../../etc/passwd'; expected a path inside",
    ),
    Case("csv", "an absolute path", cells("table.csv", images="/etc/passwd", views=""), "got '/etc/passwd'"),
    Case("csv", "a Windows path", cells("table.csv", images="films\\a.png", views=""), "expected a path inside the folder"),
    Case(
        "csv",
        "a film that is not there",
        cells("table.csv", images="films/no.png", views=""),
        "/films/no.png",
    ),
    Case(
        "csv",
        "a film twice in a study",
        cells("table.csv", images="films/000-0.png;films/000-0.png", views=""),
        "got a film twice",
    ),
    Case(
        "csv",
        "a film of two studies",
        cells("table.csv", 1, images="films/000-0.png", views=""),
        "film films/000-0.png is of A00000 too",
    ),
    Case("csv", "no film", cells("table.csv", images="", views=""), "field images is empty"),
    Case("csv", "no report", cells("table.csv", report=" \n "), "field report is empty; got 1 studies without a report"),
    Case(
        "csv",
        "a label that is none",
        cells("table.csv", finding_edema="maybe"),
        "field finding_edema; got 'maybe'; expected 1 or 0",
    ),
    Case("csv", "an empty label", cells("table.csv", finding_edema=""), "say in the option label_values what '' counts as"),
    Case("csv", "a NUL byte", swap("table.csv", b"A00000", b"A0\x000000"), "is not text; got a NUL byte"),
    Case("csv", "a table in UTF-16", recoded("table.csv", "utf-16"), "line 1 is not text; got a NUL byte"),
    Case("csv", "a table in Windows' encoding", swap("table.csv", b"A00000", b"A\x80"), "is not UTF-8; got byte 0x80"),
    Case("csv", "a report too long for a cell", cells("table.csv", report="a " * 70_000), "is not CSV; got field larger"),
    Case("csv", "a table that is cut short", cut("table.csv", 0.515), "table.csv"),
    Case(
        "csv",
        "a folder in place of the table",
        lambda root: (gone("table.csv")(root), (root / "table.csv").mkdir()),
        "no such file",
    ),
    Case("csv", "films elsewhere", gone("films"), "a film is missing, and 37 more of 38"),
    Case("jsonl", "a line that is no JSON", swap("table.jsonl", b"{", b"["), "line 1 is not JSON"),
    Case("jsonl", "a line that is a list", put("table.jsonl", b"[1]\n"), "line 1; got a list; expected an object"),
    Case("jsonl", "no line", empty("table.jsonl"), "is empty; expected an object a line"),
    Case("jsonl", "a file that is cut short", cut("table.jsonl", 0.5), "is not JSON"),
    Case("jsonl", "very deep JSON", put("table.jsonl", DEEP), "is not JSON; got too many levels"),
    Case("jsonl", "a key twice", put("table.jsonl", b'{"a": 1, "a": 2}\n'), "key 'a' stands twice"),
    Case("jsonl", "infinity", put("table.jsonl", b'{"a": Infinity}\n'), "Infinity is no JSON"),
    Case("jsonl", "a report that is a number", line(lambda r: r.update(report=3.5)), "field report; got a number; expected text"),
    Case("jsonl", "a report that is an object", line(lambda r: r.update(report={})), "field report; got an object"),
    Case("jsonl", "half a character", line(lambda r: r.update(report="\ud800")), "field report; got a lone surrogate"),
    Case("jsonl", "an escaped NUL", line(lambda r: r.update(report="a\0b")), "field report; got a NUL character"),
    Case(
        "jsonl",
        "an id that is a fraction",
        line(lambda r: r.update(study_id=1.5)),
        "field study_id; got a number; expected text or",
    ),
    Case("jsonl", "an id that is true", line(lambda r: r.update(study_id=True)), "field study_id; got true or false"),
    Case(
        "jsonl",
        "films that are numbers",
        line(lambda r: r.update(images=[1])),
        "field images; got a list; expected text, or a list",
    ),
    Case("jsonl", "films that are an object", line(lambda r: r.update(images={"a": 1})), "field images; got an object"),
    Case("jsonl", "a huge report", line(lambda r: r.update(report="a " * 70_000)), "field report; got 140000 characters"),
    Case("jsonl", "no report", line(lambda r: r.pop("report")), "field report is empty"),
    Case("jsonl", "a line break in an id", line(lambda r: r.update(study_id="a\nb")), "field study_id; got 'a\\nb'"),
    Case("parquet", "a file that is cut short", cut("table.parquet"), "table.parquet cannot be read"),
    Case("parquet", "no Parquet", put("table.parquet", b"study_id,report\n"), "table.parquet cannot be read"),
    Case("parquet", "an empty file", empty("table.parquet"), "table.parquet cannot be read"),
    Case("parquet", "wrong bytes inside", lambda root: _flip(root / "table.parquet"), "table.parquet"),
    Case("parquet", "no reports", parquet(lambda rows: [row.pop("report") for row in rows]), "no column report"),
    Case(
        "parquet",
        "reports that are numbers",
        parquet(lambda rows: [row.update(report=1) for row in rows]),
        "field report; got a number",
    ),
    Case(
        "parquet", "a path outside", parquet(lambda rows: rows[0].update(images=["../x"])), "got '../x'; expected a path inside"
    ),
    Case(
        "parquet",
        "ids that are fractions",
        parquet(lambda rows: [row.update(study_id=1.5) for row in rows]),
        "field study_id; got a number",
    ),
]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content) // 4 + 40):
        content[place] ^= 0x5A
    path.write_bytes(bytes(content))


def _bare_zip(root: Path) -> None:
    import zipfile

    with zipfile.ZipFile(root / "mimic-cxr-reports.zip", "w") as packed:
        packed.writestr("../../evil.txt", "x")


def _header_only(root: Path) -> None:
    (root / "table.csv").write_bytes((root / "table.csv").read_bytes().split(b"\r\n")[0] + b"\r\n")


def _delimited(root: Path, old: bytes, new: bytes) -> None:
    """The table with another delimiter."""
    (root / "table.csv").write_bytes((root / "table.csv").read_bytes().replace(old, new))
