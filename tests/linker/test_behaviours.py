"""What dlopen(3) and its relatives do, told by C programs that run twice: under the system's linker and under ours.

Each scenario is a driver that calls dlopen and the rest from C, and the plugins that it loads. The driver is loaded
once by ctypes and once by latebind, each in a process of its own; what the two print must be the same, and is checked
against what the documentation promises, so that both being wrong alike is seen too. The behaviours are those that
glibc's and musl's manuals and test suites name; the sources are our own.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from support.compiler import Compiler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PRELUDE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#define say(...) (printf(__VA_ARGS__), putchar('\n'), fflush(stdout))
/* Numbers, each looked at before the next one is: C leaves open in which order arguments are evaluated. */
#define number(n) (printf("%ld ", (long)(n)))
#define tell2(a, b) (number(a), number(b), say("."))
#define tell3(a, b, c) (number(a), number(b), number(c), say("."))
static const char *folder __attribute__((unused));
static __attribute__((unused)) const char *at(const char *name)
{
    static __thread char paths[2][4096];
    static __thread int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}
static __attribute__((unused)) void *open_it(const char *name, int mode) { return dlopen(at(name), mode); }
static __attribute__((unused)) int call(void *handle, const char *name)
{
    int (*function)(void) = dlsym(handle, name);
    return function ? function() : -1;
}
static __attribute__((unused)) int failed(void) { return dlerror() != NULL; }
void scenario(void);
int run(const char *where) { folder = where; scenario(); return 0; }
"""

