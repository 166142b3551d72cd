"""Opens every film of a data set, several at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rrgbench.checking.findings import from_errors
from rrgbench.checking.numbers import FilmNumbers, Finding, Pairs
from rrgbench.errors import DataError, RRGBenchError
from rrgbench.films import open_film
from rrgbench.identity import file_digest
from rrgbench.types import Split

_THREADS = 4
_AHEAD = 256
_TOLD = 20


@dataclass(frozen=True)
class _Film:
    path: Path
    study_id: str
    split: Split


@dataclass(frozen=True)
class _Seen:
    film: _Film
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    content: str = ""
    error: RRGBenchError | None = None


def look(pairs: Pairs, progress: Callable[[int, int], None]) -> tuple[FilmNumbers, list[Finding]]:
    """Open the films, each once, and say what is wrong with them."""
    films = list(
        {
            path: _Film(path, asked.study_id, split)
            for split, studies in pairs.items()
            for asked, _ in studies
            for path in asked.images
        }.values()
    )
    seen: list[_Seen] = []
    for one in _opened(films):
        seen.append(one)
        progress(len(seen), len(films))
    broken = [one.error for one in seen if one.error is not None]
    findings = [finding for error in broken[:_TOLD] for finding in from_errors(error)]
    if len(broken) > _TOLD:
        what = f"{len(broken) - _TOLD} more films cannot be read"
        findings.append(Finding(level="error", what=what, repair="mend these first, and check again"))
    good = [one for one in seen if one.error is None]
    copies, crossing = _copies(good)
    if crossing:
        first = crossing[0]
        what = f"{len(crossing)} films stand in two splits, byte for byte, as {first[0].path.name} of {first[0].study_id}"
        what += f" ({first[0].split}) and {first[1].path.name} of {first[1].study_id} ({first[1].split})"
        findings.append(
            Finding(level="warning", what=what, repair="put their studies into one split, or leave one of each pair out")
        )
    sizes = [one.size for one in good] or [(0, 0)]
    told = FilmNumbers(
        opened=len(good),
        unreadable=len(broken),
        smallest=min(sizes, key=lambda size: size[0] * size[1]),
        largest=max(sizes, key=lambda size: size[0] * size[1]),
        modes=dict(sorted(Counter(one.mode for one in good).items())),
        copies=copies,
        crossing=len(crossing),
    )
    return told, findings


def _opened(films: Iterable[_Film]) -> Iterator[_Seen]:
    """In their order; never more than a few hundred at once under way."""
    waiting = iter(films)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        while batch := list(islice(waiting, _AHEAD)):
            yield from pool.map(_open, batch)


def _open(film: _Film) -> _Seen:
    try:
        content = file_digest(film.path)
        image = open_film(film.path, film.study_id)
    except RRGBenchError as error:
        return _Seen(film, error=error)
    except OSError as error:
        return _Seen(film, error=DataError(f"film {film.path} of study {film.study_id} cannot be read", got=error.strerror))
    return _Seen(film, image.size, image.mode, content)


def _copies(seen: Iterable[_Seen]) -> tuple[int, list[tuple[_Film, _Film]]]:
    """How many films are copies of another study's, and those that stand in two splits beside their first."""
    first: dict[str, _Film] = {}
    copies, crossing = 0, []
    for one in seen:
        known = first.setdefault(one.content, one.film)
        if known.study_id != one.film.study_id:
            copies += 1
            if known.split != one.film.split:
                crossing.append((known, one.film))
    return copies, crossing
