"""Which definition a name means: scopes, flags, versions, what is missing.

Told by C programs that run under both linkers (tests/support/scenario.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.scenario import Plugin, Scenario, check

if TYPE_CHECKING:
    from support.compiler import Compiler

SCENARIOS: dict[str, Scenario] = {
    "noload promotes to global": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);
        say("local %d", dlsym(RTLD_DEFAULT, "a") != NULL);
        say("b %d", open_it("libb.so", RTLD_NOW) != NULL);
        void *again = open_it("liba.so", RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
        say("same %d global %d", a == again, dlsym(RTLD_DEFAULT, "a") != NULL);
        say("b %d", call(open_it("libb.so", RTLD_NOW), "b"));
        """,
        "local 0\nb 0\nsame 1 global 1\nb 5\n",
        {
            "a": Plugin("int a(void) { return 4; }"),
            "b": Plugin("int a(void); int b(void) { return a() + 1; }"),
        },
    ),
    "the global scope comes first, unless bound deeply": Scenario(
        """
        open_it("libouter.so", RTLD_NOW | RTLD_GLOBAL);
        void *in = open_it("libinner.so", RTLD_NOW); say("%d", call(in, "ask")); dlclose(in);
        in = open_it("libinner.so", RTLD_NOW | RTLD_DEEPBIND); say("%d", call(in, "ask"));
        """,
        "1\n2\n",
        {
            "outer": Plugin("int who(void) { return 1; }"),
            "inner": Plugin("int who(void) { return 2; } int ask(void) { return who(); }"),
        },
    ),
    "next": Scenario(
        'void *a = open_it("liba.so", RTLD_NOW); say("%d %d", call(a, "who"), call(a, "next"));',
        "1 2\n",
        {
            "b": Plugin("int who(void) { return 2; }"),
            "a": Plugin(
                """
                #define _GNU_SOURCE
                #include <dlfcn.h>
                int who(void) { return 1; }
                int next(void) { int (*f)(void) = dlsym(RTLD_NEXT, "who"); return f ? f() : -1; }
                """,
                ("b",),
            ),
        },
    ),
    "a handle sees what it needs, breadth-first": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);
        say("%d %d %d", call(a, "only"), call(a, "shared"), call(a, "nothing"));
        void *b = open_it("libb.so", RTLD_NOW); say("%d", call(b, "a"));
        """,
        "3 2 -1\n-1\n",
        {
            "deep": Plugin("int only(void) { return 3; } int shared(void) { return 3; }"),
            "b": Plugin("int b(void) { return 1; }", ("deep",)),
            "third": Plugin("int shared(void) { return 2; }"),
            "a": Plugin("int a(void) { return 0; }", ("b", "third")),
        },
    ),
    "hidden symbols are not found": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);
        tell3(dlsym(a, "hidden") == NULL, failed(), dlsym(a, "seen") != NULL);
        """,
        "1 1 1 .\n",
        {
            "a": Plugin(
                '__attribute__((visibility("hidden"))) int hidden(void) { return 1; } int seen(void) { return hidden(); }'
            )
        },
    ),
    "versions": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);
        int (*one)(void) = dlvsym(a, "f", "ONE"), (*two)(void) = dlvsym(a, "f", "TWO");
        say("%d %d %d", one(), two(), call(a, "f"));
        tell2(dlvsym(a, "f", "THREE") == NULL, failed());
        """,
        "1 2 2\n1 1 .\n",
        {
            "a": Plugin(
                """
                int f_one(void) { return 1; } int f_two(void) { return 2; }
                __asm__(".symver f_one, f@ONE\\n.symver f_two, f@@TWO");
                """,
                flags=("-Wl,--version-script=versions.map",),
            )
        },
    ),
    "undefined symbols": Scenario(
        """
        tell2(open_it("liba.so", RTLD_NOW) == NULL, failed());
        void *a = open_it("liba.so", RTLD_LAZY); say("lazy %d", call(a, "a"));
        open_it("libb.so", RTLD_NOW | RTLD_GLOBAL); say("late %d", call(a, "use"));
        say("data %d", open_it("libd.so", RTLD_LAZY) == NULL);
        say("weak %d", call(open_it("libw.so", RTLD_NOW), "w"));
        """,
        "1 1 .\nlazy 1\nlate 5\ndata 1\nweak 1\n",
        {
            "a": Plugin(
                "int missing(void); int a(void) { return 1; } int use(void) { return missing(); }",
                flags=("-Wl,-z,lazy",),
            ),
            "b": Plugin("int missing(void) { return 5; }"),
            "d": Plugin("extern int missing_data; int d(void) { return missing_data; }"),
            "w": Plugin("extern int nowhere __attribute__((weak)); int w(void) { return &nowhere == 0; }"),
        },
    ),
    "a version that is not there": Scenario(
        """
        if (rename(at("libnew.so"), at("libold.so.bak")) || rename(at("libplain.so"), at("libnew.so"))) say("rename");
        tell2(open_it("liba.so", RTLD_NOW) == NULL, failed());
        """,
        "1 1 .\n",
        {
            "new": Plugin(
                'int f_two(void) { return 2; } __asm__(".symver f_two, f@@TWO"); int f_one(void) { return 1; } '
                '__asm__(".symver f_one, f@ONE");',
                flags=("-Wl,--version-script=versions.map", "-Wl,-soname,libnew.so"),
            ),
            "plain": Plugin(
                'int f_one(void) { return 1; } __asm__(".symver f_one, f@@ONE");',
                flags=("-Wl,--version-script=one.map", "-Wl,-soname,libnew.so"),
            ),
            "a": Plugin("int f(void); int a(void) { return f(); }", ("new",)),
        },
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_linkers_behave_as_documented(cc: Compiler, name: str) -> None:
    check(cc, SCENARIOS[name])
