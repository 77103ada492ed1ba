"""The report is one page that needs nothing else; a real browser opens it, searches, sorts and clicks."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

import latebind
from latebind.view.look import Look
from latebind.view.report import page
from support.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.compiler import Compiler

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def root(cc: Compiler, tmp_path: Path) -> Path:
    """Libroot needs libinner and libc, refers to malloc, free, a C++ name, and to something undefined and weak."""
    cc.shared('int inner __asm__("_ZN5inner4makeEi"); int inner = 3;', name="libinner.so")
    source = """
        #include <stdlib.h>
        extern int inner __asm__("_ZN5inner4makeEi");
        extern int nowhere(void) __attribute__((weak));
        char zeros[5000];
        void give(void *p) { free(p); }
        void *get(void) { return nowhere ? 0 : malloc(inner); }
    """
    flags = [f"-L{tmp_path}", "-linner", "-Wl,-rpath,$ORIGIN"]
    return cc.shared(source, name="libroot.so", flags=flags)


@pytest.fixture
def html(root: Path, tmp_path: Path) -> Path:
    """The page about libroot, with the bindings of libroot alone."""
    plan = latebind.plan(root)
    path = tmp_path / "page.html"
    path.write_text(page(plan, plan.bindings_of(0), Look(demangle=True)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def symbols(browser: Browser) -> list[str]:
    return browser.texts("#rows td:nth-child(2)")


def test_typing_into_the_search_box_leaves_the_rows_that_match(browser: Browser, html: Path) -> None:
    browser.go(html.as_uri())
    everything = symbols(browser)
    assert {"malloc", "free", "nowhere", "inner::make(int)"} <= set(everything)
    browser.type("#search", "malloc")
    assert symbols(browser) == ["malloc"]
    assert browser.texts("#rows tr td:nth-child(4)") == ["libc.so.6"]
    assert browser.texts("#count") == [f"1 of {len(everything)}"]
    assert browser.run("return location.hash") == "#q=malloc"
    browser.type("#search", " xyz")
    assert symbols(browser) == []


def test_the_address_can_hold_the_search(browser: Browser, html: Path) -> None:
    browser.go("about:blank")
    browser.go(f"{html.as_uri()}#q=to:libinner")
    assert symbols(browser) == ["inner::make(int)"]
    assert browser.run("return document.querySelector('#rows td:nth-child(2)').title") == "_ZN5inner4makeEi"


def test_a_click_on_an_object_shows_its_segments_and_what_binds_to_it(browser: Browser, html: Path) -> None:
    browser.go("about:blank")
    browser.go(html.as_uri())
    assert browser.run("return [...document.querySelectorAll('.map')].map((m) => m.hidden)")[:2] == [False, True]
    index = browser.run(
        "return [...document.querySelectorAll('.node')].find((n) => n.textContent.includes('libinner')).dataset.node"
    )
    browser.click(f'.node[data-node="{index}"] text')
    shown = browser.run("return [...document.querySelectorAll('.map')].find((m) => !m.hidden).dataset.object")
    assert shown == index
    assert symbols(browser) == ["inner::make(int)"]


def test_a_click_on_a_head_sorts(browser: Browser, html: Path) -> None:
    browser.go("about:blank")
    browser.go(html.as_uri())
    browser.click('th button[data-column="1"]')
    ascending = symbols(browser)
    browser.click('th button[data-column="1"]')
    assert symbols(browser) == ascending[::-1]
    assert ascending == sorted(ascending, key=str.lower) or len(ascending) > 3  # the browser collates by locale


def test_the_page_follows_light_and_dark_and_can_be_switched(browser: Browser, html: Path) -> None:
    browser.go("about:blank")
    browser.go(html.as_uri())
    paint = "return getComputedStyle(document.body).backgroundColor"
    before = browser.run(paint)
    light_picture = browser.screenshot()
    browser.click("#theme")
    assert browser.run(paint) != before
    assert browser.screenshot() != light_picture
    fill = browser.run("return getComputedStyle(document.querySelector('.node rect')).fill")
    assert fill == "rgb(31, 58, 99)"  # the root's colour in the dark


def test_nothing_is_fetched_and_nothing_is_wrong(browser: Browser, html: Path) -> None:
    browser.messages()
    browser.go("about:blank")
    browser.go(html.as_uri())
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.messages() == []
    text = html.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=", text)


def test_names_from_a_hostile_file_stay_text(browser: Browser, cc: Compiler, tmp_path: Path) -> None:
    cc.shared("", name="libevil.so", flags=["-nostdlib", f"-Wl,-soname,{HOSTILE}"])
    harmless = "a" * len(HOSTILE)  # the assembler would not take the other one
    source = f"extern int {harmless} __attribute__((weak)); int *get(void) {{ return &{harmless}; }}"
    flags = ["-nostdlib", "-Wl,--no-as-needed", str(tmp_path / "libevil.so")]
    root = cc.shared(source, name="libroot.so", flags=flags)
    root.write_bytes(root.read_bytes().replace(harmless.encode(), HOSTILE.encode()))
    plan = latebind.plan(root)
    path = tmp_path / "page.html"
    path.write_text(page(plan, plan.bindings_of(0)), encoding="utf-8")
    browser.go(path.as_uri())
    assert symbols(browser) == [HOSTILE]
    assert browser.run("return document.images.length") == 0


def test_the_data_holds_every_binding(root: Path, html: Path) -> None:
    found = re.search(r'id="data">(.*?)</script>', html.read_text(encoding="utf-8"))
    assert found
    rows = json.loads(found[1])["rows"]
    assert sorted(row[1] for row in rows) == sorted(b.symbol for b in latebind.plan(root).bindings_of(0))
