"""The leaderboard's page in a real browser: it sorts by value, folds, asks the network for nothing, runs no one else's script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rrgbench.leaderboard.page import write_page
from rrgbench.row import Row

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


class Browser:
    """Headless Chromium, spoken to over its pipe: one JSON message after the other, each ended by a zero byte."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        reads, self._send = os.pipe()
        self._receive, writes = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        # Chromium reads from descriptor 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", CHROMIUM, *options, "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(reads)
        os.close(writes)
        self._number, self._rest = 0, b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command and wait for its answer; what happens meanwhile is kept in ``events``."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params or {}}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._receive, 1 << 20)
            assert part, "chromium is gone"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        told = self.call("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def open(self, page: Path, width: int = 1400) -> None:
        """Load a page and wait until its tables are alive."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.call("Page.navigate", {"url": page.as_uri()})
        self.run("""new Promise(done => {
          const alive = table => table.classList.contains("dataTable");
          const look = () => document.querySelector("footer") && [...document.querySelectorAll("table.rows")].every(alive)
            ? done(1) : setTimeout(look, 20);
          look();
        })""")

    def close(self) -> None:
        """End the browser that this object started."""
        os.close(self._send)
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._receive)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = Browser(tmp_path_factory.mktemp("profile"))
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.fixture(scope="module")
def hostile(hostile_page: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "leaderboard.html"
    path.write_text(hostile_page, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[Row]], Path]:
    def write(rows: list[Row]) -> Path:
        path = tmp_path_factory.mktemp("page") / "leaderboard.html"
        write_page(rows, path)
        return path

    return write


def _complaints(browser: Browser) -> list[dict[str, Any]]:
    """Scripts that failed, and what the content policy or the console had to say."""
    bad = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening"}
    return [event for event in browser.events if event["method"] in bad]


def _asked(browser: Browser) -> list[str]:
    """Everything that the page fetched, but for itself and what lies inside it."""
    urls = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]


TITLES = "[...document.querySelectorAll('table.rows tbody td.title a')].map(a => a.textContent)"


def _click(browser: Browser, selector: str, words: str) -> None:
    """Click the first element whose text begins with these words, and give timers their time."""
    browser.run(f"[...document.querySelectorAll({selector!r})].find(e => e.textContent.trim().startsWith({words!r})).click()")
    browser.run("new Promise(done => setTimeout(done, 100))")


def _sort(browser: Browser, heading: str) -> list[str]:
    _click(browser, "table.rows thead th:not(.metric)", heading)
    titles: list[str] = browser.run(TITLES)
    return titles


def _filter(browser: Browser, words: str) -> None:
    browser.run(f"""{{
      const box = document.querySelector(".dt-search input");
      box.value = {words!r};
      box.dispatchEvent(new Event("input", {{bubbles: true}}));
    }}""")
    browser.run("new Promise(done => setTimeout(done, 600))")


def test_a_column_sorts_by_value_best_first_and_what_is_missing_stands_last(
    browser: Browser,
    written: Callable[[list[Row]], Path],
    make_row: Callable[..., Row],
    make_value: Callable[..., dict[str, Any]],
) -> None:
    def values(first: float, second: float, rank: float) -> dict[str, Any]:
        return {
            "v": make_value(first),
            "w": make_value(second, metric="other"),
            "rank": make_value(rank, metric="rank", better="lower"),
        }

    rows = [
        make_row("a", values(0.9, 2.0, 100.0), title="a"),
        make_row("b", values(0.8, 10.0, 9.0), title="b"),
        make_row("c", values(0.7, -1.0, 20.0), title="c"),
        make_row("f", {"v": make_value(0.1)}, title="f", kind="floor", not_applicable={"w": "none", "rank": "none"}),
    ]
    browser.open(written(rows))
    assert browser.run(TITLES) == ["a", "b", "c", "f"]
    assert _sort(browser, "w") == ["b", "a", "c", "f"]
    assert _sort(browser, "rank") == ["b", "c", "a", "f"]
    assert _sort(browser, "v") == ["a", "b", "c", "f"]
    assert _sort(browser, "v") == ["f", "c", "b", "a"]
    assert _complaints(browser) == []
    assert _asked(browser) == []


def test_rows_are_filtered_and_columns_come_and_go(
    browser: Browser,
    written: Callable[[list[Row]], Path],
    make_row: Callable[..., Row],
    make_value: Callable[..., dict[str, Any]],
) -> None:
    values = {f"m{metric}_{number}": make_value(0.5, metric=f"m{metric}") for metric in range(3) for number in range(4)}
    browser.open(written([make_row("a", values, title="gating"), make_row("b", values, title="concat")]))
    heads = "[...document.querySelectorAll('table.rows thead th.value bdi')].map(b => b.textContent)"
    assert browser.run(heads) == ["m0_0", "m1_0", "m2_0"]
    _click(browser, "button", "Every value")
    assert len(browser.run(heads)) == 12
    _click(browser, "button", "Headline values")
    assert browser.run(heads) == ["m0_0", "m1_0", "m2_0"]
    _filter(browser, "gat")
    assert browser.run(TITLES) == ["gating"]
    assert _complaints(browser) == []


def test_a_rows_title_leads_to_what_it_is_made_of(
    browser: Browser,
    written: Callable[[list[Row]], Path],
    make_row: Callable[..., Row],
    make_value: Callable[..., dict[str, Any]],
) -> None:
    browser.open(written([make_row(name, {"v": make_value(0.2)}, title=name) for name in "ab"]))
    opened = "[...document.querySelectorAll('details.provenance')].map(d => d.open)"
    assert browser.run(opened) == [False, False]
    browser.run("document.querySelectorAll('table.rows td.title a')[1].click()")
    browser.run("new Promise(done => setTimeout(done, 200))")
    assert browser.run(opened) == [False, True]


def test_no_script_of_a_row_runs_even_without_the_content_policy(browser: Browser, hostile: Path) -> None:
    path = hostile
    browser.open(path)
    assert _complaints(browser) == []
    assert _asked(browser) == []
    told = path.read_text(encoding="utf-8")
    start = told.index("<meta http-equiv")
    bare = path.with_name("bare.html")
    bare.write_text(told[:start] + told[told.index(">", start) + 1 :], encoding="utf-8")
    browser.open(bare)
    for heading in ("row", "kind", "#"):
        _sort(browser, heading)
    _click(browser, "button", "Every value")
    _click(browser, "button", "Columns")
    _filter(browser, "<img src=x onerror=alert(1)>")
    assert _complaints(browser) == []
    assert _asked(browser) == []
    assert browser.run("document.querySelectorAll('img, iframe, object, embed, form').length") == 0
    handlers = "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length"
    assert browser.run(handlers) == 0


@pytest.mark.parametrize("width", [320, 800, 1800])
def test_the_page_itself_never_scrolls_sideways(browser: Browser, hostile: Path, width: int) -> None:
    browser.open(hostile, width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_no_two_labels_of_a_plot_overlap(browser: Browser, hostile: Path) -> None:
    browser.open(hostile, 1400)
    overlaps = """[...document.querySelectorAll(".plot svg")].flatMap(svg => {
      const labels = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
      const apart = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) <= 2
        || Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) <= 3;
      return labels.flatMap(([one, a], place) => labels.slice(place + 1)
        .filter(([other, b]) => one.trim() && other.trim() && !apart(a, b)).map(([other]) => [one, other]));
    })"""
    assert browser.run(overlaps) == []