NOISY = r"""
#include <stdio.h>
__attribute__((constructor)) static void begin(void) { puts("+%(name)s"); fflush(stdout); }
__attribute__((destructor)) static void end(void) { puts("-%(name)s"); fflush(stdout); }
int %(name)s(void) { return %(value)d; }
"""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A shared object: its C text, the plugins that it needs (in order), more flags."""

    text: str
    needs: Sequence[str] = ()
    flags: Sequence[str] = ()


def noisy(name: str, *needs: str, value: int = 1, more: str = "", flags: Sequence[str] = ()) -> Plugin:
    """One that prints when its constructor and its destructor run."""
    return Plugin(NOISY % {"name": name, "value": value} + more, needs, flags)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the driver does, with which plugins, and what it must print."""

    body: str
    expected: str
    plugins: Mapping[str, Plugin] = field(default_factory=dict)
    top: str = ""
    """Functions that stand before the driver's."""
    twice: Sequence[str] = ()
    """Plugins that are linked a second time, when all are there: so that two can need each other."""


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
    "dlerror": Scenario(
        """
        say("%d", failed());
        say("%d", open_it("nowhere.so", RTLD_NOW) == NULL); tell2(failed(), failed());
        say("%d", open_it("liba.so", 0) == NULL); say("%d", failed());
        void *a = open_it("liba.so", RTLD_NOW); say("%d", failed());
        dlsym(a, "nothing"); dlsym(a, "a"); say("cleared %d", !failed());
        """,
        "0\n1\n1 0 .\n1\n1\n0\ncleared 1\n",
        {"a": Plugin("int a(void) { return 1; }")},
    ),
    "dlerror is the thread's": Scenario(
        """
        open_it("nowhere.so", RTLD_NOW);
        pthread_t thread; void *result;
        pthread_create(&thread, NULL, look, NULL); pthread_join(thread, &result);
        say("other %d own %d", (int)(intptr_t)result, failed());
        """,
        "other 0 own 1\n",
        top="""
void *look(void *unused) { (void)unused; return (void *)(intptr_t)failed(); }
""",
    ),
    "the program": Scenario(
        """
        void *program = dlopen(NULL, RTLD_NOW), *empty = dlopen("", RTLD_NOW);
        say("%d %d", program != NULL, empty != NULL);
        say("%d", dlsym(program, "malloc") == (void *)malloc);
        open_it("liba.so", RTLD_NOW); say("local %d", dlsym(program, "a") == NULL);
        open_it("liba.so", RTLD_NOW | RTLD_GLOBAL); say("%d", dlclose(program));
        """,
        "1 1\n1\nlocal 1\n0\n",
        {"a": Plugin("int a(void) { return 1; }")},
    ),
    "one file has many names": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);
        char link_[4200], hard[4200];
        snprintf(link_, sizeof link_, "%s/soft.so", folder); snprintf(hard, sizeof hard, "%s/hard.so", folder);
        say("%d %d", symlink("liba.so", link_), link(at("liba.so"), hard));
        say("soft %d hard %d", dlopen(link_, RTLD_NOW) == a, dlopen(hard, RTLD_NOW) == a);
        if (chdir(folder) == 0) say("relative %d", dlopen("./liba.so", RTLD_NOW) == a);
        say("dots %d", open_it("../x/.././liba.so", RTLD_NOW) == NULL);
        """,
        "0 0\nsoft 1 hard 1\nrelative 1\ndots 1\n",
        {"a": Plugin("int a(void) { return 1; }")},
    ),
    "a soname is a name": Scenario(
        """
        say("before %d", dlopen("libcalled.so.1", RTLD_NOW) == NULL);
        void *a = open_it("liba.so", RTLD_NOW); say("after %d", dlopen("libcalled.so.1", RTLD_NOW) == a);
        """,
        "before 1\nafter 1\n",
        {"a": Plugin("int a(void) { return 1; }", flags=("-Wl,-soname,libcalled.so.1",))},
    ),
    "a library that needs what is not there": Scenario(
        """
        tell2(open_it("libb.so", RTLD_NOW) != NULL, !failed());
        unlink(at("libgone.so"));
        tell2(open_it("liba.so", RTLD_NOW) == NULL, failed());
        say("%d", open_it("libb.so", RTLD_NOW | RTLD_NOLOAD) != NULL);
        """,
        "1 1 .\n1 1 .\n1\n",
        {
            "gone": Plugin("int gone(void) { return 1; }"),
            "b": Plugin("int b(void) { return 1; }"),
            "a": Plugin("int a(void) { return 1; }", ("b", "gone")),
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
    "files that are no libraries": Scenario(
        """
        FILE *f = fopen(at("text.so"), "w"); fputs("hello", f); fclose(f); f = fopen(at("empty.so"), "w"); fclose(f);
        say("%d %d %d", open_it("text.so", RTLD_NOW) == NULL, open_it("empty.so", RTLD_NOW) == NULL, dlopen(folder, RTLD_NOW) == NULL);
        say("%d", failed());
        """,
        "1 1 1\n1\n",
    ),
    "dladdr": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); Dl_info info; struct link_map *map;
        char *function = dlsym(a, "function"), *data = dlsym(a, "data");
        dlinfo(a, RTLD_DI_LINKMAP, &map);
        dladdr(function, &info); say("%s %d", info.dli_sname, (char *)info.dli_saddr == function);
        say("%s %d", strrchr(info.dli_fname, '/'), (uintptr_t)info.dli_fbase == map->l_addr);
        dladdr(function + 1, &info); say("%s", info.dli_sname);
        dladdr(data + 4, &info); say("%s %d", info.dli_sname, (char *)info.dli_saddr == data);
        void *(*inner)(void) = dlsym(a, "inner_address");
        tell2(dladdr(inner(), &info), info.dli_sname == NULL && info.dli_saddr == NULL);
        int local; say("%d", dladdr(&local, &info));
        say("%s %d", strrchr(map->l_name, '/'), map->l_ld != NULL);
        """,
        "function 1\n/liba.so 1\nfunction\ndata 1\n1 1 .\n0\n/liba.so 1\n",
        {
            "a": Plugin(
                """
                int function(void) { return 1; } int data[2] = {1, 2};
                static int inner(void) { return data[1]; } void *inner_address(void) { return (void *)inner; }
                """,
                flags=("-Wl,-s",),
            )
        },
    ),
    "dlinfo": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); char origin[4096]; size_t module = 77; void *block; Lmid_t list = 77;
        tell2(dlinfo(a, RTLD_DI_ORIGIN, origin), strcmp(origin, folder));
        tell2(dlinfo(a, RTLD_DI_LMID, &list), list);
        tell2(dlinfo(a, RTLD_DI_TLS_MODID, &module), module == 0);
        tell2(dlinfo(a, RTLD_DI_TLS_DATA, &block), block == NULL);
        void *t = open_it("libt.so", RTLD_NOW);
        tell2(dlinfo(t, RTLD_DI_TLS_MODID, &module), module != 0);
        void *(*where)(void) = dlsym(t, "where"); void *here = where();
        tell2(dlinfo(t, RTLD_DI_TLS_DATA, &block), block == here);
        tell2(dlinfo(a, 12345, &block), failed());
        """,
        "0 0 .\n0 0 .\n0 1 .\n0 1 .\n0 1 .\n0 1 .\n-1 1 .\n",
        {
            "a": Plugin("int a(void) { return 1; }"),
            "t": Plugin("__thread int v = 5; void *where(void) { return &v; }"),
        },
    ),
    "thread-local storage": Scenario(
        """
         pthread_barrier_init(&opened, NULL, 2); pthread_barrier_init(&told, NULL, 2);
         pthread_t early, late; void *result;
        pthread_create(&early, NULL, wait_and_count, NULL);
        void *a = open_it("liba.so", RTLD_NOW); next = dlsym(a, "next"); say("%d", next());
        pthread_barrier_wait(&opened); pthread_barrier_wait(&told); pthread_join(early, &result);
        say("early %d", (int)(intptr_t)result);
        pthread_create(&late, NULL, count, NULL); pthread_join(late, &result); say("late %d", (int)(intptr_t)result);
        say("%d", next()); dlclose(a);
        a = open_it("liba.so", RTLD_NOW); next = dlsym(a, "next"); say("anew %d", next());
        """,
        "11\nearly 12\nlate 12\n12\nanew 11\n",
        {
            "a": Plugin(
                "static __thread int n = 10; static __thread char big[100000]; int next(void) { big[9] = 1; return ++n; }"
            )
        },
        top="""
