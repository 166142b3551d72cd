"""The leaderboard's page: one file that needs nothing else, says all that the rows say, and runs nothing that stands in them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rrgbench.leaderboard.page import page
from rrgbench.row import Row, write_row
from rrgbench.store import Store

MakeRow = Callable[..., Row]
MakeValue = Callable[..., dict[str, Any]]

_VOID = {"meta", "br", "img", "link", "input", "hr"}


class _Reader(HTMLParser):
    """Elements with their attributes and their own text, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[tuple[str, str]] = []
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text.append((self._open[-1], data))

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def said(self) -> str:
        """What a reader sees, spaces made one."""
        return " ".join(" ".join(data for tag, data in self.text if tag not in ("script", "style")).split())


@pytest.fixture
def two(make_row: MakeRow, make_value: MakeValue) -> list[Row]:
    values = {
        "v": make_value(0.25, seeds=[0.2, 0.3], sd=0.07),
        "radgraph": make_value(0.5, metric="radgraph", annotator="lexicon()@1"),
    }
    cell = make_row("a", values, labels={"fusion": "gating"}, parameters=1234567, train_seconds=61.6, baseline=True)
    floor = make_row("f", {"v": make_value(0.3)}, kind="floor", title="constant", not_applicable={"radgraph": "it has no graph"})
    return [cell, floor]


# What it says.


def test_it_says_what_the_rows_say(two: list[Row]) -> None:
    said = _Reader(page(two)).said()
    for words in (
        "Does it help?",
        "Experiment e",
        "100 of 90 subjects",
        "r1r2r3",
        "0.250 [0.150, 0.350]",
        "radgraph ↑ by lexicon",
        "not applicable it has no graph",
        "row a baseline",
        "⚠ below floor constant on v",
        "1,234,567",
        "v ↑ 0.250 [0.150, 0.350] 0.070 0.200, 0.300",
        "metric_annotator: lexicon()@1",
        "step a",
        "predictions a",
    ):
        assert words in said, words


def test_no_cell_of_a_table_is_blank(two: list[Row], make_row: MakeRow, make_value: MakeValue) -> None:
    bare = make_row("b", {"v": make_value(0.1)}, labels={"text": "none"})
    told = page([*two, bare])
    cells = re.findall(r"<td[^>]*>(.*?)</td>", told, re.DOTALL)
    assert len(cells) > 30
    assert all(re.sub(r"<[^>]*>", "", cell).strip() for cell in cells)
    assert "not scored" in told


def test_a_credentialed_licence_is_told(two: list[Row]) -> None:
    assert "values only" not in page(two)
    secret = [row.model_copy(update={"license": "credentialed"}) for row in two]
    assert "credentialed (values only" in _Reader(page(secret)).said()


def test_rows_that_may_not_be_compared_stand_in_different_sections(make_row: MakeRow, make_value: MakeValue) -> None:
    rows = [make_row("a", {"v": make_value(0.2)}), make_row("b", {"v": make_value(0.2)}, protocol="r2gen", experiment="other")]
    found = _Reader(page(rows))
    assert [attributes["id"] for tag, attributes in found.elements if tag == "section"] == ["b1", "b2"]
    assert "2 questions" in found.said()


# What it is.


def test_it_asks_for_nothing_outside_itself(two: list[Row]) -> None:
    found = _Reader(page(two))
    for tag, attributes in found.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form", "audio", "video", "img")
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    styles = "".join(data for tag, data in found.text if tag == "style") + "".join(a.get("style", "") for _, a in found.elements)
    assert "@import" not in styles
    assert all(url.strip("'\"").startswith(("data:", "#")) for url in re.findall(r"url\(([^)]*)\)", styles))


def test_its_policy_forbids_the_network_and_every_script_but_its_own(two: list[Row]) -> None:
    found = _Reader(page(two))
    (policy,) = [a["content"] for tag, a in found.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "http" not in policy
    assert "unsafe" not in rules["script-src"]
    assert "connect-src" not in rules
    scripts = [(a.get("type"), a.get("id")) for tag, a in found.elements if tag == "script"]
    assert scripts == [("application/json", "datatables"), ("module", None)]
    data, own = [text for tag, text in found.text if tag == "script"]
    assert "DataTables" in json.loads(data)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()}'" in rules["script-src"]


def test_every_id_stands_once_and_every_link_inside_leads_to_one(hostile_page: str) -> None:
    elements = _Reader(hostile_page).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    told = [value for _, a in elements for name, value in a.items() if name == "href" or "url(#" in value]
    wanted = {match for value in told for match in re.findall(r"#([\w.-]+)", value) if not re.fullmatch(r"[0-9a-f]{6}", match)}
    assert len(wanted) > 20
    assert wanted <= set(ids)


def test_the_same_rows_give_the_same_bytes(hostile_rows: list[Row], hostile_page: str) -> None:
    assert page([row.model_copy() for row in hostile_rows]) == hostile_page


