"""What a plugin may answer wrongly in the types that contain others: `PluginError`, and the plugin goes on."""
# The contract below is read when it is defined, so this module does without `from __future__`.

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import pytest

from latebind import PluginError
from latebind.contracts import Owner, contract, contract_of, header
from latebind.linker import Namespace, load
from support.compiler import Compiler
from support.natives import Natives


class Mode(enum.Enum):
    ON = 1
    OFF = 2


@dataclass
class Item:
    name: str
    mode: Mode
    flag: bool
    sizes: list[int]

    def __post_init__(self) -> None:
        if self.name == "forbidden":
            raise ValueError("that name is forbidden")


@contract("test.bad", version="1.0.0")
class Bad(Protocol):
    def item(self, how: int) -> Item: ...

    def items(self, how: int) -> list[Item]: ...

    def maybe(self, how: int) -> str | None: ...

    def mode(self, how: int) -> Mode: ...

    def modes(self, how: int) -> list[Mode]: ...

    def text(self, how: int) -> str: ...


SOURCE = r"""
#define _GNU_SOURCE
#include "test_bad.h"
#include <stdlib.h>
#include <sys/mman.h>
static test_bad_Item good(void)
{
    static const int64_t sizes[] = {1, 2};
    test_bad_Item item = {{"good", 4}, TEST_BAD_MODE_ON, true, {sizes, 2}};
    return item;
}
static test_bad_Item make(int64_t how)
{
    test_bad_Item item = good();
    switch (how) {
    case 1: item.name.data = 0; break;
    case 2: item.mode = 3; break;
    case 3: *(uint8_t *)&item.flag = 255; break;
    case 4: item.sizes.data = 0; break;
    case 5: item.sizes.size = (size_t)1 << 61; break;
    case 6: item.name = lb_text("forbidden"); break;
    case 7: item.name = lb_text("\xc3("); break;
    case 8: item.sizes.data = (const int64_t *)(uintptr_t)4096; break;
    }
    return item;
}
lb_status test_bad_item(lb_context *ctx, int64_t how, test_bad_Item *result)
{ (void)ctx; *result = make(how); return LB_OK; }
lb_status test_bad_items(lb_context *ctx, int64_t how, test_bad_list_Item *result)
{
    test_bad_Item *items = lb_alloc_array(ctx, 2, sizeof *items);
    items[0] = good();
    items[1] = make(how);
    result->data = items, result->size = 2;
    if (how == 20) result->data = 0;
    if (how == 21) result->size = 3;
    if (how == 22) result->size = (size_t)1 << 60;
    return LB_OK;
}
lb_status test_bad_maybe(lb_context *ctx, int64_t how, lb_optional_str *result)
{
    (void)ctx;
    result->has = how != 0;
    result->value = lb_text("there");
    if (how == 1) *(uint8_t *)&result->has = 2;
    if (how == 2) result->value.data = 0;
    if (how == 3) result->has = false, result->value.data = 0;
    return LB_OK;
}
lb_status test_bad_mode(lb_context *ctx, int64_t how, test_bad_Mode *result)
{ (void)ctx; *result = (test_bad_Mode)how; return LB_OK; }
lb_status test_bad_modes(lb_context *ctx, int64_t how, lb_list_i32 *result)
{
    static int32_t modes[] = {1, 2, 3};
    (void)ctx;
    result->data = how == 9 ? 0 : modes, result->size = (size_t)how;
    return LB_OK;
}
lb_status test_bad_text(lb_context *ctx, int64_t how, lb_str *result)
{
    static char *kept;
    char *memory;
    switch (how) {
    case 1: /* memory of an earlier call */
        if (!kept) {
            lb_alloc(ctx, 2048);
            kept = lb_alloc(ctx, 512);
            for (int i = 0; i < 512; i++)
                kept[i] = 'k';
        }
        result->data = kept, result->size = 512;
        return LB_OK;
    case 2: /* unmapped again */
        memory = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(memory, 4096);
        result->data = memory, result->size = 8;
        return LB_OK;
    case 3: /* not readable */
        memory = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        result->data = memory, result->size = 8;
        return LB_OK;
    case 4: /* over the end of what is readable */
        memory = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(memory + 4096, 4096);
        memory[4095] = 'x';
        result->data = memory + 4095, result->size = 2;
        return LB_OK;
    case 5: /* a result that lies over its own descriptor */
        result->size = sizeof *result;
        result->data = (const char *)result;
        return LB_OK;
    case 6: /* into the context itself */
        result->data = (const char *)ctx, result->size = sizeof *ctx;
        return LB_OK;
    case 7: /* a result, and a failure */
        *result = lb_text("a result all the same");
        return lb_fail(ctx, "no");
    }
    *result = lb_text("fine");
    return LB_OK;
}
"""
CONTRACT = contract_of(Bad)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Natives]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "test_bad.h").write_text(header(CONTRACT))
    path = Compiler(folder).shared(SOURCE, flags=["-std=gnu99", "-I", str(folder)])
    with load(path, namespace=Namespace()) as library:
        yield Natives(Owner("test.plugin", "1.2.3"), library, CONTRACT)