pthread_barrier_t opened, told;
int (*next)(void);
void *wait_and_count(void *unused) { (void)unused; pthread_barrier_wait(&opened); next();
                                             pthread_barrier_wait(&told); return (void *)(intptr_t)next(); }
void *count(void *unused) { (void)unused; next(); return (void *)(intptr_t)next(); }
""",
    ),
    "aligned thread-local storage": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); pthread_t thread; void *result; check = dlsym(a, "check");
        say("%d", check()); pthread_create(&thread, NULL, elsewhere, NULL); pthread_join(thread, &result);
        say("%d", (int)(intptr_t)result);
        """,
        "15\n15\n",
        {
            "a": Plugin(
                """
                #include <stdint.h>
                static __thread int small = 1; static __thread int wide __attribute__((aligned(8192))) = 2;
                static __thread char page[4096] __attribute__((aligned(4096))); static __thread long zero;
                int check(void)
                {
                    return ((uintptr_t)&wide % 8192 == 0) + 2 * ((uintptr_t)page % 4096 == 0) +
                           4 * (small == 1 && wide == 2) + 8 * (zero == 0 && page[4095] == 0);
                }
                """
            )
        },
        top="""
int (*check)(void);
void *elsewhere(void *unused) { (void)unused; return (void *)(intptr_t)check(); }
""",
    ),
    "initial-exec from a loaded library": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW);  pthread_t thread; void *result;
        next = dlsym(a, "next"); next(); pthread_create(&thread, NULL, elsewhere, NULL); pthread_join(thread, &result);
        say("%d %d", next(), (int)(intptr_t)result);
        """,
        "12 11\n",
        {
            "a": Plugin(
                "static __thread int n = 10; int next(void) { return ++n; }", flags=("-ftls-model=initial-exec",)
            )
        },
        top="""
