"""Contracts for authors in Rust: one file without crates, with a module for each contract.

The crate's root defines `Plugin`, which implements `latebind::State` and the trait `Provides` of each contract that
it provides. The functions are exported from here, so no macro is needed; an error, or a panic, makes the call fail.
Contracts that are required become functions that call the host's service.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from latebind.contracts.cdecl import by_pointer, harmless
from latebind.contracts.layout import layout_digest, method_table
from latebind.contracts.model import CLOSE
from latebind.contracts.types import (
    Bytes,
    DataKind,
    Enumeration,
    HandleTo,
    IteratorOf,
    ListOf,
    Nothing,
    OptionalOf,
    Record,
    Scalar,
    Text,
    handle_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latebind.contracts.model import Contract, Function, Parameter

_SCALARS: Final = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
    "uint32": "u32", "uint64": "u64", "float32": "f32", "float64": "f64",
}  # fmt: skip
_TAKEN: Final = frozenset(
    """as break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref
    return self Self static struct super trait true type unsafe use where while async await abstract become box do
    final macro override priv typeof unsized virtual yield try gen raw ctx result item this""".split()
)
# Types that the generated code uses by these names: those of the module `latebind`, and of Rust's prelude.
_TYPES: Final = frozenset(
    """Context Error Handle Items Note Provides Result State ToC lb_bytes lb_context lb_list lb_optional lb_str NOTE
    TEXT Box Copy Clone Debug Eq Err None Ok Option PartialEq Some String Vec""".split()
)


@cache
def rust_preamble() -> str:
    """The text of the module `latebind`."""
    return files("latebind.contracts").joinpath("latebind.rs").read_text("utf-8")


def rust_module(provides: Sequence[Contract], requires: Sequence[Contract] = ()) -> str:
    """The file: the module `latebind`, then one for each contract and each handle that they answer."""
    names = ", ".join(f"{c.id} {c.version}" for c in (*provides, *requires))
    lines = [f"// {names}: made by `latebind contract header -l rust`; change the contract instead.", rust_preamble()]
    handles = {handle.id: handle for contract in provides for handle in contract.handles()}
    for handle in handles.values():
        lines += _provided(handle, handle=True)
    for contract in provides:
        lines += _provided(contract, handle=False)
    for contract in requires:
        lines += _required(contract)
    return "\n".join(lines).rstrip() + "\n"


def method_parts(function: Function) -> tuple[str, list[str], str]:
    """What a method of a trait is made of as the crate's root writes it: name, parameters after `&self`, answer."""
    path = f"{function.contract.prefix}::"
    return _name(function.name), _parameters(function, path), _answer(function, path, "")


def value_type(function: Function) -> str:
    """What pulls an item from an iterator answers, as the crate's root writes it."""
    assert not isinstance(function.result, Nothing | HandleTo | IteratorOf)
    return _value(function.result, f"{function.contract.prefix}::")


def _module(contract: Contract, inside: Iterator[str]) -> Iterator[str]:
    yield from documented(contract.doc, "")
    yield "#[allow(non_camel_case_types, non_upper_case_globals, dead_code, unused, clippy::all)]"
    yield f"pub mod {contract.prefix} {{"
    yield "    use super::latebind::*;"
    yield "    use std::ffi::c_void;"
    yield ""
    yield from (f"    {line}".rstrip() for line in inside)
    yield "}"
    yield ""


def _provided(contract: Contract, *, handle: bool) -> Iterator[str]:
    def inside() -> Iterator[str]:
        yield from _types(contract)
        yield from _trait(contract, handle=handle)
        for function in contract.own_functions(handle=handle):
            yield from _export(function)
        if not handle:
            yield from _note(contract, 2)

    return _module(contract, inside())


def _trait(contract: Contract, *, handle: bool) -> Iterator[str]:
    yield f"pub trait {'Handle' if handle else 'Provides'} {{"
    for method in contract.methods:
        if handle and method.name == CLOSE:
            continue
        function = contract.function(method, handle=handle)
        yield from documented(method.doc, "    ")
        default = " { Err(Error::NotProvided) }" if function.optional else ";"
        parameters = ", ".join(["&self", *_parameters(function)])
        yield f"    fn {_name(method.name)}({parameters}) -> {_answer(function)}{default}"
    yield "}"


def _export(function: Function) -> Iterator[str]:
    """The exported function, which calls the trait's method."""
    parameters = ["raw: *mut lb_context", *(["this: *mut c_void"] if function.owner else [])]
    parameters += [f"{name}: {'*const ' if by_pointer(p.kind) else ''}{_c(p.kind)}" for p, name in _named(function)]
    kind = function.result
    if not isinstance(kind, Nothing):
        parameters.append(f"result: *mut {_c_result(function)}")
    yield "#[no_mangle]"
    yield f'extern "C" fn {function.symbol}({", ".join(parameters)}) -> i32 {{'
    yield "    guard(raw, |ctx| unsafe {"
    yield from (f"        {line}" for line in _body(function))
    yield from ("    })", "}")


