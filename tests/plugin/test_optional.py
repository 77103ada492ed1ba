"""Methods with a default body: a plugin of the same version may leave them out, in every language and direction."""
# The contracts below are read when they are defined, so this module does without `from __future__`.

import subprocess
from pathlib import Path
from typing import Any, Protocol

import pytest

from latebind import ContractError, Host
from latebind.contracts import Handle, contract, contract_of, cxx_header, header, rust_module
from latebind.elf import read
from latebind.plugin import read_manifest
from latebind.plugin.conformity import mismatches
from latebind.testing import everything_allowed
from support import needs
from support.plugins import PluginFolder


@contract("test.pen", version="1.0.0")
class Pen(Handle, Protocol):
    def color(self) -> str: ...

    def bright(self) -> str:
        return f"bright {self.color()}"


@contract("test.optional", version="1.0.0")
class Optional(Protocol):
    def base(self, number: int) -> int: ...

    def twice(self, number: int) -> int:
        return 2 * self.base(number)

    def pen(self) -> Pen: ...


@contract("test.user", version="1.0.0")
class User(Protocol):
    def use(self) -> str: ...


C = r"""
#include "test_optional.h"
LATEBIND_PLUGIN("test.optional", "1.0.0")
LATEBIND_PROVIDES(test_optional)
struct test_pen { int x; };
static struct test_pen pen;
lb_status test_optional_base(lb_context *ctx, int64_t number, int64_t *result)
{ (void)ctx; *result = number + 1; return LB_OK; }
lb_status test_optional_pen(lb_context *ctx, test_pen **result)
{ (void)ctx; *result = &pen; return LB_OK; }
lb_status test_pen_color(lb_context *ctx, test_pen *self, lb_str *result)
{ (void)ctx, (void)self; *result = lb_text("red"); return LB_OK; }
lb_status test_pen_close(lb_context *ctx, test_pen *self)
{ (void)ctx, (void)self; return LB_OK; }
"""
CPP = r"""
#include "test_optional.hpp"
LATEBIND_PLUGIN("test.optional", "1.0.0")
LATEBIND_PROVIDES(test_optional)
struct Pen : test::pen::Handle {
    std::string color(latebind::Context &) override { return "red"; }
};
struct Mine : test::optional::Plugin {
    Mine(latebind::Context &, std::string_view) {}
    int64_t base(latebind::Context &, int64_t number) override { return number + 1; }
    std::unique_ptr<test::pen::Handle> pen(latebind::Context &) override { return std::make_unique<Pen>(); }
};
LATEBIND_STATE(Mine)
LATEBIND_EXPORT_test_optional(Mine)
"""
RUST = r"""
mod bindings;
use bindings::latebind::{Context, Result, State};
pub struct Plugin;
impl State for Plugin {
    const ID: &'static str = "test.optional";
    const VERSION: &'static str = "1.0.0";
    fn new(_: &mut Context, _: &str) -> Result<Self> { Ok(Plugin) }
}
struct Pen;
impl bindings::test_pen::Handle for Pen {
    fn color(&self, _: &mut Context) -> Result<String> { Ok("red".to_string()) }
}
impl bindings::test_optional::Provides for Plugin {
    fn base(&self, _: &mut Context, number: i64) -> Result<i64> { Ok(number + 1) }
    fn pen(&self, _: &mut Context) -> Result<Box<dyn bindings::test_pen::Handle>> { Ok(Box::new(Pen)) }
}
"""
PYTHON = """
class Pen:
    def color(self):
        return "red"
class Plugin:
    def __init__(self, context):
        pass
    def base(self, number):
        return number + 1
    def pen(self):
        return Pen()
"""
MANIFEST: dict[str, Any] = {
    "provides": [{"contract": "test.optional", "version": "1.0.0"}],
    "capabilities": ["filesystem", "environment", "system:call"],  # Rust's standard library
}


