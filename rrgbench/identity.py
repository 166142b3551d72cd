"""Ids are hashes of content: canonical JSON, and source code with what does not change its meaning taken out."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, integral floats as floats, no NaN.

    Raises:
        TypeError: a value that JSON does not know.
        ValueError: NaN or an infinity.
    """

    def check(item: Any) -> None:
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"{item} has no place in an id")
        if isinstance(item, Mapping):
            for key, entry in item.items():
                if not isinstance(key, str):
                    raise TypeError(f"key {key!r} is not a string")
                check(entry)
        elif isinstance(item, (list, tuple)):
            for entry in item:
                check(entry)

    check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from named parts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


_SKIPPED = {tokenize.NL, tokenize.COMMENT}
_BEFORE_STATEMENT = {tokenize.ENCODING, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


def normalised_source(source: str) -> str:
    """Source without comments, docstrings, blank lines and trailing spaces; the same text on every Python version.

    Works on positions in the text and not on token spellings or ``ast.dump``, which differ between Python versions.
    """
    lines = source.splitlines()
    cuts: list[tuple[tuple[int, int], tuple[int, int]]] = []
    before = tokenize.ENCODING
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for index, token in enumerate(tokens):
        if token.type == tokenize.COMMENT:
            cuts.append((token.start, token.end))
        if token.type == tokenize.STRING and before in _BEFORE_STATEMENT:
            after = next((t.type for t in tokens[index + 1 :] if t.type not in _SKIPPED), tokenize.ENDMARKER)
            if after in (tokenize.NEWLINE, tokenize.ENDMARKER):
                cuts.append((token.start, token.end))
        if token.type not in _SKIPPED:
            before = token.type
    for (row, column), (end_row, end_column) in reversed(cuts):
        head, tail = lines[row - 1][:column], lines[end_row - 1][end_column:]
        lines[row - 1 : end_row] = [head + tail, *[""] * (end_row - row)]
    return "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def source_version(*paths: Path) -> str:
    """The content version of code: a hash of the normalised source of these files, in order."""
    parts = [normalised_source(path.read_text(encoding="utf-8")) for path in paths]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
