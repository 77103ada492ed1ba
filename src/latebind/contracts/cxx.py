"""A contract for authors in C++17: an interface to implement, over the C header of the same contract.

The interface is an abstract class whose methods take `std::string_view` and `View`, and answer `std::string`,
`std::vector` or the contract's structs. `LATEBIND_EXPORT_<contract>(Class)` defines the exported C functions, which
call it and turn what it throws into failures. Handles and iterators are objects that their close function deletes.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from latebind.contracts.cdecl import by_pointer, c_name, c_parameters, c_type, comment
from latebind.contracts.model import CLOSE, iterator_functions
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
    ResultKind,
    Scalar,
    Text,
    handle_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latebind.contracts.model import Contract, Function


@cache
def cxx_preamble() -> str:
    """The text of `latebind.hpp`."""
    return files("latebind.contracts").joinpath("latebind.hpp").read_text("utf-8")


def cxx_header(contract: Contract) -> str:
    """The C++ header of a contract. It includes the contract's C header, which lies beside it."""
    guard = f"{contract.prefix.upper()}_HPP"
    title = f"{contract.id} {contract.version}: made by `latebind contract header -l c++`; change the contract instead."
    handles = list(reversed(contract.handles()))
    return "\n".join(
        [
            comment(f"{title}\n\n{contract.doc}".strip()),
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            f'#include "{contract.prefix}.h"',
            "",
            cxx_preamble().rstrip(),
            "",
            *(line for handle in handles for line in _interface(handle, handle=True)),
            *_interface(contract, handle=False),
            comment("Defines the exported functions; `Class` implements the interface, and is the plugin's state."),
            *_export_macro(contract),
            "",
            "#endif",
            "",
        ]
    )


def namespace(contract: Contract) -> str:
    """The C++ namespace of a contract: `acme::tokenizer`."""
    return "::".join(c_name(part) for part in contract.id.split("."))


def method_parts(function: Function) -> tuple[str, str, list[str]]:
    """What the declaration of a method of the interface is made of: its result, its name, its parameters."""
    return _result(function), c_name(function.name), _parameters(function)


def value_type(function: Function) -> str:
    """The C++ type of what a function answers, or of an item for what pulls one from an iterator."""
    assert not isinstance(function.result, Nothing | HandleTo | IteratorOf)
    return _value(function.result, function.contract.prefix)


def parameter_names(function: Function) -> list[str]:
    """The C names of the parameters that the contract knows."""
    found = [name for _, name in c_parameters(function)[2 if function.owner else 1 :]]
    return found[: len(function.parameters)]


def _interface(contract: Contract, *, handle: bool) -> Iterator[str]:
    name = "Handle" if handle else "Plugin"
    guard = f"{contract.prefix.upper()}_{name.upper()}_HPP"
    yield from (f"#ifndef {guard}", f"#define {guard}", f"namespace {namespace(contract)} {{", "")
    if contract.doc:
        yield comment(contract.doc)
    yield from (f"class {name} {{", "public:", f"    virtual ~{name}() = default;")
    for method in contract.methods:
        if handle and method.name == CLOSE:
            continue
        function = contract.function(method, handle=handle)
        if method.doc:
            yield from (f"    {line}" for line in comment(method.doc).split("\n"))
        result, name, parameters = method_parts(function)
        yield f"    virtual {result} {name}({', '.join(parameters)}){_default(function)}"
    yield from ("};", "")
    for method in contract.methods:
        if not (handle and method.name == CLOSE):
            yield from _export(contract.function(method, handle=handle))
    if handle:
        *_, closing = contract.own_functions(handle=True)
        yield f"inline lb_status export_{CLOSE}({_c_signature(closing)}) noexcept"
        yield from ("{", "    return latebind::guard(raw, [&](latebind::Context &) -> lb_status {")
        yield from ("        delete reinterpret_cast<Handle *>(self);", "        return LB_OK;", "    });", "}", "")
    yield from (f"}} // namespace {namespace(contract)}", "#endif", "")


def _default(function: Function) -> str:
    """A method that a plugin may leave out is not there unless it is overridden; any other must be."""
    if not function.optional:
        return " = 0;"
    unused = "".join(f"(void){name}; " for name in ("ctx", *parameter_names(function)))
    return f' {{ {unused}throw latebind::NotProvided(""); }}'


