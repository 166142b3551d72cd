"""Content versions: what does not change the meaning of code does not change its hash, and what does, does."""

from __future__ import annotations

import ast
import inspect
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rrgbench import identity
from rrgbench.identity import normalised_source, source_version

ROOT = Path(__file__).parent.parent
Q = '"""'

TRICKY = {
    "a hash in a string": 'x = "# not a comment"  # a comment\n',
    "a hash in a format": 'x = f"{1:#>4} # still text"  # a comment\n',
    "quotes in quotes": "x = f\"{'a'} '#' {d['k']!r:>{width}}\"\n",
    "a string over lines": f"x = {Q}one   \n\n  # two\n\n{Q}\n",
    "a format over lines": f"x = f{Q}one   \n\n  # {{two}}\n\n{Q}\n",
    "a docstring over lines": f"def f():\n    {Q}One.\n\n    # Two.\n    {Q}\n    return 1\n",
    "nothing but a docstring": f"class E(Exception):\n    {Q}What.{Q}\n",
    "nothing but two strings": 'def f():\n    "one"\n    # and\n    "two"\n\n\nx = 1\n',
    "a docstring at the end": "class E:\n    'What.'",
    "a docstring on the line of its class": 'class E: "What."\nx = 1\n',
    "strings side by side": 'x = 1\n"a" "b"\n',
    "a format as a statement": 'def f():\n    f"{g()}"\n',
    "bytes as a statement": 'def f():\n    b"bytes"\n    return 1\n',
    "a statement after a string": '"a"; x = 1\n',
    "a string after a statement": 'x = 1; "a"\n',
    "decorators": "@a  # why\n# more\n@b(1)\ndef f(): return 1\n",
    "brackets over lines": 'x = [  # first\n    "a",\n\n    # second\n    "b",\n]\n',
    "a backslash": "x = 1 + \\\n    2\n",
    "a backslash and an empty line": "x = 1 \\\n\ny = 2\n",
    "a comment that ends in a backslash": "x = 1  # a \\\n\ny = 2\n",
    "a form feed in a string": 'x = "a\x0cb"  # c\ny = 2  # d\n',
    "a line separator in a string": 'x = "a\u2028b"  # c\ny = 2  # d\n',
    "a form feed between": "x = 1\n\x0c\ny = 2  # d\n",
    "windows": f"def f():\r\n    {Q}Doc.{Q}\r\n    return 1  # c\r\n",
    "other letters": 'ä = "日本 # ü"  # ß\n"""日本"""\nb = 2  # é\n',
    "an if with a string": 'if x:\n    "todo"\nelse:\n    y = 1\n',
    "an async function": f"async def f():\n    {Q}D.{Q}\n    await g()\n",
    "empty": "",
    "nothing but a comment": "# nothing",
}


ALL = "\n".join(TRICKY[name] for name in sorted(TRICKY) if name not in ("windows", "a docstring at the end"))
"""All of it in one file."""

RECORDED = "630a8857417cd1d9"


def _meaning(source: str) -> str:
    """The program without its docstrings and passes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("body", "orelse"):
            if isinstance(body := getattr(node, field, None), list):
                kept = [item for item in body if not isinstance(item, ast.Pass) and not _is_text(item)]
                setattr(node, field, kept)
    return ast.dump(tree)


def _is_text(item: ast.stmt) -> bool:
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, (str, bytes))


@pytest.mark.parametrize("name", TRICKY)
def test_the_result_is_the_same_program(name: str) -> None:
    result = normalised_source(TRICKY[name])
    assert _meaning(result) == _meaning(TRICKY[name])
    assert normalised_source(result) == result
    assert "\r" not in result


def test_every_file_of_the_platform_stays_the_same_program() -> None:
    files = [*(ROOT / "rrgbench").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    assert len(files) > 50
    for path in files:
        source = path.read_text(encoding="utf-8")
        assert _meaning(normalised_source(source)) == _meaning(source), path


BEFORE = f"""
import os

def f(a, *, b=1):
    {Q}A docstring.{Q}
    text = {Q}kept

      # kept{Q}
    return (a +  # why
            b), text
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A docstring.", "Another docstring.\n\n    With more."),
        (f"    {Q}A docstring.{Q}\n", ""),
        ("  # why", ""),
        ("import os\n", "# Above.\nimport os   \n\n\n"),
        ("\n", "\r\n"),
    ],
)
def test_what_says_nothing_to_python_changes_nothing(old: str, new: str) -> None:
    assert old in BEFORE
    assert normalised_source(BEFORE.replace(old, new)) == normalised_source(BEFORE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("b=1", "b=2"), ("kept\n\n", "kept\n"), ("# kept", "# changed"), ("import os", "import sys"), ("      #", "     #")],
)
def test_what_says_something_changes_something(old: str, new: str) -> None:
    assert old in BEFORE
    assert normalised_source(BEFORE.replace(old, new)) != normalised_source(BEFORE)


def test_a_first_docstring_changes_nothing_where_pass_stood() -> None:
    assert normalised_source(f"class E(Exception):\n    {Q}What.{Q}\n") == normalised_source("class E(Exception):\n    pass\n")


def test_the_hash_is_what_it_was(tmp_path: Path) -> None:
    """A recorded hash: it must be the same on every Python version and machine."""
    path = tmp_path / "module.py"
    path.write_text(ALL, encoding="utf-8")
    assert source_version(path) == RECORDED


def _other_pythons() -> list[str]:
    """Newer and older Pythons on the path, or beside this one; a shim that starts nothing does not count."""
    names = [f"python3.{minor}" for minor in range(11, 16) if minor != sys.version_info.minor]
    beside = [str(path) for name in names for path in Path(sys.base_prefix).parent.glob(f"*/bin/{name}")]
    found = [path for name in names if (path := shutil.which(name))] + beside
    return [path for path in found if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0]


def test_other_pythons_agree(tmp_path: Path) -> None:
    others = _other_pythons()
    if not others:
        pytest.skip("no other Python is installed")
    path = tmp_path / "module.py"
    path.write_text(ALL, encoding="utf-8")
    code = f"{inspect.getsource(identity)}\nimport sys\nprint(source_version(Path(sys.argv[1])))"
    for other in others:
        done = subprocess.run([other, "-c", code, str(path)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == source_version(path), other


def test_a_file_says_its_own_encoding(tmp_path: Path) -> None:
    latin, utf8, marked = (tmp_path / name for name in ("latin.py", "utf8.py", "marked.py"))
    latin.write_bytes('# coding: latin-1\nx = "é"\n'.encode("latin-1"))
    utf8.write_bytes('x = "é"\n'.encode())
    marked.write_bytes(b"\xef\xbb\xbf" + 'x = "é"\n'.encode())
    assert source_version(latin) == source_version(utf8) == source_version(marked)


def test_what_is_no_python_is_refused() -> None:
    with pytest.raises((SyntaxError, Exception)) as caught:
        normalised_source(textwrap.dedent("x = (\n"))
    assert type(caught.value).__name__ in ("TokenError", "SyntaxError")