# What it does not run.


def test_hostile_text_is_text_wherever_it_stands(hostile_page: str, hostile_texts: tuple[str, ...], two: list[Row]) -> None:
    found = _Reader(hostile_page)
    assert {tag for tag, _ in found.elements} <= {tag for tag, _ in _Reader(page(two)).elements} | {
        "dl",
        "dt",
        "dd",
        "nav",
        "clippath",
    }
    assert found.comments == []
    assert not [a for _, a in found.elements if any(name.startswith("on") for name in a)]
    assert not any(character in hostile_page for character in "\u2028\u2029\u202e\x00\x1b\x7f")
    said = found.said()
    for text in (hostile_texts[0], hostile_texts[1], hostile_texts[3], hostile_texts[7], hostile_texts[12]):
        assert text in said
    (summary,) = [text for tag, text in found.text if tag == "bdi" and text.startswith("xxx") and len(text) > 100][:1]
    assert len(summary) <= 300  # the ten kilobytes are folded away
    assert hostile_texts[6] in said


def test_nothing_of_a_row_stands_in_a_script(hostile_page: str, two: list[Row]) -> None:
    def scripts(told: str) -> list[str]:
        return [text for tag, text in _Reader(told).text if tag == "script"]

    assert scripts(hostile_page) == scripts(page(two))


def test_a_dollar_sign_in_a_plot_is_a_dollar_sign(make_row: MakeRow, make_value: MakeValue) -> None:
    told = page([make_row("a", {"v": make_value(0.2)}, title="$\\alpha$ and $")])
    assert re.search(r"<text[^>]*>\$\\alpha\$ and \$ +#1</text>", told)


@pytest.mark.heavy
def test_two_hundred_rows_take_seconds(make_row: MakeRow, make_value: MakeValue) -> None:
    names = [f"v{metric}_{number}" for metric in range(8) for number in range(3)]
    config = {f"part {part}": {"options": dict.fromkeys(map(str, range(10)), 1.5)} for part in range(10)}
    rows = [
        make_row(
            f"r{place}",
            {name: make_value(place / 200, metric=name.split("_")[0], seeds=[0.1, 0.2, 0.3]) for name in names},
            labels={"a": f"l{place % 10}", "b": f"l{place // 10 % 2}", "c": f"l{place // 20}"},
            config=config | {"place": place},
        )
        for place in range(200)
    ]
    start = time.monotonic()
    told = page(rows)
    assert time.monotonic() - start < 60  # 5 s alone; others may share the machine
    assert len(told) < 12_000_000


# The shell.


def _store(folder: Path, rows: list[Row]) -> Path:
    for row in rows:
        write_row(Store(folder), row)
    return folder


def test_the_shell_writes_it_and_says_where(tmp_path: Path, two: list[Row], shell: Any) -> None:
    place = _store(tmp_path / "store", two)
    built = shell("leaderboard", "build", "--store", place)
    assert (built.code, built.out) == (0, f"{place / 'leaderboard.html'}\n"), built.err
    first = (place / "leaderboard.html").read_bytes()
    other = tmp_path / "new" / "page.html"
    assert shell("leaderboard", "build", "e", "--store", place, "--out", other).code == 0
    assert other.read_bytes() == first
    assert sorted(path.name for path in other.parent.iterdir()) == ["page.html"]


def test_the_shell_says_in_one_line_what_hinders_it(tmp_path: Path, two: list[Row], shell: Any) -> None:
    place = _store(tmp_path / "store", two)
    for arguments, words in (
        (("--store", tmp_path / "none"), f"no rows in {tmp_path}/none/rows"),
        (("nothing", "--store", place), "no rows of experiment nothing in"),
        (("--store", place, "--out", tmp_path), "--out; got the folder"),
        (("--store", place, "--out", place / "FORMAT" / "x.html"), "cannot write"),
    ):
        (place / "FORMAT").write_text("1\n")
        ran = shell("leaderboard", "build", *arguments)
        assert (ran.code, ran.out) == (2, ""), ran
        assert ran.err.startswith(f"error: {words}"), ran.err
        assert len(ran.err.splitlines()) == 1
    assert not list(place.glob("*.html"))


def test_making_the_page_imports_no_torch_and_listing_commands_imports_no_plots(tmp_path: Path, two: list[Row]) -> None:
    place = _store(tmp_path, two)
    script = (
        "import sys, rrgbench.cli.app as app; app.make_app(); light = set(sys.modules)\n"
        "from pathlib import Path; from rrgbench.leaderboard import load_rows; from rrgbench.leaderboard.page import write_page\n"
        f"write_page(load_rows({str(place)!r}), Path({str(tmp_path / 'page.html')!r}))\n"
        "print('torch' in sys.modules, bool(light & {'matplotlib', 'seaborn', 'itables', 'pandas', 'jinja2'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert (tmp_path / "page.html").is_file()
