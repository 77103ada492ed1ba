"""Mangled names become readable, as c++filt reads them, and hostile ones cost nothing."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

import latebind
from latebind.elf.demangle import demangle
from latebind.elf.rustname import rust_v0
from support import needs

# Compiled by rustc 1.95 with `-C symbol-mangling-version=v0`; each name is there for one production of the grammar.
RUST = {
    "_RNvCs2OpA4fNwd7R_1r5entry": "r::entry",
    "_RNCNCNvCs2OpA4fNwd7R_1r5entrys0_00B5_": "r::entry::{closure#2}::{closure#0}",
    "_RINvCs2OpA4fNwd7R_1r3genKca_Kb1_Kan5_NCNvB2_5entrys_0EB2_": r"r::gen::<'\n', true, -5, r::entry::{closure#1}>",
    "_RINvMNtCsgEmfK2I1SDS_4core5sliceSh11copy_withinINtNtNtB5_3ops5range14RangeInclusivejEECsfEOYDRpO4Ta_11miniz_oxide":
        "<[u8]>::copy_within::<core::ops::range::RangeInclusive<usize>>",
    "_RINvMNtNtCsgEmfK2I1SDS_4core3fmt2rtNtB3_8Argument9new_debugRAhj3_ECs2OpA4fNwd7R_1r":
        "<core::fmt::rt::Argument>::new_debug::<&[u8; 3]>",
    "_RNSNvYNCNCNvNtNtCsjrHSEGnQ3l9_3std3sys9backtrace10__print_fmts_00INtNtNtCsgEmfK2I1SDS_4core3ops8function6FnOnceT"
    "RNtNtNtBe_12backtrace_rs9symbolize6SymbolEE9call_once6vtableBe_":
        "<std::sys::backtrace::_print_fmt::{closure#1}::{closure#0} as core::ops::function::FnOnce"
        "<(&std::backtrace_rs::symbolize::Symbol,)>>::call_once::{shim:vtable#0}",
}  # fmt: skip


@pytest.mark.parametrize(("mangled", "readable"), RUST.items())
def test_rust_names_of_the_v0_scheme(mangled: str, readable: str) -> None:
    assert demangle(mangled) == readable


def test_function_types_binders_and_trait_objects_of_rust() -> None:
    assert rust_v0("_RINvC1c1fFG_RL0_eEuE") == "c::f::<for<'a> fn(&'a str)>"
    assert rust_v0("_RINvC1c1fFUKC3sysmEzE") is None  # a path where the ABI's end should be
    assert rust_v0("_RINvC1c1fFUKChEzE") == 'c::f::<unsafe extern "C" fn(u8) -> !>'
    assert rust_v0("_RINvC1c1fDNtC1c1Tp3OutmEL_E") == "c::f::<dyn c::T<Out = u32>>"
    assert rust_v0("_RINvC1c1fTxEPaOdE") == "c::f::<(i64,), *const i8, *mut f64>"


def test_rust_identifiers_in_punycode() -> None:
    assert rust_v0("_RNvC1cu9gdel_5qa") is None  # the length counts the encoded text
    assert rust_v0("_RNvC1cu8gdel_5qa") == "c::gödel"


def test_rust_legacy_names_lose_their_hash_and_escapes() -> None:
    name = "_ZN71_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..Drop$GT$4drop17h0123456789abcdefE"
    part = "_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..Drop$GT$"
    assert demangle(name.replace("71", str(len(part)))) == "<alloc::vec::Vec<T> as core::ops::Drop>::drop"


def test_names_of_c_stay_as_they_are() -> None:
    assert [demangle(name) for name in ("printf", "_Zonk", "_Z", "_R", "", "_RNvC")] == [
        "printf", "_Zonk", "_Z", "_R", "", "_RNvC",
    ]  # fmt: skip


def _plain(text: str) -> str:
    """Without what c++filt and the runtime spell differently: std::string's template arguments, blanks."""
    short = re.sub(r"std::basic_(\w+)<char, std::char_traits<char>(, std::allocator<char>)? ?>", r"std::\1", text)
    return short.replace(" ", "")


def test_cxx_names_are_what_cxxfilt_says() -> None:
    elf = latebind.read(latebind.load("libstdc++.so.6").path)
    names = sorted({s.name for s in elf.symbols if s.name.startswith("_Z")})[::7]
    command = [needs.program("c++filt", "binutils")]
    answer = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, check=True).stdout
    differing = [n for n, line in zip(names, answer.splitlines(), strict=True) if _plain(demangle(n)) != _plain(line)]
    assert len(names) > 500
    assert len(differing) < 0.01 * len(names)  # c++filt spells out more of what stands for a long name


def test_a_name_that_would_explode_stays_as_it_is() -> None:
    refs = "".join(f"S{i}_" for i in ("", *"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    hostile = "_Z1f" + "".join(f"1AI{'S_' if i else 'i'}{'S0_' if i > 1 else ''}E" for i in range(40)) + refs
    deep_rust = "_RINvC1c1f" + "TB8_B8_" * 40 + "E" * 41
    start = time.perf_counter()
    assert demangle(hostile) == hostile
    assert demangle(deep_rust) == deep_rust
    assert time.perf_counter() - start < 0.5


def test_rust_back_references_that_point_at_themselves_or_ahead_are_refused() -> None:
    assert rust_v0("_RB_") is None
    assert rust_v0("_RINvC1c1fB9_E") is None
    assert rust_v0("_RINvC1c1fTBz_EE") is None
