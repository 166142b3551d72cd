"""The product of trees, files and damage; what of it is rightly tolerated, with the reason."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .archives import (
    harmless_packed_tables,
    harmless_reports,
    harmless_tars,
    packed_table_changes,
    parquet_changes,
    report_changes,
    tar_changes,
    zip_changes,
)
from .films import dicom_changes, film_changes, harmless_films, other_changes
from .plain import Change, File
from .texts import harmless_json, harmless_tables, json_changes, table_changes
from .trees import TREES

PLACES: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "a folder in its place": lambda path: (path.unlink(), path.mkdir()),
    "a link to itself in its place": lambda path: (path.unlink(), path.symlink_to(path.name)),
}
"""What can happen to the name of a file."""

_KINDS: Mapping[str, Callable[[File], dict[str, Change]]] = {
    "csv": table_changes,
    "csv.gz": packed_table_changes,
    "json": json_changes,
    "object": json_changes,
    "jsonl": json_changes,
    "parquet": parquet_changes,
    "tgz": lambda file: tar_changes(),
    "zip": lambda file: zip_changes(),
    "report": lambda file: report_changes(),
    "film": lambda file: film_changes(),
}

_EVERY_FILM = ("table csv", "mimic_cxr packed")
"""The trees whose films are damaged in the ways of every format too: PNG and DICOM by name."""


@dataclass(frozen=True)
class Case:
    """One kind of damage to one file of one tree. What it draws comes from its name."""

    tree: str
    file: File
    damage: str
    change: Change | None

    @property
    def id(self) -> str:
        return f"{self.tree}: {self.file.pattern}: {self.damage}"

    def hurt(self, root: Path) -> Path:
        """Damage the file, and say which it was."""
        random = Random(zlib.crc32(self.id.encode()))
        path = random.choice(sorted(root.glob(self.file.pattern)))
        if self.change is None:
            PLACES[self.damage](path)
        else:
            before = path.read_bytes()
            after = self.change(before, random)
            assert after != before, f"{self.id}: nothing happened"
            path.write_bytes(after)
        return path


def _harmless(file: File) -> dict[str, Change]:
    """What is no damage, whatever it looks like."""
    if file.kind == "csv":
        return harmless_tables()
    if file.kind == "csv.gz":
        return harmless_packed_tables()
    if file.kind in ("json", "object", "jsonl"):
        return harmless_json(file)
    if file.kind == "report":
        return harmless_reports()
    return harmless_tars() if file.kind == "tgz" else harmless_films() if file.kind == "film" else {}


def _every() -> Iterator[Case]:
    for name, tree in TREES.items():
        for file in tree.files:
            changes = _KINDS[file.kind](file)
            if file.kind == "film" and name in _EVERY_FILM:
                changes = {**changes, **other_changes(), **dicom_changes()}
            yield from (Case(name, file, damage, None) for damage in PLACES)
            yield from (Case(name, file, damage, change) for damage, change in changes.items())


@dataclass(frozen=True)
class Reason:
    """Why something is rightly read. ``left_out``: studies that are counted out; ``same``: the reports are those of before."""

    why: str
    left_out: int = 0
    same: bool = True


_STREAMED = Reason("members are streamed and known by their last name: nothing is unpacked, no link followed")
_WRITTEN = Reason("other programs write it so, and it says the same")
_HARMLESS: Mapping[str, Reason] = {
    "csv": _WRITTEN,
    "csv.gz": _WRITTEN,
    "json": _WRITTEN,
    "object": _WRITTEN,
    "jsonl": _WRITTEN,
    "tgz": _STREAMED,
    "film": Reason("a film is known by its content, and the content is whole"),
    "report": Reason("the study has nothing to be written, and is left out and counted", left_out=1, same=False),
}
"""Kind of file -> why what ``_harmless`` does to it is."""

_OPTIONAL = Reason("the file may be absent, and what is no regular file is absent")
_UNTOLD = Reason("a film that the table lacks has no known view")
_TWICE = Reason("it says the same twice")
_MISSING = Reason("a missing section stays missing; the impression is there", same=False)
_REASONS: Mapping[tuple[str, str], Reason] = {
    ("NLMCXR_reports.tgz", "a report: UTF-16"): Reason("XML says by its first bytes how it is encoded"),
    **{
        (file, damage): _OPTIONAL
        for file in ("manifest.csv", "nlmcxr_dicom_metadata.csv.gz", "cxr-record-list.csv")
        for damage in ("gone", "a link to itself in its place")
    },
    ("cxr-record-list.csv", "a folder in its place"): _OPTIONAL,
    ("manifest.csv", "header only"): _UNTOLD,
    ("nlmcxr_dicom_metadata.csv.gz", "inside: header only"): _UNTOLD,
    ("manifest.csv", "a row twice"): _TWICE,
    ("nlmcxr_dicom_metadata.csv.gz", "inside: a row twice"): _TWICE,
    ("cxr-record-list.csv", "a row twice"): _TWICE,
    ("test.json", "section_findings null"): _MISSING,
    ("test.json", "section_findings gone"): _MISSING,
}
"""Pattern of the file and damage -> why it is rightly read: what is asked for is there, or what is not is counted."""

_UNSEEN = frozenset({("table.parquet", "wrong bytes in the middle")})
"""Damage that nobody may see: it may lie in Parquet's footer, which has no checksum, or in a column that nobody reads."""

_UNNAMED = ("header only", "inside: header only", "no row", "a link to itself in its place", "gone")
"""Damage whose mistake names what is missing then, and not the file."""

_ALL = tuple(case for case in _every() if (case.file.pattern, case.damage) not in _UNSEEN)
CASES: tuple[Case, ...] = tuple(case for case in _ALL if (case.file.pattern, case.damage) not in _REASONS)
TOLERATED: tuple[tuple[Case, Reason], ...] = (
    *((case, reason) for case in _ALL if (reason := _REASONS.get((case.file.pattern, case.damage))) is not None),
    *(
        (Case(name, file, what, change), _HARMLESS[file.kind])
        for name, tree in TREES.items()
        for file in tree.files
        for what, change in _harmless(file).items()
    ),
)


def names_the_file(case: Case) -> bool:
    """Whether the mistake must name the damaged file."""
    return case.damage not in _UNNAMED
