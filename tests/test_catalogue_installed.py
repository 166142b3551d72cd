"""What is installed: described once in a child process, again when something changes, and never when it is blocked.

Each toy distribution lies in a folder on the path as pip would lay it there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rrgbench import DataError, PluginError
from rrgbench.catalogue import Catalogue, Spec, cache_folder, installed
from rrgbench.catalogue.building import build
from rrgbench.catalogue.content import PUBLIC_ROOMS
from rrgbench.catalogue.describe import stamp

HOOK = "\n\n@rrgbench.hookimpl\ndef rrgbench_protocols():\n    return {'toy': TOY}\n"
TOY = f'''"""A toy."""
import os
from pathlib import Path
import rrgbench

if marker := os.environ.get("TOY_MARKER"):
    with open(marker, "a") as file:
        file.write("imported\\n")


class Toy:
    """A toy protocol."""

    changes_references = False

    def __init__(self, *, words: Path | None = None):
        self.words = words

    def prepare(self, text, side):
        return text
{HOOK.replace("TOY", "Toy")}'''

Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """Lays a distribution into a folder on the path; no other plugin is allowed, and the cache is empty."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("RRGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TOY_MARKER", str(tmp_path / "marker"))
    monkeypatch.delenv("RRGBENCH_DISABLE_PLUGINS", raising=False)

    def write(name: str, files: Mapping[str, str], points: Mapping[str, str] | None = None, allow: str | None = None) -> Path:
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        for path, text in files.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
        lines = [f"{point} = {module}\n" for point, module in (points or {"it": next(iter(files)).removesuffix(".py")}).items()]
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[rrgbench]\n" + "".join(lines))
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))
        monkeypatch.setenv("RRGBENCH_PLUGINS", allow or name)
        return site

    return write


@pytest.fixture
def imports(tmp_path: Path) -> Callable[[], int]:
    """How often the toy was imported since it was asked last."""
    marker = tmp_path / "marker"

    def count() -> int:
        times = len(marker.read_text().splitlines()) if marker.exists() else 0
        marker.unlink(missing_ok=True)
        return times

    return count


def _spec(name: str = "toy") -> Spec:
    (spec,) = Catalogue.load().specs["protocols"][name]
    return spec


def _error() -> str:
    (record,) = Catalogue.load().records
    return record.error


# The cache.


def test_a_plugin_is_described_once(lay: Lay, imports: Callable[[], int]) -> None:
    lay("toy", {"toy_a.py": TOY})
    first = _spec()
    assert imports() == 1
    assert _spec() == first
    assert first.summary == "A toy protocol."
    assert imports() == 0
    assert "toy_a" not in sys.modules


def test_a_file_that_changed_is_read_again(lay: Lay, imports: Callable[[], int]) -> None:
    site = lay("toy", {"toy_a.py": TOY})
    before = _spec()
    os.utime(site / "toy_a.py", ns=(1, 1))
    assert imports() == 1
    assert _spec() == before
    assert imports() == 1
    (site / "toy_a.py").write_text(TOY.replace("A toy protocol.", "Another toy."))
    assert _spec().summary == "Another toy."


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"records": 3}', b'{"records": [], "files": {}, "more": 1}'])
def test_a_corrupt_cache_is_made_again(lay: Lay, imports: Callable[[], int], content: bytes) -> None:
    lay("toy", {"toy_a.py": TOY})
    before = _spec()
    (kept,) = cache_folder().rglob("*.json")
    kept.write_bytes(content)
    assert _spec() == before
    assert imports() == 2
    assert _spec() == before
    assert imports() == 0


