"""From the first constructor to the last destructor, as dlopen(3) and dlclose(3) have it.

Told by C programs that run under both linkers (tests/support/scenario.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.scenario import Plugin, Scenario, check, noisy

if TYPE_CHECKING:
    from support.compiler import Compiler

SCENARIOS: dict[str, Scenario] = {
    "order": Scenario(
        'void *a = open_it("liba.so", RTLD_NOW); say("sum %d", call(a, "sum")); say("%d", dlclose(a));',
        "+c\n+b\n+a\nsum 6\n-a\n-b\n-c\n0\n",
        {
            "third": noisy("c", value=3),
            "b": noisy("b", "third", value=2),
            "a": noisy("a", "b", "third", more="int b(void), c(void); int sum(void) { return a() + b() + c(); }"),
        },
    ),
    "priorities": Scenario(
        'void *a = open_it("liba.so", RTLD_NOW); dlclose(a);',
        "init\n1 early\n2 late\n3 plain\n3 plain\n2 late\n1 early\nfini\n",
        {
            "a": Plugin(
                r"""
                #include <stdio.h>
                static int n;
                void first(void) { puts("init"); } void last(void) { puts("fini"); fflush(stdout); }
                __attribute__((constructor(200))) static void b(void) { printf("%d late\n", ++n); }
                __attribute__((constructor(150))) static void a(void) { printf("%d early\n", ++n); }
                __attribute__((constructor)) static void c(void) { printf("%d plain\n", ++n); }
                __attribute__((destructor(150))) static void x(void) { printf("%d early\n", n--); }
                __attribute__((destructor(200))) static void y(void) { printf("%d late\n", n--); }
                __attribute__((destructor)) static void z(void) { printf("%d plain\n", n--); }
                """,
                flags=("-Wl,-init,first", "-Wl,-fini,last"),
            )
        },
    ),
    "atexit of a library": Scenario(
        'void *a = open_it("liba.so", RTLD_NOW); call(a, "a"); dlclose(a); say("closed");',
        "+a\nsecond\nfirst\nclosed\n",
        {
            "a": Plugin(
                r"""
                #include <stdio.h>
                #include <stdlib.h>
                static void first(void) { puts("first"); } static void second(void) { puts("second"); fflush(stdout); }
                __attribute__((constructor)) static void begin(void) { puts("+a"); }
                int a(void) { atexit(first); atexit(second); return 0; }
                """
            )
        },
    ),
    "a cycle": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW), *b = open_it("libb.so", RTLD_NOW | RTLD_NOLOAD);
        say("%d %d", call(a, "both"), b != NULL);
        dlclose(a); say("a closed"); dlclose(b); say("b closed");
        """,
        "+b\n+a\n3 1\na closed\n-b\n-a\nb closed\n",
        {
            "b": noisy("b", value=2),
            "a": noisy("a", "b", more="int b(void); int both(void) { return a() + b(); }"),
        },
        twice=("b",),
    ),
    "dependents stay": Scenario(
        """
        void *c = open_it("libc_.so", RTLD_NOW), *a = open_it("liba.so", RTLD_NOW);
        dlclose(c); say("c closed"); say("%d", call(a, "sum")); dlclose(a); say("a closed");
        """,
        "+c\n+a\nc closed\n4\n-a\n-c\na closed\n",
        {"c_": noisy("c", value=3), "a": noisy("a", "c_", more="int c(void); int sum(void) { return a() + c(); }")},
    ),
    "dlopen in a constructor, dlclose in a destructor": Scenario(
        'setenv("PLUGIN", at("libinner.so"), 1); void *a = open_it("libouter.so", RTLD_NOW); dlclose(a); say("closed");',
        "outer\n+inner\ninner 7\nouter ends\n-inner\nclosed\n",
        {
            "inner": noisy("inner", value=7),
            "outer": Plugin(
                r"""
                #include <dlfcn.h>
                #include <stdio.h>
                #include <stdlib.h>
                static void *handle;
                __attribute__((constructor)) static void begin(void)
                {
                    puts("outer"); fflush(stdout);
                    handle = dlopen(getenv("PLUGIN"), RTLD_NOW);
                    printf("inner %d\n", ((int (*)(void))dlsym(handle, "inner"))());
                }
                __attribute__((destructor)) static void end(void)
                {
                    puts("outer ends"); fflush(stdout); dlclose(handle);
                }
                """
            ),
        },
    ),
    "a handle is counted": Scenario(
        """
        void *one = open_it("liba.so", RTLD_NOW), *two = open_it("liba.so", RTLD_LAZY);
        say("same %d", one == two); dlclose(one); say("still %d", call(two, "a")); dlclose(two); say("gone");
        say("%d", open_it("liba.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
        """,
        "+a\nsame 1\nstill 1\n-a\ngone\n1\n",
        {"a": noisy("a")},
    ),
    "nodelete": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW | RTLD_NODELETE); call(a, "count"); dlclose(a);
        void *b = open_it("liba.so", RTLD_NOW); say("%d", call(b, "count"));
        """,
        "2\n",
        {"a": Plugin("static int n; int count(void) { return ++n; }")},
    ),
    "closing forgets the state": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); call(a, "count"); say("%d", call(a, "count")); dlclose(a);
        void *b = open_it("liba.so", RTLD_NOW); say("%d", call(b, "count"));
        """,
        "2\n1\n",
        {"a": Plugin("static int n; int count(void) { return ++n; }")},
    ),
    "constructors get the program's arguments": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); say("%d", call(a, "good"));
        """,
        "7\n",
        {
            "a": Plugin(
                """
                #include <string.h>
                extern char **environ; static int ok;
                __attribute__((constructor)) static void begin(int count, char **arguments, char **variables)
                {
                    ok = (count > 0) + 2 * (arguments[0] != 0 && arguments[count] == 0) + 4 * (variables == environ);
                }
                int good(void) { return ok; }
                """
            )
        },
    ),
    "signals while libraries come and go": Scenario(
        """
        struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &action, NULL);
        struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}}; setitimer(ITIMER_REAL, &often, NULL);
        int good = 0;
        for (int i = 0; i < 40; i++) { void *a = open_it("liba.so", RTLD_NOW); good += call(a, "a"); dlclose(a); }
        setitimer(ITIMER_REAL, &never, NULL); say("%d", good);
        """,
        "40\n",
        {"a": Plugin("__thread int t = 1; int a(void) { return t; }")},
        top="""
static volatile int ticks; void tick(int signal_) { (void)signal_; ticks++; }
""",
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_linkers_behave_as_documented(cc: Compiler, name: str) -> None:
    check(cc, SCENARIOS[name])
