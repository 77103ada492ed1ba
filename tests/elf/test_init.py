"""What runs before main and after exit, with the names of the functions after relocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from latebind import MalformedElf
from latebind.elf import read
from support.image import Image

if TYPE_CHECKING:
    from support.compiler import Compiler

SOURCE = """
volatile int done;
__attribute__((constructor)) void begin(void) { done = 1; }
__attribute__((destructor)) static void end(void) { done = 2; }
extern void elsewhere(void);
__attribute__((section(".init_array"), used)) static void (*other)(void) = elsewhere;
"""


def test_entries_are_named_after_relocation(cc: Compiler) -> None:
    found = read(cc.shared(SOURCE)).init_functions
    by_kind = {(f.kind, f.symbol) for f in found}
    assert {("INIT_ARRAY", "begin"), ("FINI_ARRAY", "end"), ("INIT_ARRAY", "elsewhere"), ("INIT", "_init")} <= by_kind
    (other,) = [f for f in found if f.symbol == "elsewhere"]
    assert other.address is None
    kinds = [f.kind for f in found]
    assert kinds == sorted(kinds, key=["PREINIT_ARRAY", "INIT", "INIT_ARRAY", "FINI_ARRAY", "FINI"].index)


def test_packed_relative_relocations_are_seen(cc: Compiler) -> None:
    found = read(cc.shared(SOURCE, flags=["-Wl,-z,pack-relative-relocs"])).init_functions
    assert ("INIT_ARRAY", "begin") in {(f.kind, f.symbol) for f in found}


def test_a_program_at_a_fixed_address_holds_the_addresses_itself(cc: Compiler) -> None:
    source = "volatile int v; __attribute__((constructor)) void begin(void) { v = 1; } int main(void) { return 0; }"
    found = read(cc.program(source, flags=["-no-pie", "-fno-pie"])).init_functions
    assert ("INIT_ARRAY", "begin") in {(f.kind, f.symbol) for f in found}


@pytest.mark.parametrize(("bits", "little"), [(32, False), (64, False), (32, True)])
def test_arrays_of_every_class(bits: int, *, little: bool) -> None:
    image = Image(bits, little, machine=20, kind=2)
    image.symbol("start", 0x1234)
    image.tags += [(25, image.add(image.words(0x1234, 0, (1 << bits) - 1))), (27, 3 * bits // 8)]
    (function,) = read(image.build()).init_functions
    assert (function.kind, function.address, function.symbol) == ("INIT_ARRAY", 0x1234, "start")


def test_an_array_beyond_the_file_is_diagnosed() -> None:
    image = Image()
    image.tags += [(25, 0x400), (27, 1 << 40)]
    with pytest.raises(MalformedElf, match="beyond the end of the file"):
        assert read(image.build()).init_functions
