"""The wire layout: what goes out comes in unchanged, has the bytes of the specification, and cannot be abused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latebind.contracts import Contract, Parameter, Version
from latebind.contracts.annotation import kind_of
from latebind.contracts.types import (
    BOOL,
    FLOAT32,
    INT16,
    INT64,
    UINT8,
    Bytes,
    DataKind,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    ResultKind,
    Text,
)
from latebind.contracts.wire import (
    Status,
    decode_answer,
    decode_arguments,
    encode_arguments,
    encode_failure,
    encode_result,
)
from support.kinds import KINDS, METHODS, Level, Mode, Place, values

HANDLE = HandleTo(Contract("a.handle", Version(1, 0, 0), ()))


@pytest.mark.parametrize("name", METHODS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_value_survives_the_wire(name: str, data: st.DataObject) -> None:
    kind = METHODS[name].parameters[0].kind
    value = data.draw(values(kind))
    status, back = decode_answer(kind, encode_result(kind, value))
    assert (status, back) == (Status.OK, value)
    assert type(back) is type(value)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_several_arguments_follow_each_other(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), max_size=5))
    parameters = [Parameter(f"p{i}", kind) for i, kind in enumerate(kinds)]
    arguments = [data.draw(values(kind)) for kind in kinds]
    assert decode_arguments(parameters, encode_arguments(parameters, arguments)) == arguments


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (BOOL, True, "01"),
        (INT16, -2, "fe ff"),
        (INT64, 1, "01 00 00 00 00 00 00 00"),
        (FLOAT32, 1.0, "00 00 80 3f"),
        (Text(), "aé", "03 61 c3 a9"),
        (Bytes(), b"\0" * 200, "c8 01" + "00" * 200),
        (ListOf(INT16), [1, -1], "02 01 00 ff ff"),
        (ListOf(Text()), ["", "x"], "02 00 01 78"),
        (OptionalOf(UINT8), None, "00"),
        (OptionalOf(UINT8), 7, "01 07"),
        (kind_of(Mode), Mode.EXACT, "01 00 00 00"),
        (kind_of(Level), Level.LOW, "fb ff ff ff"),
        (kind_of(Place), Place(flag=True, number=2, at=3, tiny=-1), "01 02 00 03 00 00 00 00 00 00 00 ff"),
    ],
)
def test_the_bytes_are_those_of_the_specification(kind: DataKind, value: object, written: str) -> None:
    assert encode_arguments([Parameter("p", kind)], [value]) == bytes.fromhex(written)
    assert encode_result(kind, value) == b"\0" + bytes.fromhex(written)


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (Nothing(), None, "00"),
        (HANDLE, 258, "00 02 01 00 00 00 00 00 00"),
        (OptionalOf(HANDLE), None, "00 00 00 00 00 00 00 00 00"),
        (IteratorOf(Text()), 1, "00 01 00 00 00 00 00 00 00"),
    ],
)
def test_handles_and_iterators_are_numbers(kind: ResultKind, value: object, written: str) -> None:
    assert encode_result(kind, value) == bytes.fromhex(written)
    assert decode_answer(kind, bytes.fromhex(written)) == (Status.OK, value)


def test_a_failure_is_its_status_and_its_message() -> None:
    assert encode_failure(Status.FAILED, "größe") == b"\1gr\xc3\xb6\xc3\x9fe"
    assert decode_answer(Text(), b"\1gr\xc3\xb6\xc3\x9fe") == (Status.FAILED, "größe")
    assert decode_answer(INT64, encode_failure(Status.END)) == (Status.END, "")
    with pytest.raises(ValueError, match="went well"):
        encode_failure(Status.OK)


@pytest.mark.parametrize(
    ("kind", "data", "what"),
    [
        (INT64, "00 01", "ends 7 bytes early"),
        (INT64, "", "empty"),
        (INT64, "09", "unknown status 9"),
        (BOOL, "00 02", "neither 0 nor 1"),
        (ListOf(BOOL), "00 01 03", "neither 0 nor 1"),
        (Text(), "00 01 ff", "not UTF-8"),
        (Text(), "00 ff ff ff ff ff ff ff ff 7f 00", "early"),
        (Text(), "00 ff ff ff ff ff ff ff ff ff 01", "63 bits"),
        (ListOf(Text()), "00 ff ff ff ff 0f 00", "longer than the message"),
        (ListOf(INT64), "00 ff ff ff ff 0f 00", "early"),
        (kind_of(Mode), "00 03 00 00 00", "3 is no member of Mode"),
        (kind_of(list[Level]), "00 01 03 00 00 00", "element 0: 3 is no member of Level"),
        (OptionalOf(UINT8), "00 02 00", "neither 0 nor 1"),
        (UINT8, "00 01 02", "1 bytes follow"),
        (HANDLE, "00" * 9, "is 0"),
    ],
)
def test_a_wrong_answer_is_refused(kind: ResultKind, data: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        decode_answer(kind, bytes.fromhex(data))


@pytest.mark.parametrize(
    ("kind", "value"), [(HANDLE, None), (HANDLE, True), (HANDLE, 0), (HANDLE, 1 << 64), (Nothing(), 1), (INT64, "x")]
)
def test_a_wrong_result_is_not_written(kind: ResultKind, value: object) -> None:
    with pytest.raises((TypeError, OverflowError)):
        encode_result(kind, value)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(KINDS), data=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(kind: DataKind, data: bytes) -> None:
    parameters = [Parameter("p", kind)]
    try:
        found: Any = decode_arguments(parameters, data)
    except ValueError:
        return
    if b"\x80\0" not in data:  # a length may be written with more bytes than it needs
        again = decode_arguments(parameters, encode_arguments(parameters, found))
        assert again == found or found != found  # noqa: PLR0124 - a NaN is not itself