GOOD = Item("good", Mode.ON, flag=True, sizes=[1, 2])
WRONG = [
    (1, "Item.name: a null pointer with a length of 4"),
    (2, "Item.mode: 3 is no member of Mode"),
    (3, "Item.flag: the byte 255 is neither false"),
    (4, "Item.sizes: a null pointer with a length of 2"),
    (5, "Item.sizes: a length of 2305843009213693952 is more than memory"),
    (6, "Item refuses its fields: ValueError: that name is forbidden"),
    (7, "Item.name: the text is not UTF-8: invalid continuation byte at byte 0"),
    (8, "Item.sizes: 16 bytes at 0x1000 are not readable memory"),
]


@pytest.mark.parametrize(("how", "what"), WRONG)
def test_a_record_with_a_wrong_field(plugin: Natives, how: int, what: str) -> None:
    with pytest.raises(PluginError) as caught:
        plugin.call("item", how)
    assert caught.value.message.startswith(f"its result breaks the contract: {what}")
    assert (caught.value.plugin, caught.value.version, caught.value.method) == ("test.plugin", "1.2.3", "test.bad.item")
    assert plugin.call("item", 0) == GOOD


@pytest.mark.parametrize(("how", "what"), WRONG)
def test_a_list_with_a_wrong_record(plugin: Natives, how: int, what: str) -> None:
    with pytest.raises(PluginError) as caught:
        plugin.call("items", how)
    assert f"element 1: {what}" in caught.value.message
    assert plugin.call("items", 0) == [GOOD, GOOD]


@pytest.mark.parametrize(
    ("method", "how", "what"),
    [
        ("items", 20, "a null pointer with a length of 2"),
        ("items", 21, "reach beyond what lb_alloc handed out"),
        ("items", 22, "more than memory can hold"),
        ("maybe", 1, "the byte 2 is neither"),
        ("maybe", 2, "a null pointer with a length of 5"),
        ("mode", 0, "0 is no member of Mode"),
        ("mode", -(2**31), "-2147483648 is no member of Mode"),
        ("modes", 3, "element 2: 3 is no member of Mode"),
        ("modes", 9, "a null pointer with a length of 9"),
        ("text", 2, "8 bytes at .* are not readable memory"),
        ("text", 3, "8 bytes at .* are not readable memory"),
        ("text", 4, "2 bytes at .* are not readable memory"),
        ("text", 7, "test.bad.text: no$"),
    ],
)
def test_another_wrong_result(plugin: Natives, method: str, how: int, what: str) -> None:
    with pytest.raises(PluginError, match=what):
        plugin.call(method, how)
    assert plugin.call("text", 0) == "fine"


def test_memory_of_an_earlier_call_is_refused(plugin: Natives) -> None:
    assert len(plugin.call("text", 1)) == 512
    with pytest.raises(PluginError, match="reach beyond what lb_alloc handed out"):
        plugin.call("text", 1)


@pytest.mark.parametrize("how", [5, 6])
def test_a_result_in_odd_memory_is_read_or_refused(plugin: Natives, how: int) -> None:
    """It is there, so it can be copied; whether it is text is another matter."""
    try:
        assert isinstance(plugin.call("text", how), str)
    except PluginError as e:
        assert "not UTF-8" in e.message
    assert plugin.call("text", 0) == "fine"


def test_what_is_absent_is_not_looked_at(plugin: Natives) -> None:
    assert plugin.call("maybe", 3) is None
    assert plugin.call("maybe", 4) == "there"


def test_good_members(plugin: Natives) -> None:
    assert plugin.call("mode", 2) is Mode.OFF
    assert plugin.call("modes", 2) == [Mode.ON, Mode.OFF]
    assert plugin.call("modes", 0) == []
