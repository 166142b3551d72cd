"""Annotator ``precomputed``: graphs from a file in RadGraph's JSON, as data sets ship them. Nothing is annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from rrgbench import DataError, License, ReportGraph
from rrgbench_annotators.graph_json import Index, read_index

VERSION = "1"


class Precomputed:
    """Graphs that were made before, found by the text of a report: case and white space do not count, since the file holds
    tokens with spaces between and a report does not. Of several annotations of one text the first is taken.

    An empty report has an empty graph. Labels stay as they are, RadGraph's or RadGraph-XL's.

    Args:
        path: a file in RadGraph's JSON: an object of annotations, or the list that CheXpert Plus ships.
        missing: what a report gets that is not in the file: ``error`` (how many there are is told), or an ``empty`` graph, with
            which it states nothing.
        lower: words of graphs in lower case, as annotators give them that are compared with these.
        license: of the file. What is made with a credentialed one is marked so.

    Raises:
        DataError: (annotating, and ``identity``) the file is not RadGraph's JSON, or lacks a report.
    """

    memo: ClassVar[bool] = False  # a look into the file costs what a look into the memo does

    def __init__(
        self,
        *,
        path: Path,
        missing: Literal["error", "empty"] = "error",
        lower: bool = True,
        license: Literal["open", "credentialed"] = "credentialed",  # noqa: A002 - as the data sets call it
    ) -> None:
        self._path, self._missing, self._lower = path, missing, lower
        self.license: License = license

    @cached_property
    def _index(self) -> Index:
        status = self._path.stat() if self._path.is_file() else None
        if status is None:
            raise DataError(f"annotator precomputed: option `path`: {self._path}", got="a folder", expected="a JSON file")
        return _indexed(self._path, status.st_size, status.st_mtime_ns)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of the file, and what is done to its graphs."""
        said = "lower-cased" if self._lower else "case kept"
        return f"precomputed {VERSION} {self._index.sha256[:16]}|{said}|missing: {self._missing}"

    def __call__(self, reports: Sequence[str]) -> list[ReportGraph]:
        """One graph a report.

        Raises:
            DataError: reports that are not in the file.
        """
        known = {report: self._graph(report) for report in dict.fromkeys(reports)}
        absent = sum(graph is None for graph in known.values())
        if absent and self._missing == "error":
            raise DataError(
                f"annotator precomputed: {self._path}",
                got=f"no annotation of {absent} of {len(known)} reports",
                expected="one for each",
                hint="is it of this data set and section, before any cleaning? Or set the option `missing: empty`",
            )
        return [known[report] or ReportGraph("") for report in reports]

    def _graph(self, report: str) -> ReportGraph | None:
        if not report.strip():
            return ReportGraph("")
        graph = self._index.graph(report)
        if graph is None or not self._lower:
            return graph
        lowered = tuple(replace(entity, tokens=entity.tokens.lower()) for entity in graph.entities)
        return ReportGraph(graph.text.lower(), lowered)


@lru_cache(maxsize=2)
def _indexed(path: Path, size: int, changed: int) -> Index:
    """A file's index, kept for the next step of this process while the file is as it was."""
    return read_index(path)
