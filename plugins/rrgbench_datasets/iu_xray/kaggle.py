"""Kaggle's layout (raddar/chest-xrays-indiana-university): reports and projections as CSV, films as PNG."""

from __future__ import annotations

from pathlib import Path

from rrgbench import DataError
from rrgbench_datasets.iu_xray.views import PROJECTIONS, view_of
from rrgbench_datasets.openi import SECTIONS, Report
from rrgbench_datasets.reading import csv_rows, inside

REPORTS = "indiana_reports.csv"
_AGAIN = "download the pair of CSV files again"

# What a spreadsheet once made of texts that begin with "+" or "-".
_DAMAGED = "#NAME?"


def read_kaggle(root: Path) -> tuple[dict[int, Report], dict[str, str]]:
    """The reports by number, each with the names of its films, and the view of each film by its name.

    Three indications are damaged (``#NAME?``) in the published file: they are empty here.

    Raises:
        DataError: a file is missing or not what it should be.
    """
    films: dict[int, list[str]] = {}
    views: dict[str, str] = {}
    for where, row in csv_rows(root / PROJECTIONS, ("uid", "filename", "projection"), hint=_AGAIN):
        name = row["filename"]
        inside(f"{where}: field filename", name)
        if "/" in name or name in views:
            raise DataError(f"{where}: field filename", got=repr(name), expected="the name of a film, once", hint=_AGAIN)
        views[name] = view_of(where, row["projection"])
        films.setdefault(_uid(where, row["uid"]), []).append(name)
    if not views:
        raise DataError(f"{root / PROJECTIONS} holds no film", expected="one a line", hint=_AGAIN)
    reports: dict[int, Report] = {}
    for where, row in csv_rows(root / REPORTS, ("uid", *SECTIONS), hint=_AGAIN):
        number = _uid(where, row["uid"])
        if number in reports:
            raise DataError(f"{where}: field uid", got=number, expected="each report once", hint=_AGAIN)
        texts = {section: "" if row[section] == _DAMAGED else row[section].strip() for section in SECTIONS}
        reports[number] = Report(texts, tuple(films.get(number, ())))
    if not reports:
        raise DataError(f"{root / REPORTS} holds no report", expected="one a line", hint=_AGAIN)
    return reports, views


def _uid(where: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise DataError(f"{where}: field uid", got=repr(text), expected="a number", hint=_AGAIN)
    return int(text)
