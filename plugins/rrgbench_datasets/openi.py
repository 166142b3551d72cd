"""The XML reports of OpenI (Indiana University chest X-ray collection), read from their archive without unpacking it."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from rrgbench import DataError

# The real archive holds 3,955 members of at most 10 kB, 20 MB in all.
_MEMBER_BYTES = 1 << 20
_TOTAL_BYTES = 1 << 28
_MEMBERS = 100_000
_NAME = re.compile(r"([0-9]{1,9})\.xml")


def indications(archive: Path, numbers: Collection[int]) -> dict[int, str]:
    """The INDICATION of reports ``CXR<number>``, on one line; empty where a report has none.

    Args:
        archive: ``NLMCXR_reports.tgz``, whose members are ``<folder>/<number>.xml``.
        numbers: the reports wanted.

    Raises:
        DataError: the archive or a wanted report cannot be read, or a wanted report is not there.
    """
    found: dict[int, str] = {}
    try:
        with gzip.open(archive, "rb") as packed, tarfile.open(fileobj=_Bounded(packed, archive), mode="r|") as tar:
            for place, member in enumerate(tar):
                if place >= _MEMBERS:
                    raise DataError(f"{archive}: too many members", got=f"over {_MEMBERS}", expected="some 4,000")
                match = _NAME.fullmatch(PurePosixPath(member.name).name)
                if match is None or not member.isfile() or int(match[1]) not in numbers:
                    continue
                number, where = int(match[1]), f"{archive}: member {member.name}"
                if number in found:
                    raise DataError(f"{where}: report {number} stands twice in the archive", expected="one file a report")
                if member.size > _MEMBER_BYTES:
                    raise DataError(f"{where} is too large", got=f"{member.size} bytes", expected=f"at most {_MEMBER_BYTES}")
                content = tar.extractfile(member)
                assert content is not None, "a regular file has content"
                found[number] = _indication(content.read(), number, where)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(
            f"{archive}: the archive of reports cannot be read",
            got=f"{type(error).__name__}: {error}",
            expected="a whole .tgz of OpenI's XML reports",
            hint="download NLMCXR_reports.tgz again",
        ) from error
    missing = sorted(set(numbers) - found.keys())
    if missing:
        raise DataError(
            f"{archive}: {len(missing)} reports of the data set are not in the archive",
            got=f"no {missing[0]}.xml",
            expected="an XML report for each study",
            hint="download NLMCXR_reports.tgz again, or set the option context to none",
        )
    return found


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than ``_TOTAL_BYTES``: a small archive may unpack to any size."""

    def __init__(self, packed: gzip.GzipFile, archive: Path) -> None:
        self._packed, self._archive, self._left = packed, archive, _TOTAL_BYTES

    def readinto(self, buffer: Any) -> int:
        size = self._packed.readinto(buffer)
        self._left -= size
        if self._left < 0:
            raise DataError(f"{self._archive} unpacks to too much", expected=f"at most {_TOTAL_BYTES} bytes")
        return size


class _Report:
    """Collects a report's number and INDICATION while expat reads it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._inside = False
        self._text: list[str] = []
        self.uid: str | None = None

    @property
    def indication(self) -> str:
        return " ".join("".join(self._text).split())

    def doctype(self, *_: object) -> None:
        # Without a document type there are no entities to expand and no files to fetch.
        raise DataError(
            f"{self._where} declares a document type",
            expected="a plain XML report, as OpenI publishes it",
            hint="download NLMCXR_reports.tgz again",
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "uId" and self.uid is None:
            self.uid = attributes.get("id")
        elif name == "AbstractText":
            self._inside = attributes.get("Label") == "INDICATION"

    def end(self, name: str) -> None:
        if name == "AbstractText" and self._inside:
            self._inside = False
            self._text.append(" ")

    def characters(self, data: str) -> None:
        if self._inside:
            self._text.append(data)


def _indication(xml: bytes, number: int, where: str) -> str:
    report = _Report(where)
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = report.doctype
    parser.StartElementHandler = report.start
    parser.EndElementHandler = report.end
    parser.CharacterDataHandler = report.characters
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise DataError(f"{where} is not XML in UTF-8", got=error, hint="download NLMCXR_reports.tgz again") from error
    if report.uid != f"CXR{number}":
        raise DataError(f"{where}: field uId, attribute id", got=report.uid or "nothing", expected=f"CXR{number}")
    return report.indication