def _body(function: Function) -> Iterator[str]:
    kind = function.result
    arguments = ["ctx", *(_converted(p.kind, name) for p, name in _named(function))]
    of_handle = function.owner == function.contract.prefix
    if function.owner and (function.name == CLOSE if of_handle else function.name.endswith(f"_{CLOSE}")):
        held = "dyn Handle" if of_handle else _items(_owner_item(function))
        yield f"drop(Box::from_raw(this as *mut Box<{held}>));"
    elif function.end:
        assert not isinstance(kind, Nothing | HandleTo | IteratorOf)
        yield f"let items = &mut *(this as *mut Box<{_items(kind)}>);"
        yield "match items.next(ctx)? {"
        yield f"    Some(found) => *result = ToC::<{_c(kind)}>::to_c(found, ctx),"
        yield "    None => return Ok(LB_END),"
        yield "}"
    else:
        target = "&*(this as *mut Box<dyn Handle>)" if function.owner else "&*((*raw).state as *const crate::Plugin)"
        trait = "Handle" if function.owner else "Provides"
        boxed = "&**" if function.owner else ""
        target = f"{boxed}({target})" if function.owner else target
        yield f"let found = {trait}::{_name(function.name)}({', '.join([target, *arguments])})?;"
        if isinstance(kind, IteratorOf | HandleTo):
            yield "*result = Box::into_raw(Box::new(found)) as *mut c_void;"
        elif handle_in(kind) is not None:
            yield "let boxed = found.map(|handle| Box::into_raw(Box::new(handle)) as *mut c_void);"
            yield "*result = boxed.unwrap_or(std::ptr::null_mut());"
        elif isinstance(kind, Nothing):
            yield "let () = found;"
        else:
            yield f"*result = ToC::<{_c_result(function)}>::to_c(found, ctx);"
    yield "Ok(LB_OK)"


def _owner_item(function: Function) -> DataKind:
    """The items of the iterator that a close function ends."""
    name = function.name.removesuffix(f"_{CLOSE}")
    method = function.contract.method(name)
    assert method is not None
    assert isinstance(method.result, IteratorOf)
    return method.result.item


def _required(contract: Contract) -> Iterator[str]:
    """Functions that call the host's service. Handles and iterators of services are left to the C functions."""

    def inside() -> Iterator[str]:
        yield from _types(contract)
        plain = [m for m in contract.methods if not isinstance(m.result, IteratorOf) and handle_in(m.result) is None]
        yield 'extern "C" {'
        for method in plain:
            function = contract.function(method)
            parameters = [f"{n}: {'*const ' if by_pointer(p.kind) else ''}{_c(p.kind)}" for p, n in _named(function)]
            if not isinstance(method.result, Nothing):
                parameters.append(f"result: *mut {_c_result(function)}")
            yield f"    fn {function.symbol}({', '.join(['raw: *mut lb_context', *parameters])}) -> i32;"
        yield "}"
        for method in plain:
            yield from _call(contract.function(method))
        yield from _note(contract, 3)

    return _module(contract, inside())


def _call(function: Function) -> Iterator[str]:
    yield from documented(function.doc, "")
    kind = function.result
    parameters = ["ctx: &mut Context", *(f"{name}: {_given(p.kind)}" for p, name in _named(function))]
    answer = "()" if isinstance(kind, Nothing) else _c_result(function)
    yield f"pub fn {_name(function.name)}({', '.join(parameters)}) -> Result<{answer}> {{"
    arguments = ["ctx.raw()", *(_lowered(p.kind, name) for p, name in _named(function))]
    if isinstance(kind, Nothing):
        yield f"    ctx.check(unsafe {{ {function.symbol}({', '.join(arguments)}) }})"
    else:
        yield f"    let mut result = std::mem::MaybeUninit::<{answer}>::zeroed();"
        arguments.append("result.as_mut_ptr()")
        yield f"    ctx.check(unsafe {{ {function.symbol}({', '.join(arguments)}) }})?;"
        yield "    Ok(unsafe { result.assume_init() })"
    yield "}"


def _types(contract: Contract) -> Iterator[str]:
    for kind in contract.types():
        yield from documented(kind.doc, "")
        if isinstance(kind, Enumeration):
            yield from ("#[repr(transparent)]", "#[derive(Clone, Copy, PartialEq, Eq, Debug)]")
            yield f"pub struct {type_name(kind)}(pub i32);"
            yield f"impl {type_name(kind)} {{"
            yield from (f"    pub const {_name(name)}: Self = Self({number});" for name, number in kind.members)
            yield "}"
            continue
        yield from ("#[repr(C)]", "#[derive(Clone, Copy)]", f"pub struct {type_name(kind)} {{")
        yield from (f"    pub {_name(f.name)}: {_c(f.kind)}," for f in kind.fields)
        yield "}"


