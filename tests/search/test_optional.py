"""What objects may open at run time (.note.dlopen): by which rule it would be found, and that it is not loaded."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

import latebind
from latebind.search import Files, fresh_closure
from latebind.search.optional import Optionals, find_optional
from latebind.view import deps, draw
from latebind.view.graph import graph_of
from latebind.view.report import page
from support.command import latebind as run

if TYPE_CHECKING:
    from pathlib import Path

    from latebind.linkplan import LinkPlan
    from support.compiler import Compiler


def note(text: object) -> str:
    """C that puts `text`, or the JSON of anything else, into a .note.dlopen, as systemd's macro does."""
    string = json.dumps(text if isinstance(text, str) else json.dumps(text))
    escaped = json.dumps(string)[1:-1]
    return f"""__asm__(".pushsection .note.dlopen, \\"a\\", %note\\n .balign 4\\n .long 4, 882f-881f, 0x407c0c0a\\n"
        ".asciz \\"FDO\\"\\n 881: .asciz {escaped}\\n 882: .balign 4\\n .popsection");"""


def entry(*names: str, **more: str) -> dict[str, Any]:
    return {"soname": list(names), **more}


@pytest.fixture
def root(cc: Compiler, tmp_path: Path) -> Path:
    """Libroot needs libinner; both have notes, libroot two, and one more that is broken."""
    cc.shared("", name="sub/libplugin.so.2", flags=["-nostdlib"])
    here = ["-nostdlib", "-Wl,--enable-new-dtags", "-Wl,--no-as-needed", f"-L{tmp_path}"]
    inner = note([entry("libroot.so", "libplugin.so.2", priority="suggested")])
    cc.shared(inner, name="libinner.so", flags=[*here, "-Wl,-rpath,$ORIGIN/sub"])
    first = [
        entry("libnone.so.2", "libnone.so.1", feature="none", description="nothing", priority="required"),
        entry("libinner.so"),
    ]
    source = note(first) + note([entry("libplugin.so.2")]) + note("[{oops")
    return cc.shared(source, name="libroot.so", flags=[*here, "-linner", "-Wl,-rpath,$ORIGIN"])


def planned(root: Path) -> tuple[LinkPlan, Optionals]:
    files = Files()
    plan = latebind.plan(root)
    return plan, find_optional(fresh_closure(plan.root.elf, files, plan.environment), files, plan.environment)


def test_each_entry_of_each_note_is_looked_for_as_dlopen_would(root: Path) -> None:
    plan, optionals = planned(root)
    found = [
        (plan.objects[e.by].name.rpartition("/")[2], e.dependency.sonames[0], e.found and (e.found.path, e.found.via))
        for e in optionals.entries
    ]
    inner, plugin = root.parent / "libinner.so", root.parent / "sub/libplugin.so.2"
    assert found == [
        ("libroot.so", "libnone.so.2", None),
        ("libroot.so", "libinner.so", (str(inner), "runpath")),
        ("libroot.so", "libplugin.so.2", None),  # DT_RUNPATH of libroot does not lead there
        ("libinner.so", "libroot.so", (str(plugin), "runpath")),  # the next name: libroot.so was asked for by path
    ]
    assert optionals.entries[1].found is not None
    assert optionals.entries[1].found.loaded == 1
    assert [o.name for o in plan.closure[1:]] == ["libinner.so"]  # nothing of it is loaded


def test_the_places_that_were_tried_are_kept(root: Path) -> None:
    _, optionals = planned(root)
    tried = {place.path: place.why for place in optionals.entries[0].tried}
    assert tried[f"{root.parent}/libnone.so.2"] == "no such file"
    assert tried[f"{root.parent}/libnone.so.1"] == "no such file"


def test_a_broken_note_is_diagnosed_and_the_others_are_read(root: Path) -> None:
    plan, optionals = planned(root)
    assert len(optionals.entries) == 4
    assert [(plan.objects[n.by].path, n.what[:28]) for n in optionals.bad] == [
        (str(root), "its dlopen note is not JSON:")
    ]


def test_the_tree_hangs_them_below_who_may_open_them_and_none_makes_it_fail(root: Path) -> None:
    answer = run("deps", root)
    assert answer.returncode == 0
    lines = [line.partition("  [")[0] for line in answer.stdout.splitlines()]
    assert lines[:-1] == [
        str(root),
        f"├─ libinner.so → {root.parent}/libinner.so",
        f"│  └┄ libplugin.so.2 → {root.parent}/sub/libplugin.so.2",
        "├┄ libnone.so.2 or libnone.so.1 would not be found  (required, none: nothing)",
        f"├┄ libinner.so → {root.parent}/libinner.so",
        "├┄ libplugin.so.2 would not be found  (recommended)",
    ]
    assert lines[-1].startswith("└┄ its dlopen note is not JSON")


def test_the_list_says_where_those_were_looked_for_that_are_not_there(root: Path) -> None:
    plan, optionals = planned(root)
    closure = fresh_closure(plan.root.elf, Files(), plan.environment)
    lines = list(deps.listing(closure, optionals=optionals))
    at = lines.index(f"  optional: libplugin.so.2 would not be found  (recommended), of {root}")
    assert f"    tried {root.parent}/libplugin.so.2: no such file" in lines[at:]


def test_the_document_has_them_beside_the_objects(root: Path) -> None:
    document = json.loads(run("deps", "--json", root).stdout)
    assert len(document["objects"]) == 1
    assert document["optional"][3] == {
        "from": f"{root.parent}/libinner.so",
        "sonames": ["libroot.so", "libplugin.so.2"],
        "feature": "",
        "description": "",
        "priority": "suggested",
        "found": {
            "name": "libplugin.so.2",
            "path": f"{root.parent}/sub/libplugin.so.2",
            "via": "runpath",
            "why": f"DT_RUNPATH $ORIGIN/sub of {root.parent}/libinner.so",
            "loaded": False,
        },
        "tried": document["optional"][3]["tried"],
    }
    assert document["optional"][0]["found"] is None
    assert document["problems"][0]["path"] == str(root)


def test_pictures_draw_them_dashed(root: Path) -> None:
    plan, optionals = planned(root)
    graph = graph_of(plan, optionals)
    assert [(n.label, n.kind) for n in graph.nodes[2:]] == [
        ("libnone.so.2 or libnone.so.1", "absent"),
        ("libplugin.so.2", "absent"),
        ("libplugin.so.2", "optional"),
    ]
    drawing = ET.fromstring(draw.graph_svg(graph))  # noqa: S314  (it is what we wrote ourselves)
    edges = [e.get("class") for e in drawing.iter("{http://www.w3.org/2000/svg}path") if e.get("data-from")]
    assert sorted(edges, key=str) == ["edge", *["edge optional"] * 3]  # libinner is needed anyway
    assert sum("[style=dashed]" in line for line in draw.dot(graph)) == 3


def test_the_page_lists_them(root: Path) -> None:
    plan, optionals = planned(root)
    text = page(plan, (), optionals=optionals)
    assert "<td>libnone.so.2 or libnone.so.1</td><td>none: nothing</td><td>required</td>" in text
    assert "its dlopen note is not JSON" in text
    assert "Opened at run time" not in page(plan, ())
