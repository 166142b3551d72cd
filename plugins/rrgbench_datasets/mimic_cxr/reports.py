"""The reports of MIMIC-CXR: text files (a tree, or the release's zip) parted by the official rules, or the table of sections."""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rrgbench import DataError
from rrgbench_datasets.mimic_cxr.records import Film, study_name
from rrgbench_datasets.mimic_cxr.sections import context_section, custom_text, is_custom, last_section, split_report
from rrgbench_datasets.reading import Mistakes, csv_rows, decoded, first_file, one_line, read_text, told

_FOLDERS = ("files", "mimic-cxr-reports/files")
_ZIP = "mimic-cxr-reports.zip"
_SECTIONED = "mimic_cxr_sectioned.csv"
_REPORT_BYTES = 1 << 20
_COLUMNS = ("impression", "findings", "last_paragraph", "comparison")
CONTEXTS = ("indication", "history", "comparison")
"""Sections that may be context."""

# What servers send in place of a file: a page, or an error in XML.
_PAGE = re.compile(r"\s*<(!doctype|!--|\?xml|html|head|body|title)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """The sections of one report that count, each on one line, empty where there is none; ``custom``: marked by hand."""

    findings: str = ""
    impression: str = ""
    context: dict[str, str] = field(default_factory=dict)
    custom: str | None = None


def read_report(study_id: str, text: str) -> Report:
    """A report by the official rules. One that is marked by hand has its conclusion and nothing else: the sections around it are
    not what their headers say."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if is_custom(study_id):
        return Report(custom=custom_text(study_id, text))
    sections = split_report(text)
    context = {name: context_section(sections, name) for name in CONTEXTS}
    return Report(last_section(sections, "findings"), last_section(sections, "impression"), context)


def read_files(root: Path, films: Collection[Film]) -> Iterator[tuple[str, Report, Path]]:
    """Study, report and the file that it stands in, for the studies of these films.

    Raises:
        DataError, ManyErrors: a report is missing, empty, too large, a web page, or no text.
    """
    subjects = {film.study_id: film.subject_id for film in films}
    folders = [root / folder for folder in _FOLDERS]
    missing: list[str] = []
    mistakes = Mistakes()
    with _zip(root / _ZIP) as packed:
        for study, subject in subjects.items():
            below = f"{subject[:3]}/{subject}/{study}.txt"
            path = next((folder / below for folder in folders if (folder / below).is_file()), None)
            try:
                if path is not None:
                    text = _written(str(path), read_text(path, most=_REPORT_BYTES))
                    yield study, read_report(study, text), path
                elif packed is not None and f"files/{below}" in packed.NameToInfo:
                    where = f"{root / _ZIP}: member files/{below}"
                    text = _written(where, _packed(packed, f"files/{below}", where))
                    yield study, read_report(study, text), root / _ZIP
                else:
                    missing.append(below)
            except DataError as error:
                mistakes.add(error)
    if missing:
        mistakes.add(
            DataError(
                f"{root}: {len(missing)} reports of {len(subjects)} are missing",
                got=f"no {told([f'files/{below}' for below in missing], 3)}",
                expected=f"each report as files/pNN/pNNNNNNNN/sNNNNNNNN.txt, there or in {_ZIP}",
                hint="unpack MIMIC-CXR's reports there; MIMIC-CXR-JPG does not hold them",
            )
        )
    mistakes.tell()


@contextlib.contextmanager
def _zip(path: Path) -> Iterator[zipfile.ZipFile | None]:
    if not path.is_file():
        yield None
        return
    try:
        with zipfile.ZipFile(path) as packed:
            yield packed
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} cannot be read", got=error, expected="a whole zip file", hint="fetch it again") from error


def _written(where: str, text: str) -> str:
    """The same text, if it can be a report: whatever is in one, all have words, and none is a page."""
    if not text.strip():
        got = "blanks only" if text else "nothing"
        raise DataError(f"{where} is empty", got=got, expected="the text of a report", hint="fetch the file again")
    if _PAGE.match(text):
        hint = "fetch the file again: a server may send a page of its own instead, as where one is to sign in"
        raise DataError(f"{where} is no report", got="a web page", expected="the text of a report", hint=hint)
    return text


def _packed(packed: zipfile.ZipFile, name: str, where: str) -> str:
    try:
        with packed.open(name) as member:
            content = member.read(_REPORT_BYTES + 1)
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise DataError(f"{where} cannot be read", got=error, hint="fetch the file again") from error
    if len(content) > _REPORT_BYTES:
        raise DataError(f"{where} is too large", expected=f"at most {_REPORT_BYTES} bytes")
    return decoded(where, content)


def read_table(root: Path, wanted: Collection[str]) -> tuple[dict[str, Report], Path]:
    """The reports of these studies in ``mimic_cxr_sectioned.csv``, and its path. Studies marked by hand are not in it.

    Raises:
        DataError, ManyErrors: it is missing, or a row is not what it should be.
    """
    path = first_file(root, (_SECTIONED, f"{_SECTIONED}.gz"))
    if path is None:
        hint = "make it by MIT-LCP/mimic-cxr's create_section_files.py, or set the option reports to sections"
        raise DataError(f"{root}: the table of sections is missing", expected=_SECTIONED, hint=hint)
    found: dict[str, Report] = {}
    seen: set[str] = set()
    mistakes = Mistakes()
    for where, row in csv_rows(path, ("study", *_COLUMNS)):
        study = study_name(row["study"])
        if not study:
            got = repr(row["study"][:40])
            mistakes.add(DataError(f"{where}: field study", got=got, expected="the like of s50414267"))
        elif study in seen:
            mistakes.add(DataError(f"{where}: study {study} stands twice", expected="each study once"))
        seen.add(study)
        if study in wanted:
            text = {name: one_line(row[name]) for name in _COLUMNS}
            found[study] = Report(text["findings"], text["impression"], {"comparison": text["comparison"]})
    if absent := [study for study in sorted(wanted) if study not in found and not is_custom(study)]:
        got = f"no {told(absent, 3)}"
        hint = "make it again, from all reports"
        mistakes.add(DataError(f"{path}: {len(absent)} studies of the data set are not in it", got=got, hint=hint))
    mistakes.tell()
    return found, path
