"""Which file a name means, and what dlerror, dladdr and dlinfo tell of it.

Told by C programs that run under both linkers (tests/support/scenario.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.scenario import Plugin, Scenario, check

if TYPE_CHECKING:
    from support.compiler import Compiler

SCENARIOS: dict[str, Scenario] = {
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
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_linkers_behave_as_documented(cc: Compiler, name: str) -> None:
    check(cc, SCENARIOS[name])
