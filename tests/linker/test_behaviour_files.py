"""Which file a name means, and what dlerror, dladdr and dlinfo tell of it.

Told by C programs that run under both linkers (tests/support/scenario.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.machine import HERE
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
    "dlinfo: the search path": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW), *b = open_it("libb.so", RTLD_NOW);
        paths(a); paths(b); paths(open_it("libc_.so", RTLD_NOW));
        """,
        "here/one here/two / . here/env relative/env @\n"
        "here/env relative/env here/one here/b @\n"
        "here/env relative/env\n",
        {
            "b": Plugin("int b(void) { return 1; }", flags=("-Wl,-rpath,$ORIGIN/one//:$ORIGIN/b:${ORIGIN}/one",)),
            "a": Plugin(
                "int a(void) { return 1; }",
                flags=("-Wl,--disable-new-dtags,-rpath,$ORIGIN/one:$ORIGIN/two/:/::$ORIGIN/one",),
            ),
            "c_": Plugin("int c(void) { return 1; }", flags=("-Wl,-z,nodefaultlib",)),
        },
        top=r"""
void paths(void *handle)
{
    Dl_serinfo size, *info;
    if (dlinfo(handle, RTLD_DI_SERINFOSIZE, &size)) { say("%s", dlerror()); return; }
    info = malloc(size.dls_size); *info = size;
    if (dlinfo(handle, RTLD_DI_SERINFO, info) || info->dls_cnt != size.dls_cnt) { say("%s", dlerror()); return; }
    size_t used = (char *)&info->dls_serpath[info->dls_cnt] - (char *)info;
    int defaults = 0;
    for (unsigned i = 0; i < info->dls_cnt; i++) {
        const char *name = info->dls_serpath[i].dls_name;
        used += strlen(name) + 1;
        if (!strncmp(name, folder, strlen(folder))) printf("%shere%s", i ? " " : "", name + strlen(folder));
        else if (!strncmp(name, "/lib", 4) || !strncmp(name, "/usr/lib", 8)) defaults++;
        else printf("%s%s", i ? " " : "", name);
    }
    /* The machine's own folders differ, but not their number here. */
    say("%s", !defaults ? "" : defaults == 4 ? " @" : " ?");
    if (used != size.dls_size) say("used %zu of %zu", used, (size_t)size.dls_size);
}
""",
    ),
    "dlinfo: the search path of what was needed": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW), *b = open_it("libb.so", RTLD_NOW); tell2(first(a), first(b));
        """,
        "1 1 .\n",
        {
            "b": Plugin("int b(void) { return 1; }"),
            "a": Plugin("int a(void) { return 1; }", ("b",), flags=("-Wl,--disable-new-dtags,-rpath,$ORIGIN/of_a",)),
        },
        top=r"""
int first(void *handle)
{
    Dl_serinfo size, *info;
    dlinfo(handle, RTLD_DI_SERINFOSIZE, &size);
    info = malloc(size.dls_size); *info = size;
    dlinfo(handle, RTLD_DI_SERINFO, info);
    return strstr(info->dls_serpath[0].dls_name, "/of_a") != NULL;
}
""",
    ),
    "dlinfo: the program headers": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); const ElfW(Phdr) *headers; struct link_map *map;
        int count = dlinfo(a, RTLD_DI_PHDR, &headers), dynamic = 0;
        dlinfo(a, RTLD_DI_LINKMAP, &map);
        for (int i = 0; i < count; i++)
            dynamic += headers[i].p_type == PT_DYNAMIC && map->l_addr + headers[i].p_vaddr == (uintptr_t)map->l_ld;
        tell2(count > 3, dynamic);
        """,
        "1 1 .\n",
        {"a": Plugin("int a(void) { return 1; }")},
    ),
    "dlinfo: what no linker here answers": Scenario(
        """
        void *a = open_it("liba.so", RTLD_NOW); char room[4096];
        int requests[] = {0, RTLD_DI_CONFIGADDR, RTLD_DI_PROFILENAME, RTLD_DI_PROFILEOUT, RTLD_DI_MAX + 1, -1};
        for (int i = 0; i < 6; i++) tell2(dlinfo(a, requests[i], room), failed());
        """,
        "-1 1 .\n" * 6,
        {"a": Plugin("int a(void) { return 1; }")},
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
            # A descriptor may lead to static TLS, where glibc tells no block.
            "t": Plugin("__thread int v = 5; void *where(void) { return &v; }", flags=(HERE.tls_dialects[0],)),
        },
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_linkers_behave_as_documented(cc: Compiler, name: str) -> None:
    check(cc, SCENARIOS[name])
