"""A hospital's export: one table, its films beside it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .studies import PhantomStudy, copy_film

FILMS = "films"
"""The folder of films in the root."""


def _rows(root: Path, studies: Iterable[PhantomStudy]) -> Iterator[dict[str, Any]]:
    """A row a study, with lists; films are laid down on the way."""
    for one in studies:
        names = [f"{FILMS}/{one.number:03}-{place}.png" for place in range(len(one.films))]
        for name, (film, _) in zip(names, one.films, strict=True):
            copy_film(film, root / name)
        yield {
            "study_id": f"A{one.number:05}",
            "subject_id": f"M{one.subject:04}",
            "split": one.split,
            "images": names,
            "views": [view for _, view in one.films],
            "report": one.report,
            "context": one.context,
            **{f"finding_{name}": value for name, value in one.labels.items()},
        }


def write_csv(
    root: Path, studies: Iterable[PhantomStudy], name: str = "table.csv", delimiter: str = ",", bom: bool = False
) -> Path:
    """A row a study; films and views of one cell are parted by semicolons."""
    rows = [{k: ";".join(v) if isinstance(v, list) else v for k, v in row.items()} for row in _rows(root, studies)]
    with (root / name).open("w", newline="", encoding="utf-8-sig" if bom else "utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return root


def write_jsonl(root: Path, studies: Iterable[PhantomStudy], name: str = "table.jsonl") -> Path:
    """An object a study, with lists."""
    (root / name).write_text("".join(json.dumps(row) + "\n" for row in _rows(root, studies)), encoding="utf-8")
    return root


def write_parquet(root: Path, studies: Iterable[PhantomStudy], name: str = "table.parquet") -> Path:
    """A row a study, with lists; pages carry checksums."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(list(_rows(root, studies))), root / name, write_page_checksum=True)
    return root