int (*next)(void);
void *elsewhere(void *unused) { (void)unused; return (void *)(intptr_t)next(); }
""",
    ),
    "hundreds of thread-local modules": Scenario(
        r"""
        char command[9000];  int sum = 0;
        for (int i = 0; i < 150; i++) {
            snprintf(command, sizeof command, "%s/copy%d.so", folder, i);
            FILE *from = fopen(at("liba.so"), "r"), *to = fopen(command, "w"); int c;
            while ((c = getc(from)) != EOF) putc(c, to);
            fclose(from); fclose(to);
            handles[i] = dlopen(command, RTLD_NOW);
        }
        pthread_t threads[3]; void *result;
        sum = (int)(intptr_t)all(NULL); say("%d", sum);
        for (int i = 0; i < 3; i++) { pthread_create(&threads[i], NULL, all, NULL); pthread_join(threads[i], &result); say("%d", (int)(intptr_t)result); }
        for (int i = 0; i < 150; i += 2) dlclose(handles[i]);
        for (int i = 0; i < 150; i += 2) { snprintf(command, sizeof command, "%s/copy%d.so", folder, i); handles[i] = dlopen(command, RTLD_NOW); }
        say("%d", (int)(intptr_t)all(NULL));
        """,
        "450\n450\n450\n450\n525\n",
        {"a": Plugin("static __thread int n = 2; int next(void) { return ++n; }")},
        top="""
void *handles[150];
void *all(void *unused) { (void)unused; int n = 0; for (int i = 0; i < 150; i++) n += call(handles[i], "next"); return (void *)(intptr_t)n; }
""",
    ),
    "a thread that lives on when a library is closed": Scenario(
        """
         pthread_barrier_init(&used, NULL, 2); pthread_barrier_init(&closed, NULL, 2);
        void *a = open_it("liba.so", RTLD_NOW);  pthread_t thread;
        next = dlsym(a, "next"); pthread_create(&thread, NULL, user, NULL); pthread_barrier_wait(&used);
        dlclose(a); say("gone %d", open_it("liba.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
        a = open_it("liba.so", RTLD_NOW); next = dlsym(a, "next"); say("%d", next());
        pthread_barrier_wait(&closed); pthread_join(thread, NULL); say("%d", next());
        """,
        "gone 1\n11\n12\n",
        {"a": Plugin("static __thread int n = 10; int next(void) { return ++n; }")},
        top="""
pthread_barrier_t used, closed;
int (*next)(void);
void *user(void *unused) { (void)unused; next(); pthread_barrier_wait(&used); pthread_barrier_wait(&closed); return NULL; }
""",
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

RUN = """
import sys
from pathlib import Path
if sys.argv[1] == "system":
    import ctypes
    run = ctypes.CDLL(sys.argv[2]).run
else:
    import latebind
    library = latebind.load(sys.argv[2])
    run = library.function("int run(const char *)")
run(str(Path(sys.argv[2]).parent).encode())
"""


def prepare(cc: Compiler, scenario: Scenario) -> Path:
    """Compile the plugins and the driver; the driver's path."""
    cc.folder.mkdir()
    (cc.folder / "versions.map").write_text("ONE { f; }; TWO { f; } ONE;\n")
    (cc.folder / "one.map").write_text("ONE { f; };\n")
    for name in (*scenario.plugins, *scenario.twice):
        plugin = scenario.plugins[name]
        needs = [
            *plugin.needs,
            *(
                n
                for n in scenario.plugins
                if name in scenario.twice and n != name and (cc.folder / f"lib{n}.so").exists()
            ),
        ]
        link = [
            f"-L{cc.folder}",
            f"-Wl,-rpath,{cc.folder}",
            "-Wl,--no-as-needed",
            *(f"-l{n}" for n in needs),
            "-Wl,--as-needed",
        ]
        flags = [
            f.replace("=versions.map", f"={cc.folder}/versions.map").replace("=one.map", f"={cc.folder}/one.map")
            for f in plugin.flags
        ]
        if needs:
            flags += link
        cc.shared(plugin.text, name=f"lib{name}.so", flags=flags)
    text = f"{PRELUDE}\n{scenario.top}\nvoid scenario(void) {{\n{scenario.body}\n}}\n"
    return cc.shared(text, name="driver.so", flags=["-lpthread", "-Wno-unused-result", "-Wno-format-truncation"])


def printed(by: str, driver: Path) -> str:
    """What the driver prints under one linker."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, by, str(driver)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"under {by}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_linkers_behave_as_documented(cc: Compiler, name: str) -> None:
    scenario = SCENARIOS[name]
    ours = printed("latebind", prepare(Compiler(cc.folder / "ours"), scenario))
    theirs = printed("system", prepare(Compiler(cc.folder / "theirs"), scenario))
    assert ours == theirs
    assert ours == scenario.expected