def test_a_cache_that_cannot_be_written_costs_time_only(
    lay: Lay, imports: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay("toy", {"toy_a.py": TOY})
    (tmp_path / "a file").touch()
    monkeypatch.setenv("RRGBENCH_CACHE", str(tmp_path / "a file" / "inside"))
    assert _spec() == _spec()
    assert imports() == 2


def test_a_read_only_cache_is_read(lay: Lay, imports: Callable[[], int]) -> None:
    lay("toy", {"toy_a.py": TOY})
    before = _spec()
    (kept,) = cache_folder().rglob("*.json")
    kept.chmod(0o400)
    kept.parent.chmod(0o500)
    try:
        assert _spec() == before
    finally:
        kept.parent.chmod(0o700)
    assert imports() == 1


def test_a_plugin_that_goes_is_gone(lay: Lay) -> None:
    site = lay("toy", {"toy_a.py": TOY})
    assert Catalogue.load().records
    shutil.rmtree(site / "toy-1.0.dist-info")
    assert not Catalogue.load().records


# What is broken.


def test_a_broken_plugin_is_not_tried_by_every_command(lay: Lay, imports: Callable[[], int]) -> None:
    lay("toy", {"toy_a.py": TOY + "\nraise RuntimeError('no')\n"})
    assert "RuntimeError: no" in _error()
    assert "RuntimeError: no" in _error()
    assert imports() == 1
    Catalogue.load(again=True)
    assert imports() == 1


def test_what_was_missing_and_is_installed_mends_a_plugin(lay: Lay) -> None:
    site = lay("toy", {"toy_a.py": "import wanted_by_toy\n" + TOY})
    assert "No module named 'wanted_by_toy'" in _error()
    (site / "wanted_by_toy.py").touch()
    (site / "wanted_by_toy-1.0.dist-info").mkdir()
    assert _error() == ""


def test_a_process_that_ends_names_its_entry_point_alone(lay: Lay) -> None:
    ending = "import os, sys\nsys.stderr.write('last words\\n')\nsys.stderr.flush()\nos._exit(7)\n"
    lay("toy", {"toy_a.py": TOY, "toy_b.py": ending}, {"a": "toy_a", "b": "toy_b"})
    a, b = Catalogue.load().records
    assert a.error == ""
    assert a.specs[0].name == "toy"
    assert b.error == "importing it ended the process with 7; its last words: last words"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("import sys\nsys.exit(3)", "ended the process with 3"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "ended the process with -11"),
        ("input()", "EOFError"),
        ("raise KeyboardInterrupt", "ended the process with"),
        ("raise ValueError('\\x1b[31m\\nred')", "got ValueError: ?[31m red"),
        ("def rrgbench_fusion(): ...", "rrgbench_fusion. Hint: did you mean 'rrgbench_fusions'"),
        ("def rrgbench_fusions(): return {}", "rrgbench_fusions is not marked. Hint: put @rrgbench.hookimpl above it"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(x): return {}", "does not fit the hooks"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(): return [Toy]", "got list; expected a mapping of name to factory"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(): return {'a b': Toy}", "got 'a b'; expected a name"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(): return {'a/b': Toy}", "got 'a/b'; expected a name"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(): return {3: Toy}", "got 3; expected a name"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(): return {'a': 3}", "a; got int; expected a factory"),
        ("@rrgbench.hookimpl\ndef rrgbench_fusions(): raise ValueError('no')", "rrgbench_fusions raised; got ValueError: no"),
        ("del rrgbench_protocols", "answers no hook"),
        ("class Toy(", "SyntaxError"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(lay: Lay, last: str, said: str) -> None:
    lay("toy", {"toy_a.py": f"{TOY}\n{last}\n"})
    error = _error()
    assert said in error
    assert "\n" not in error
    assert "\x1b" not in error


@pytest.mark.parametrize("module", ["toy_none", "toy_a:nothing", "toy a", ":", "...", "toy_a.toy_a"])
def test_an_entry_point_to_nowhere_is_told(lay: Lay, module: str) -> None:
    lay("toy", {"toy_a.py": TOY}, {"it": module})
    assert "cannot be imported" in _error()


@pytest.mark.parametrize("content", [b"[rrgbench]\nno equals sign\n", b"\xff\xfe[rrgbench]\n"])
def test_entry_points_that_cannot_be_read_are_told(lay: Lay, content: bytes) -> None:
    site = lay("toy", {"toy_a.py": TOY})
    (site / "toy-1.0.dist-info" / "entry_points.txt").write_bytes(content)
    assert "entry_points.txt" in _error()


def test_a_distribution_without_a_name_hurts_nobody(lay: Lay) -> None:
    site = lay("toy", {"toy_a.py": TOY})
    (site / "toy-1.0.dist-info" / "METADATA").unlink()
    assert Catalogue.load().records == ()


def test_what_a_plugin_leaves_running_keeps_nobody_waiting(lay: Lay) -> None:
    child = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'])\n"
    lay("toy", {"toy_a.py": child + TOY})
    assert _error() == ""


# Block and allow lists.


@pytest.mark.parametrize("listed", ["toy", "TOY", "toy/it", " other , toy "])
def test_a_blocked_plugin_is_never_imported(
    lay: Lay, imports: Callable[[], int], monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    lay("toy", {"toy_a.py": TOY})
    monkeypatch.setenv("RRGBENCH_DISABLE_PLUGINS", listed)
    assert Catalogue.load().records == ()
    assert imports() == 0


def test_one_entry_point_can_be_blocked(lay: Lay, imports: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    other = TOY.replace('"imported', '"other').replace("'toy'", "'other'")
    lay("My_Toy", {"toy_a.py": TOY, "toy_b.py": other}, {"a": "toy_a", "b": "toy_b"}, allow="my-toy")
    monkeypatch.setenv("RRGBENCH_DISABLE_PLUGINS", "my.toy/a")
    assert [record.entry_point for record in Catalogue.load().records] == ["b"]
    assert imports() == 1


def test_an_empty_allow_list_starts_empty(lay: Lay, imports: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    lay("toy", {"toy_a.py": TOY})
    monkeypatch.setenv("RRGBENCH_PLUGINS", "")
    assert Catalogue.load().records == ()
    assert imports() == 0


# Content versions.

PACKAGE = {
    "toy/__init__.py": "import rrgbench\nfrom toy.protocol import Toy\n" + HOOK.replace("TOY", "Toy"),
    "toy/protocol.py": "from . import words\nfrom toy_blocks import BLOCK\n" + TOY.replace(HOOK.replace("TOY", "Toy"), ""),
    "toy/words.py": "WORDS = 1\n",
    "toy/alone.py": "ALONE = 1\n",
    "toy_blocks.py": "BLOCK = 1\n",
}


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("toy/protocol.py", "return text", "return text  # as it is", False),
        ("toy/protocol.py", '"""A toy protocol."""', '"""Said otherwise."""', False),
        ("toy/protocol.py", "class Toy:", "\n\nclass Toy:", False),
        ("toy/protocol.py", "return text", "return text.lower()", True),
        ("toy/words.py", "1", "2", True),
        ("toy_blocks.py", "1", "2", True),
        ("toy/alone.py", "1", "2", False),
        ("toy/__init__.py", "import rrgbench", "import os\nimport rrgbench", False),
    ],
)
def test_a_version_is_the_code_behind_a_component(lay: Lay, file: str, old: str, new: str, changes: bool) -> None:
    site = lay("toy", PACKAGE, {"it": "toy"})
    before = _spec().version
    assert old in PACKAGE[file]
    (site / file).write_text(PACKAGE[file].replace(old, new))
    assert (_spec().version != before) == changes


def test_a_declared_version_wins(lay: Lay) -> None:
    site = lay("toy", {"toy_a.py": TOY.replace("changes_references = False", "changes_references = False\n    version = '7'")})
    assert _spec().version == "7"
    path = site / "toy_a.py"
    path.write_text(path.read_text().replace("return text", "return text.lower()"))
    assert _spec().version == "7"


def test_a_version_that_a_parent_declares_is_not_the_child_s(lay: Lay) -> None:
    more = "class Child(Toy):\n    '''A child.'''\n\n\nclass Toy_(Toy):\n    pass\n"
    text = TOY.replace("changes_references = False", "changes_references = False\n    version = '7'")
    lay("toy", {"toy_a.py": text.replace("@rrgbench", more + "\n\n@rrgbench").replace("'toy': Toy", "'toy': Child")})
    assert len(_spec().version) == 16


@pytest.mark.parametrize(
    "offered", ["functools.partial(Toy, words=None)", "lambda: Toy(words=None)", "functools.wraps(Toy)(lambda: Toy())"]
)
def test_what_is_made_where_it_is_offered_counts_that_module(lay: Lay, offered: str) -> None:
    init = PACKAGE["toy/__init__.py"].replace("import rrgbench\n", "import functools\nimport rrgbench\n")
    init = init.replace("{'toy': Toy}", "{'toy': MADE}").replace(
        "\n\n@", f"\nMADE = {offered}\nMADE.changes_references = False\n\n\n@"
    )
    site = lay("toy", {**PACKAGE, "toy/__init__.py": init}, {"it": "toy"})
    before = _spec().version
    (site / "toy/__init__.py").write_text(init + "\nMORE = 1\n")
    assert _spec().version != before
    (site / "toy/__init__.py").write_text(init)
    assert _spec().version == before
    (site / "toy/words.py").write_text("WORDS = 2\n")
    assert _spec().version != before


def test_a_module_that_is_imported_late_counts_without_being_run(lay: Lay, imports: Callable[[], int]) -> None:
    late = TOY.replace("return text", "from toy_late import LATE\n        return LATE")
    site = lay("toy", {"toy_a.py": late, "toy_late.py": "raise SystemExit(3)\nLATE = 1\n"})
    before = _spec().version
    (site / "toy_late.py").write_text("raise SystemExit(3)\nLATE = 2\n")
    os.utime(site / "toy_a.py", ns=(1, 1))
    assert _spec().version != before


def test_source_that_is_no_python_is_told(lay: Lay) -> None:
    lay("toy", {"toy_a.py": TOY.replace("return text", "import toy_new\n        return text"), "toy_new.py": "match = (\n"})
    assert "toy_new cannot be read as Python" in _error()


# Building.


def _nothing(name: str) -> Any:
    raise AssertionError(f"nobody asked for {name}")


def test_a_component_is_built_from_its_request(lay: Lay, tmp_path: Path) -> None:
    lay("toy-built", {"toy_built.py": TOY})
    words = tmp_path / "words"
    words.write_text("a")
    request = Catalogue.load().resolve("protocols", {"name": "toy", "words": str(words)}, "").request()
    assert build(request, _nothing).words == words
    words.write_text("bc")
    with pytest.raises(DataError, match="changed after the plan"):
        build(request, _nothing)
    words.unlink()
    with pytest.raises(DataError, match="changed after the plan"):
        build(request, _nothing)


def test_code_that_changed_after_the_plan_is_not_built(lay: Lay) -> None:
    lay("toy-changed", {"toy_changed.py": TOY})
    request = Catalogue.load().resolve("protocols", "toy", "").request()
    request["$component"]["version"] = "another"
    with pytest.raises(PluginError, match="changed after the plan was made"):
        build(request, _nothing)


def test_a_plugin_that_is_gone_is_not_built(lay: Lay) -> None:
    site = lay("toy-gone", {"toy_gone.py": TOY})
    request = Catalogue.load().resolve("protocols", "toy", "").request()
    shutil.rmtree(site / "toy_gone-1.0.dist-info")
    with pytest.raises(PluginError, match="not installed any more"):
        build(request, _nothing)


def test_every_room_that_counts_in_content_versions_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    before = installed._surroundings()
    for room in PUBLIC_ROOMS:
        file = importlib.util.find_spec(room).origin
        monkeypatch.setattr(installed, "stamp", lambda path, file=file: (0, 0) if str(path) == file else stamp(path))
        assert installed._surroundings() != before, room
        monkeypatch.undo()
    assert installed._surroundings() == before