def build(plugins: PluginFolder, language: str) -> Path:
    if language == "python":
        return plugins.python("test.optional", PYTHON, **MANIFEST)
    folder = plugins.add("test.optional", C, contracts=(Optional,), **MANIFEST)
    made = contract_of(Optional)
    (folder / "test_optional.hpp").write_text(cxx_header(made))
    (folder / "bindings.rs").write_text(rust_module([made]))
    (folder / "a.cpp").write_text(CPP)
    (folder / "lib.rs").write_text(RUST)
    commands = {
        "c++": ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "a.cpp"],
        "rust": ["rustc", "--edition", "2021", "--crate-type", "cdylib", "lib.rs"],
    }
    if language in commands:
        command = commands[language]
        program = needs.working(command[0], command[0])
        subprocess.run([program, *command[1:], "-o", "plugin.so"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("language", ["c", "c++", "rust", "python"])
def test_what_is_left_out_gets_the_default_body(plugins: PluginFolder, language: str) -> None:
    build(plugins, language)
    with Host(everything_allowed(), contracts=[Optional]) as host:
        host.discover(plugins.root)
        host.load("test.optional")
        plugin = host.get(Optional)
        assert (plugin.base(3), plugin.twice(3)) == (4, 8)
        with plugin.pen() as pen:
            assert (pen.color(), pen.bright()) == ("red", "bright red")


def test_the_check_does_not_ask_for_it(plugins: PluginFolder) -> None:
    folder = build(plugins, "c")
    manifest = read_manifest(str(folder / "plugin.yaml"))
    assert mismatches(manifest, read(manifest.entry_path), [contract_of(Optional)]) == ((), None)


def test_it_is_called_where_it_is_there(plugins: PluginFolder) -> None:
    own = "lb_status test_optional_twice(lb_context *ctx, int64_t number, int64_t *result)"
    own += "{ (void)ctx; *result = 100 * number; return LB_OK; }"
    plugins.add("test.optional", C + own, contracts=(Optional,), **MANIFEST)
    with Host(everything_allowed(), contracts=[Optional]) as host:
        host.discover(plugins.root)
        host.load("test.optional")
        assert host.get(Optional).twice(3) == 300


def test_what_has_no_default_body_must_be_there(plugins: PluginFolder) -> None:
    source = C.replace("test_optional_base", "test_optional_bas")
    plugins.add("test.optional", source, contracts=(Optional,), **MANIFEST)
    with Host(everything_allowed(), contracts=[Optional]) as host:
        host.discover(plugins.root)
        with pytest.raises(ContractError, match="does not export test_optional_base"):
            host.load("test.optional")


class Service:
    """Without what has a default body."""

    def base(self, number: int) -> int:
        return number

    def pen(self) -> object:
        return self

    def color(self) -> str:
        return "blue"


def test_a_service_may_leave_it_out_too(plugins: PluginFolder) -> None:
    source = r"""
#include "test_optional.h"
#include "test_user.h"
LATEBIND_PLUGIN("test.user", "1.0.0")
LATEBIND_PROVIDES(test_user)
LATEBIND_REQUIRES(test_optional)
lb_status test_user_use(lb_context *ctx, lb_str *result)
{
    int64_t number;
    test_pen *pen;
    if (test_optional_twice(ctx, 21, &number) || number != 42 || test_optional_pen(ctx, &pen))
        return lb_fail(ctx, "no");
    return test_pen_bright(ctx, pen, result);
}
"""
    requires = [{"contract": "test.optional", "version": "*"}]
    provides = [{"contract": "test.user", "version": "1.0.0"}]
    plugins.add("test.user", source, contracts=(Optional, User), provides=provides, requires=requires)
    with Host(everything_allowed(), {Optional: Service()}, contracts=[User]) as host:
        host.discover(plugins.root)
        host.load("test.user")
        assert host.get(User).use() == "bright blue"


def test_the_note_tells_what_may_be_left_out() -> None:
    assert " twice?:" in header(contract_of(Optional))