def _export(function: Function) -> Iterator[str]:
    """Functions with the C signature, which the exported ones call: of the method, and of its iterator."""
    target = f"static_cast<{'Handle' if function.owner else 'Class'} *>"
    what = "reinterpret_cast<Handle *>(self)" if function.owner else f"{target}(raw->state)"
    call = f"{what}->{c_name(function.name)}({', '.join(['ctx', *_converted(function)])})"
    if not function.owner:
        yield "template <class Class>"
    yield f"inline lb_status export_{function.name}({_c_signature(function)}) noexcept"
    yield from ("{", "    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {")
    kind = function.result
    if isinstance(kind, Nothing):
        yield f"        {call};"
    elif isinstance(kind, IteratorOf) or handle_in(kind) is not None:
        pointee = c_parameters(function)[-1][0].removesuffix("**").strip()
        yield f"        *result = reinterpret_cast<{pointee} *>({call}.release());"
    else:
        yield f"        latebind::store(ctx, *result, {call});"
    yield from ("        return LB_OK;", "    });", "}", "")
    if isinstance(kind, IteratorOf):
        following, closing = iterator_functions(function)
        held = f"latebind::Iterator<{_value(kind.item, function.contract.prefix)}>"
        yield f"inline lb_status export_{following.name}({_c_signature(following)}) noexcept"
        yield from ("{", "    return latebind::guard(raw, [&](latebind::Context &ctx) -> lb_status {")
        yield f"        auto found = reinterpret_cast<{held} *>(self)->next(ctx);"
        yield "        if (found)"
        yield "            latebind::store(ctx, *item, *found);"
        yield from ("        return found ? LB_OK : LB_END;", "    });", "}", "")
        yield f"inline lb_status export_{closing.name}({_c_signature(closing)}) noexcept"
        yield from ("{", "    return latebind::guard(raw, [&](latebind::Context &) -> lb_status {")
        yield f"        delete reinterpret_cast<{held} *>(self);"
        yield from ("        return LB_OK;", "    });", "}", "")


def _export_macro(contract: Contract) -> Iterator[str]:
    lines = [f"#define LATEBIND_EXPORT_{contract.prefix}(Class)"]
    for function in contract.functions():
        names = ["raw", *(name for _, name in c_parameters(function)[1:])]
        body = f"return {namespace(function.contract)}::export_{function.name}"
        if function.owner is None:
            body += "<Class>"
        lines.append(
            f'    extern "C" LB_EXPORT lb_status {function.symbol}({_c_signature(function)})'
            f" {{ {body}({', '.join(names)}); }}"
        )
    yield from (f"{line} \\" for line in lines[:-1])
    yield lines[-1]


def _c_signature(function: Function) -> str:
    parameters = [("lb_context *", "raw"), *c_parameters(function)[1:]]
    return ", ".join(f"{kind}{'' if kind.endswith('*') else ' '}{name}" for kind, name in parameters)


def _parameters(function: Function) -> list[str]:
    prefix = function.contract.prefix
    pairs = zip(function.parameters, parameter_names(function), strict=True)
    taken = ((_taken(p.kind, prefix), name) for p, name in pairs)
    return ["latebind::Context &ctx", *(f"{kind}{'' if kind[-1] in '&*' else ' '}{name}" for kind, name in taken)]


def _taken(kind: DataKind, prefix: str) -> str:  # noqa: PLR0911 - one case a kind
    """The C++ type of a parameter."""
    if isinstance(kind, Record):
        return f"const {c_type(kind, prefix)} &"
    if isinstance(kind, OptionalOf) and isinstance(kind.element, Record):
        return f"const {c_type(kind.element, prefix)} *"
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return f"std::optional<{_taken(kind.element, prefix)}>"
    if isinstance(kind, Text):
        return "std::string_view"
    if isinstance(kind, Bytes):
        return "latebind::View<std::uint8_t>"
    if isinstance(kind, ListOf):
        return f"latebind::View<{_element(kind, prefix)}>"
    return c_type(kind, prefix)


def _converted(function: Function) -> list[str]:
    """The C arguments as C++ ones."""
    prefix = function.contract.prefix
    pairs = zip(function.parameters, parameter_names(function), strict=True)
    return [_convert(p.kind, f"*{name}" if by_pointer(p.kind) else name, prefix) for p, name in pairs]


def _convert(kind: DataKind, name: str, prefix: str) -> str:
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        value = f"({name}).value"
        if isinstance(kind.element, Record):
            return f"({name}).has ? &{value} : nullptr"
        taken = _taken(kind, prefix)
        return f"({name}).has ? {taken}({_convert(kind.element, value, prefix)}) : {taken}()"
    if isinstance(kind, Text):
        return f"latebind::text({name})"
    if isinstance(kind, Bytes | ListOf):
        return f"{_taken(kind, prefix)}({name}.data, {name}.size)"
    return name


def _result(function: Function) -> str:
    prefix = function.contract.prefix
    kind: ResultKind = function.result
    handle = handle_in(kind)
    if handle is not None:
        return f"std::unique_ptr<{namespace(handle.contract)}::Handle>"
    if isinstance(kind, IteratorOf):
        return f"std::unique_ptr<latebind::Iterator<{_value(kind.item, prefix)}>>"
    if isinstance(kind, Nothing):
        return "void"
    assert not isinstance(kind, HandleTo)
    return _value(kind, prefix)


def _value(kind: DataKind, prefix: str) -> str:
    """The C++ type of a result or an item."""
    if isinstance(kind, Text):
        return "std::string"
    if isinstance(kind, Bytes):
        return "std::vector<std::uint8_t>"
    if isinstance(kind, ListOf):
        return (
            "std::vector<std::string>" if isinstance(kind.element, Text) else f"std::vector<{_element(kind, prefix)}>"
        )
    if isinstance(kind, OptionalOf):
        assert not isinstance(kind.element, HandleTo)
        return f"std::optional<{_value(kind.element, prefix)}>"
    return c_type(kind, prefix)


def _element(kind: ListOf, prefix: str) -> str:
    assert isinstance(kind.element, Scalar | Text | Enumeration | Record)
    return c_type(kind.element, prefix)
