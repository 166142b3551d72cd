"""Ids are hashes of content: canonical JSON, and source code with what does not change its meaning taken out."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tokenize
from collections.abc import Iterator, Mapping, Sequence
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
_BLOCK_ENDS = {tokenize.DEDENT, tokenize.ENDMARKER}
_FORMATTED = {"FSTRING_START": 1, "FSTRING_END": -1, "TSTRING_START": 1, "TSTRING_END": -1}
"""Tokens that newer Pythons make of f-strings and t-strings; Python 3.11 has one string token for the whole."""

_Span = tuple[tuple[int, int], tuple[int, int]]
"""Row (from 1) and column of a beginning and an end."""


def _strings(tokens: Sequence[tokenize.TokenInfo]) -> Iterator[_Span]:
    """String literals; formatted ones as a whole, whatever stands inside their braces."""
    depth, start = 0, (0, 0)
    for token in tokens:
        step = _FORMATTED.get(tokenize.tok_name[token.type], 0)
        if step > 0 and depth == 0:
            start = token.start
        depth += step
        if token.type == tokenize.STRING and depth == 0:
            yield token.start, token.end
        elif step < 0 and depth == 0:
            yield start, token.end


def _is_statement(tokens: Sequence[tokenize.TokenInfo], index: int) -> bool:
    """Whether a plain string (Python 3.11 calls an f-string a string too) is a whole statement."""
    token, before = tokens[index], tokens[index - 1].type if index else tokenize.ENCODING
    prefix = token.string.partition("'")[0].partition('"')[0]
    plain = token.type == tokenize.STRING and "f" not in prefix.lower()
    return plain and before in _BEFORE_STATEMENT and tokens[index + 1].type in {tokenize.NEWLINE, tokenize.ENDMARKER}


def _cuts(tokens: Sequence[tokenize.TokenInfo]) -> dict[_Span, str]:
    """Comments and strings that are statements (docstrings are such), with what takes their place."""
    cuts = {(token.start, token.end): "" for token in tokens if token.type == tokenize.COMMENT}
    told = [token for token in tokens if token.type not in _SKIPPED]
    for index, token in enumerate(told):
        if _is_statement(told, index):
            after = index + 2
            while after < len(told) and _is_statement(told, after):
                after += 2
            # A body that is nothing but its docstring keeps a statement, so that the result is a program too.
            alone = told[index - 1].type == tokenize.INDENT and told[min(after, len(told) - 1)].type in _BLOCK_ENDS
            cuts[token.start, token.end] = "pass" if alone else ""
    return cuts


def normalised_source(source: str) -> str:
    """Source without comments, docstrings, blank lines and trailing spaces; the same text on every Python version.

    Works on positions in the text and not on token spellings or ``ast.dump``, which differ between Python versions. What
    stands inside other strings is left as it is.

    Raises:
        SyntaxError, tokenize.TokenError: it is not Python.
    """
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    lines = source.split("\n")
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    cuts = _cuts(tokens)
    inside = {row for start, end in _strings(tokens) if (start, end) not in cuts for row in range(start[0], end[0])}
    for (row, column), (end_row, end_column) in sorted(cuts, reverse=True):
        head, tail = lines[row - 1][:column], lines[end_row - 1][end_column:]
        middle = cuts[(row, column), (end_row, end_column)]
        lines[row - 1 : end_row] = [head + middle + tail, *[""] * (end_row - row)]
    kept: list[str] = []
    goes_on = False  # this line belongs to the one before: inside a string, or after a backslash
    for row, line in enumerate(lines, start=1):
        text = line if row in inside else line.rstrip()
        if text or goes_on:
            kept.append(text)
        goes_on = row in inside or text.endswith("\\")
    return "\n".join(kept).rstrip("\n") + "\n"


def source_version(*paths: Path) -> str:
    """The content version of code: a hash of the normalised source of these files, in order.

    Raises:
        OSError, SyntaxError, tokenize.TokenError: a file that cannot be read as Python.
    """
    parts = []
    for path in paths:
        with tokenize.open(path) as file:
            parts.append(normalised_source(file.read()))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