def _note(contract: Contract, kind: int) -> Iterator[str]:
    rest = rf'"{contract.version}\0{layout_digest(contract)}\0{method_table(contract)}"'
    yield f"const TEXT: &str = {rest};"
    yield from ("#[used]", '#[link_section = ".note.latebind"]')
    yield f'static NOTE: Note<{{ note_size("{contract.id}", TEXT) }}> = note({kind}, "{contract.id}", TEXT);'


def _c(kind: DataKind, path: str = "") -> str:
    """The type as it lies in memory. `path` stands before the names of the contract's own types."""
    if isinstance(kind, Scalar):
        return _SCALARS[kind.name]
    if isinstance(kind, Text | Bytes):
        return kind.c
    if isinstance(kind, ListOf):
        return f"lb_list<{_c(kind.element, path)}>"
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return f"lb_optional<{_c(kind.element, path)}>"
    return f"{path}{type_name(kind)}"


def type_name(kind: Record | Enumeration) -> str:
    """The name of a type of the contract's. One that is taken gets an underscore behind; names are not ABI."""
    return f"{kind.title}_" if kind.title in _TYPES | _TAKEN else kind.title


def _c_result(function: Function) -> str:
    kind = function.result
    if isinstance(kind, IteratorOf | HandleTo) or handle_in(kind) is not None:
        return "*mut c_void"
    assert not isinstance(kind, Nothing)
    return _c(kind)


def _parameters(function: Function, path: str = "") -> list[str]:
    """The parameters of a trait's method after `&self`."""
    return ["ctx: &mut Context", *(f"{name}: {_taken(p.kind, path)}" for p, name in _named(function))]


def _taken(kind: DataKind, path: str = "") -> str:
    """The type of a parameter of a trait's method."""
    if isinstance(kind, Text):
        return "&str"
    if isinstance(kind, Bytes):
        return "&[u8]"
    if isinstance(kind, ListOf):
        return f"&[{_c(kind.element, path)}]"
    if isinstance(kind, Record):
        return f"&{_c(kind, path)}"
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return f"Option<{_taken(kind.element, path)}>"
    return _c(kind, path)


def _converted(kind: DataKind, name: str) -> str:
    """A C argument as the trait's method takes it."""
    if isinstance(kind, Text):
        return f"{name}.as_str()"
    if isinstance(kind, Bytes | ListOf):
        return f"{name}.as_slice()"
    if isinstance(kind, Record):
        return f"&*{name}"
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        inner = {True: "value", False: _converted(kind.element, "value")}[isinstance(kind.element, Record)]
        plain = isinstance(kind.element, Scalar | Enumeration)
        return f"(*{name}).get().map(|value| {'*value' if plain else inner})"
    return name


def _given(kind: DataKind) -> str:
    """The type of a parameter of a service's function."""
    return f"&{_c(kind)}" if isinstance(kind, OptionalOf) else _taken(kind)


def _lowered(kind: DataKind, name: str) -> str:
    """What a service's C function takes."""
    if isinstance(kind, Text | Bytes | ListOf):
        structure = "lb_list" if isinstance(kind, ListOf) else kind.c
        return f"{structure} {{ data: {name}.as_ptr(), size: {name}.len() }}"
    return name


def _answer(function: Function, path: str = "", root: str = "super::") -> str:
    """What a trait's method answers. `root` is the path to the modules of handles."""
    kind = function.result
    handle = handle_in(kind)
    if handle is not None:
        boxed = f"Box<dyn {root}{handle.contract.prefix}::Handle>"
        return f"Result<Option<{boxed}>>" if isinstance(kind, OptionalOf) else f"Result<{boxed}>"
    if isinstance(kind, IteratorOf):
        return f"Result<Box<{_items(kind.item, path)}>>"
    if isinstance(kind, Nothing):
        return "Result<()>"
    assert not isinstance(kind, HandleTo)
    return f"Result<{_value(kind, path)}>"


def _items(kind: DataKind, path: str = "") -> str:
    return f"dyn Items<Item = {_value(kind, path)}>"


def _value(kind: DataKind, path: str = "") -> str:
    """A result or an item as Rust has it."""
    if isinstance(kind, Text):
        return "String"
    if isinstance(kind, Bytes):
        return "Vec<u8>"
    if isinstance(kind, ListOf):
        return f"Vec<{_value(kind.element, path)}>"
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return f"Option<{_value(kind.element, path)}>"
    return _c(kind, path)


def rust_value(kind: DataKind) -> tuple[str, str]:
    """What a trait's method takes for a value, and what it answers."""
    return _taken(kind), _value(kind)


def _named(function: Function) -> list[tuple[Parameter, str]]:
    return [(p, _name(p.name)) for p in function.parameters]


def _name(name: str) -> str:
    return f"{name}_" if name in _TAKEN else name


def documented(doc: str, indent: str) -> Iterator[str]:
    """The lines of a documenting comment; none without documentation."""
    if doc:
        yield from (f"{indent}/// {line}".rstrip() for line in harmless(doc).split("\n"))
