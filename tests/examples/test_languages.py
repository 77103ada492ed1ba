"""examples/languages: the plugin in C++ and the one in Rust, built by their Makefiles, answer the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from latebind import PluginError
from latebind.testing import PluginHarness, Recorder
from support import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "languages"


def load_contract() -> Any:
    spec = spec_from_file_location("languages_contract", EXAMPLE / "contract.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["languages_contract"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


C = load_contract()


@pytest.fixture(scope="module", params=["cpp", "rust"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin's folder beside the contract, in a place of its own; its Makefile has run."""
    needs.program("make", "make")
    needs.program("g++", "g++")
    rustc = needs.working("rustc", "rustc")
    root = tmp_path_factory.mktemp("languages")
    shutil.copy(EXAMPLE / "contract.py", root)
    folder: Path = root / request.param
    ignore = shutil.ignore_patterns("*.so", "*.h", "*.hpp", "bindings.rs")
    shutil.copytree(EXAMPLE / request.param, folder, ignore=ignore)
    with PluginHarness(folder, C.Text, services={C.Logger: Recorder(C.Logger)}, targets=[f"RUSTC={rustc}"]):
        return folder


@pytest.fixture
def plugin(built: Path) -> Iterator[tuple[PluginHarness, Recorder]]:
    logger = Recorder(C.Logger)
    with PluginHarness(built, C.Text, services={C.Logger: logger}, build=False) as made:
        yield made, logger


def test_the_state_is_made_with_a_call_of_the_host(plugin: tuple[PluginHarness, Recorder], built: Path) -> None:
    language = {"cpp": "C++", "rust": "Rust"}[built.name]
    assert plugin[1].calls == [("info", (f"{language} is ready",))]


def test_lists_of_records_enums_and_optional_values(plugin: tuple[PluginHarness, Recorder]) -> None:
    text = plugin[0].get(C.Text)
    tokens = [C.Token("late", 1), C.Token("größe", 7), C.Token("is", 15)]
    assert text.split(" late  größe is") == tokens
    assert text.split(" late  größe is", C.Order.BY_LENGTH, limit=2) == [tokens[2], tokens[0]]
    assert text.split("") == []
    assert text.longest(tokens) == tokens[1]
    assert text.longest([C.Token("aa", 0), C.Token("bb", 3)]) == C.Token("aa", 0)
    assert text.longest([]) is None


def test_an_iterator(plugin: tuple[PluginHarness, Recorder]) -> None:
    words = plugin[0].get(C.Text).words("a bb ccc")
    assert next(words) == "a"
    assert list(words) == ["bb", "ccc"]


def test_a_handle(plugin: tuple[PluginHarness, Recorder]) -> None:
    with plugin[0].get(C.Text).counter(10) as counter, plugin[0].get(C.Text).counter() as other:
        assert (counter.feed("a b"), counter.feed("c"), counter.total(), other.total()) == (2, 1, 13, 0)


def test_an_exception_or_an_error_is_a_failure(plugin: tuple[PluginHarness, Recorder]) -> None:
    with pytest.raises(PluginError, match=r"acme\.text\.counter: a counter begins with 0 or more"):
        plugin[0].get(C.Text).counter(-1)


def test_a_failing_service_is_the_cause(built: Path) -> None:
    logger = Recorder(C.Logger, info=KeyError("gone"))
    with pytest.raises(PluginError, match=r"lb_init: host\.logger\.info: KeyError") as caught:
        PluginHarness(built, C.Text, services={C.Logger: logger}, build=False)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_panic_is_a_failure(plugin: tuple[PluginHarness, Recorder], built: Path) -> None:
    if built.name == "rust":
        with (
            plugin[0].get(C.Text).counter() as counter,
            pytest.raises(PluginError, match="panic: a panic is a failure of the call"),
        ):
            counter.feed("panic")


def test_the_interface_must_be_implemented_whole(built: Path) -> None:
    """What is missing, the compiler says by name."""
    if built.name == "cpp":
        source = (built / "text.cpp").read_text().replace("counter(Context &, int64_t start) override", "other()")
        command = ["g++", "-std=c++17", "-fsyntax-only", "-x", "c++", "-"]
        run = subprocess.run(command, input=source, cwd=built, capture_output=True, text=True, check=False)
        assert "acme::text::Plugin::counter" in run.stderr
