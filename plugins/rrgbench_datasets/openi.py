"""The XML reports of OpenI (Indiana University chest X-ray collection), read from their archive without unpacking it."""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self
from xml.parsers import expat

from rrgbench import DataError
from rrgbench_datasets.reading import Bounded

ARCHIVE, FOLDER = "NLMCXR_reports.tgz", "ecgen-radiology"
"""How OpenI calls the archive of reports, and the folder in it."""

SECTIONS = ("comparison", "indication", "findings", "impression")
"""The sections that every report has, empty or not."""

# The real archive holds 3,955 members of at most 10 kB, 20 MB in all.
_MEMBER_BYTES = 1 << 20
_TOTAL_BYTES = 1 << 28
_MEMBERS = 100_000
_NAME = re.compile(r"([0-9]{1,9})\.xml")
_IMAGE = re.compile(r"CXR[A-Za-z0-9_-]{1,100}")
_AGAIN = "download NLMCXR_reports.tgz again"


@dataclass(frozen=True)
class Report:
    """One report: its sections by name (lower case; verbatim but for spaces at both ends) and the ids of its films, in order."""

    sections: Mapping[str, str]
    images: tuple[str, ...]


def read_reports(place: Path, numbers: Collection[int] | None = None) -> dict[int, Report]:
    """The reports ``CXR<number>``, by number, in the order of their files.

    Args:
        place: ``NLMCXR_reports.tgz``, whose members are ``<folder>/<number>.xml``, or the folder that was unpacked from it.
        numbers: the reports wanted; None for all.

    Raises:
        DataError: the archive or a wanted report cannot be read, or a wanted report is not there.
    """
    found: dict[int, Report] = {}
    for number, where, xml in _unpacked(place, numbers) if place.is_dir() else _members(place, numbers):
        if number in found:
            raise DataError(f"{where}: report {number} stands twice in the archive", expected="one file a report")
        found[number] = _report(xml, number, where)
    missing = sorted(set(numbers or ()) - found.keys())
    if missing:
        raise DataError(
            f"{place}: {len(missing)} reports of the data set are not in the archive",
            got=f"no {missing[0]}.xml",
            expected="an XML report for each study",
            hint=f"{_AGAIN}, or set the option context to none",
        )
    if not found:
        raise DataError(f"{place} holds no report", expected="<number>.xml, as OpenI publishes them", hint=_AGAIN)
    return found


def _number(name: str, numbers: Collection[int] | None) -> int | None:
    """The number of a report by the name of its file, if it is a wanted one."""
    match = _NAME.fullmatch(PurePosixPath(name).name)
    number = int(match[1]) if match else None
    return number if number is not None and (numbers is None or number in numbers) else None


def _too_large(where: str, size: int) -> DataError:
    return DataError(f"{where} is too large", got=f"{size} bytes", expected=f"at most {_MEMBER_BYTES}")


def _unpacked(folder: Path, numbers: Collection[int] | None) -> Iterator[tuple[int, str, bytes]]:
    path = folder
    try:
        wanted = [(number, path) for path in folder.iterdir() if (number := _number(path.name, numbers)) is not None]
        for number, path in sorted(wanted):
            if (size := path.stat().st_size) > _MEMBER_BYTES:
                raise _too_large(str(path), size)
            yield number, str(path), path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read", got=error.strerror, expected="XML reports", hint=_AGAIN) from error


def _members(archive: Path, numbers: Collection[int] | None) -> Iterator[tuple[int, str, bytes]]:
    try:
        with (
            gzip.open(archive, "rb") as packed,
            tarfile.open(fileobj=Bounded(packed, archive, _TOTAL_BYTES), mode="r|", tarinfo=_Member) as tar,
        ):
            for place, member in enumerate(tar):
                if place >= _MEMBERS:
                    raise DataError(f"{archive}: too many members", got=f"over {_MEMBERS}", expected="some 4,000")
                number = _number(member.name, numbers)
                if number is None or not member.isfile():
                    continue
                where = f"{archive}: member {member.name}"
                if member.size > _MEMBER_BYTES:
                    raise _too_large(where, member.size)
                content = tar.extractfile(member)
                assert content is not None, "a regular file has content"
                yield number, where, content.read()
    except (OSError, EOFError, ValueError, RecursionError, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{archive}: the archive of reports cannot be read",
            got=f"{type(error).__name__}: {error}",
            expected="a whole .tgz of OpenI's XML reports",
            hint=_AGAIN,
        ) from error


class _Member(tarfile.TarInfo):
    """A header that claims a negative size would lead the reader backwards, for ever."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.size < 0:
            raise tarfile.ReadError("a negative size")
        return member


class _Reader:
    """Collects a report's number, sections and films while expat reads it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._section: str | None = None
        self._text: dict[str, list[str]] = {section: [] for section in SECTIONS}
        self.uid: str | None = None
        self.images: dict[str, None] = {}  # in order

    @property
    def sections(self) -> dict[str, str]:
        return {section: "".join(parts).strip() for section, parts in self._text.items()}

    def doctype(self, *_: object) -> None:
        # Without a document type there are no entities to expand and no files to fetch.
        raise DataError(
            f"{self._where} declares a document type", expected="a plain XML report, as OpenI publishes it", hint=_AGAIN
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "uId" and self.uid is None:
            self.uid = attributes.get("id")
        elif name == "AbstractText":
            label = attributes.get("Label", "").lower()
            self._section = label if label in self._text else None
        elif name == "parentImage":
            image = attributes.get("id", "")
            if not _IMAGE.fullmatch(image) or image in self.images:
                expected = "ids like CXR1000_IM-0003-1001, each once"
                raise DataError(
                    f"{self._where}: field parentImage, attribute id", got=repr(image), expected=expected, hint=_AGAIN
                )
            self.images[image] = None

    def end(self, name: str) -> None:
        if name == "AbstractText" and self._section is not None:
            self._text[self._section].append(" ")
            self._section = None

    def characters(self, data: str) -> None:
        if self._section is not None:
            self._text[self._section].append(data)


def _report(xml: bytes, number: int, where: str) -> Report:
    report = _Reader(where)
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = report.doctype
    parser.StartElementHandler = report.start
    parser.EndElementHandler = report.end
    parser.CharacterDataHandler = report.characters
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise DataError(f"{where} is not XML in UTF-8", got=error, hint=_AGAIN) from error
    if report.uid != f"CXR{number}":
        raise DataError(f"{where}: field uId, attribute id", got=report.uid or "nothing", expected=f"CXR{number}")
    return Report(report.sections, tuple(report.images))
