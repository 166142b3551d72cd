"""The product of trees, files and damage; what of it is rightly tolerated, with the reason."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .archives import harmless_tars, packed_table_changes, parquet_changes, report_changes, tar_changes, zip_changes
from .films import dicom_changes, film_changes, other_changes
from .plain import Change, File
from .texts import json_changes, table_changes
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


def _every() -> Iterator[Case]:
    for name, tree in TREES.items():
        for file in tree.files:
            changes = _KINDS[file.kind](file)
            if file.kind == "film" and name in _EVERY_FILM:
                changes = {**changes, **other_changes(), **dicom_changes()}
            if file.kind == "tgz":
                changes = {**changes, **harmless_tars()}
            yield from (Case(name, file, damage, None) for damage in PLACES)
            yield from (Case(name, file, damage, change) for damage, change in changes.items())


_OPTIONAL = "the file may be absent, and what is no regular file is absent"
_STREAMED = "members are streamed and known by their last name: nothing is unpacked, no link followed"
_COUNTED = "the study has no report then, and is left out and counted"
_HARMLESS: Mapping[tuple[str, str], str] = {
    **{
        ("NLMCXR_reports.tgz", damage): _STREAMED
        for damage in ("a report under a path upward", "a report under an absolute path")
    },
    ("NLMCXR_reports.tgz", "a member that is a link outside"): _STREAMED,
    ("NLMCXR_reports.tgz", "a report: UTF-16"): "XML says by its first bytes how it is encoded",
    **{
        (file, damage): _OPTIONAL
        for file in ("manifest.csv", "nlmcxr_dicom_metadata.csv.gz", "cxr-record-list.csv")
        for damage in ("gone", "a link to itself in its place")
    },
    ("cxr-record-list.csv", "a folder in its place"): _OPTIONAL,
    **dict.fromkeys(
        (
            ("manifest.csv", "header only"),
            ("nlmcxr_dicom_metadata.csv.gz", "inside: header only"),
            ("nlmcxr_dicom_metadata.csv.gz", "inside: cut in a row"),
        ),
        "a film that the table lacks has no known view",
    ),
    ("manifest.csv", "a row twice"): "it says the same twice",
    ("nlmcxr_dicom_metadata.csv.gz", "inside: a row twice"): "it says the same twice",
    ("cxr-record-list.csv", "a row twice"): "it says the same twice",
    ("files/p*/p*/s*.txt", "empty"): _COUNTED,
    ("mimic-cxr-reports.zip", "a report: empty"): _COUNTED,
    ("mimic-cxr-reports.zip", "a report: a web page"): _COUNTED,
    ("test.json", "section_findings null"): "a missing section stays missing; the impression is there",
    ("test.json", "section_findings gone"): "a missing section stays missing; the impression is there",
    (
        "chexbert_labels/findings_fixed.json",
        "Edema wrong",
    ): "labels of a study are those of its first film; another's are not read",
    **{(film, "PNG: a wrong checksum"): "the pixels are whole" for film in ("films/*.png", "files/p*/p*/s*/*.dcm")},
}
"""Pattern of the file and damage -> why it is rightly read: what is asked for is there, or what is not is counted."""

_UNSEEN = frozenset({("table.parquet", "wrong bytes in the middle")})
"""Damage that nobody can see: Parquet pages carry no checksum unless their writer asks for it."""

_UNNAMED = ("header only", "inside: header only", "no row", "a link to itself in its place", "gone")
"""Damage whose mistake names what is missing then, and not the file."""

_ALL = tuple(case for case in _every() if (case.file.pattern, case.damage) not in _UNSEEN)
TOLERATED: Mapping[str, tuple[Case, str]] = {
    case.id: (case, _HARMLESS[case.file.pattern, case.damage]) for case in _ALL if (case.file.pattern, case.damage) in _HARMLESS
}
CASES: tuple[Case, ...] = tuple(case for case in _ALL if case.id not in TOLERATED)


def names_the_file(case: Case) -> bool:
    """Whether the mistake must name the damaged file."""
    return case.damage not in _UNNAMED
