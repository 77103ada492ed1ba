"""A contract as source to begin with: every function that a plugin exports, failing until its author has written it.

In C, C++ and Rust; `pystubs.py` has Python. What a contract makes optional is a comment, so that its own body runs.
Handles and iterators come first, then the contracts; a handle of several contracts comes once.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from latebind.contracts import cxx, rust
from latebind.contracts.cdecl import c_parameters, comment, prototype
from latebind.contracts.model import CLOSE, iterator_functions
from latebind.contracts.types import IteratorOf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from latebind.contracts.model import Contract, Function

WIDTH: Final = 100
"""Columns of what is generated, where a line can be folded."""
OPTIONAL: Final = "Optional: where a plugin does not have it, the contract's own body runs in the host."


def unwritten(name: str) -> str:
    """What a function that nobody has written yet fails with."""
    return f"{name} is not implemented yet"


def owners(contracts: Iterable[Contract]) -> Iterator[tuple[Contract, bool]]:
    """(contract, whether it is a handle's): all handles that the contracts may answer, each once, then they."""
    contracts = list(contracts)
    handles = {handle.id: handle for contract in contracts for handle in reversed(contract.handles())}
    yield from ((handle, True) for handle in handles.values())
    yield from ((contract, False) for contract in contracts)


def functions(owner: Contract, *, handle: bool) -> Iterator[Function]:
    """The functions of the methods that an author writes: without what closes a handle."""
    for method in owner.methods:
        if not (handle and method.name == CLOSE):
            yield owner.function(method, handle=handle)


class ClassNames:
    """Names for the classes of handles and iterators, no two alike."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def handle(self, contract: Contract) -> str:
        """The name for the class of a handle."""
        return self._new(camel(contract.name or contract.id.rpartition(".")[2]), "Handle")

    def iterator(self, function: Function) -> str:
        """The name for the class of what a function answers item by item."""
        owner = camel(function.contract.name) if function.owner else ""
        return self._new(owner + camel(function.name), "Iterator")

    def _new(self, name: str, kind: str) -> str:
        found = f"{name}{kind}"
        number = 2
        while found in self._taken:
            found, number = f"{name}{kind}{number}", number + 1
        self._taken.add(found)
        return found


def camel(name: str) -> str:
    """`warm_greeter` as `WarmGreeter`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def c_stubs(contracts: Sequence[Contract]) -> str:
    """Definitions in C. They need `free` of <stdlib.h> where there are handles or iterators (`opens`)."""
    blocks: list[str] = []
    for owner, handle in owners(contracts):
        if handle:
            blocks.append(_c_structure(owner.prefix, "the handle"))
        for function in functions(owner, handle=handle):
            if function.optional:
                blocks.append(comment(f"{OPTIONAL}\n\n{_c_head(function)};"))
                continue
            following: tuple[Function, ...] = ()
            if isinstance(function.result, IteratorOf):
                following = iterator_functions(function)
                blocks.append(_c_structure(f"{function.symbol}_iterator", "the iterator"))
            documented = f"{comment(function.doc)}\n" if function.doc else ""
            blocks.append(documented + _c_failing(function))
            if following:
                blocks += [_c_failing(following[0]), _c_closing(following[1])]
        if handle:
            *_, closing = owner.own_functions(handle=True)
            blocks.append(_c_closing(closing))
    return "\n\n".join(blocks)


def opens(contracts: Iterable[Contract]) -> bool:
    """Whether a plugin with these contracts answers handles or iterators that are not optional."""
    return any(
        handle or any(isinstance(f.result, IteratorOf) and not f.optional for f in functions(owner, handle=handle))
        for owner, handle in owners(contracts)
    )


def _c_structure(name: str, what: str) -> str:
    return f"struct {name} {{\n    int unused; /* what {what} remembers */\n}};"


def _c_head(function: Function) -> str:
    head, _, rest = prototype(function).partition("(")
    return packed(f"{head}(", rest.removesuffix(")").split(", "), ")")


def _c_failing(function: Function) -> str:
    unused = _unused(name for _, name in c_parameters(function)[1:])
    return f'{_c_head(function)}\n{{\n{unused}    return lb_fail(ctx, "{unwritten(function.name)}");\n}}'


def _c_closing(function: Function) -> str:
    return f"{_c_head(function)}\n{{\n    (void)ctx;\n    free(self);\n    return LB_OK;\n}}"


def _unused(names: Iterable[str], indent: str = "    ") -> str:
    """A statement for C that uses the parameters, so that no compiler warns of them."""
    text = ", ".join(f"(void){name}" for name in names)
    return f"{textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent)};\n" if text else ""


def cxx_stubs(contracts: Sequence[Contract]) -> tuple[str, str]:
    """(classes of handles and iterators, the methods of the class that implements the contracts), in C++.

    A method that several contracts have alike is there once.
    """
    names = ClassNames(["Implementation"])
    classes: list[str] = []
    methods: dict[str, str] = {}
    for owner, handle in owners(contracts):
        own: dict[str, str] = {}
        for function in functions(owner, handle=handle):
            if isinstance(function.result, IteratorOf) and not function.optional:
                following, _ = iterator_functions(function)
                item = cxx.value_type(following)
                head = f"std::optional<{item}> next(Context &ctx) override"
                body = _cxx_failing(head, ["ctx"], following.name)
                about = comment(f"What {function.name} answers, one item at a time.")
                classes.append(_cxx_class(names.iterator(function), f"latebind::Iterator<{item}>", [body], about))
            result, name, parameters = cxx.method_parts(function)
            head = packed(f"    {result} {name}(", ["Context &ctx", *parameters[1:]], ") override").strip()
            used = ["ctx", *cxx.parameter_names(function)]
            text = _cxx_method(function, head, used)
            own.setdefault(head, text)
        if handle:
            about = comment("\n\n".join(filter(None, (f"The handle {owner.id}.", owner.doc))))
            classes.append(_cxx_class(names.handle(owner), f"{cxx.namespace(owner)}::Handle", own.values(), about))
        else:
            methods |= {head: text for head, text in own.items() if head not in methods}
    return "".join(f"{text}\n\n" for text in classes), "\n\n".join(methods.values())


def _cxx_class(name: str, base: str, members: Iterable[str], about: str) -> str:
    return f"{about}\nclass {name} : public {base} {{\npublic:\n" + "\n\n".join(members) + "\n};"


def _cxx_method(function: Function, head: str, used: Sequence[str]) -> str:
    if function.optional:
        unindented = head.replace("\n    ", "\n")
        return textwrap.indent(comment(f"{OPTIONAL}\n\n{unindented};"), "    ")
    documented = textwrap.indent(comment(function.doc), "    ") + "\n" if function.doc else ""
    return documented + _cxx_failing(head, used, function.name)


def _cxx_failing(head: str, used: Sequence[str], name: str) -> str:
    body = f'{_unused(used, " " * 8)}        throw std::logic_error("{unwritten(name)}");'
    return f"    {head}\n    {{\n{body}\n    }}"


def rust_stubs(contracts: Sequence[Contract]) -> str:
    """Types for handles and iterators, then the traits of the contracts implemented for `Plugin`, in Rust."""
    names = ClassNames()
    blocks: list[str] = []
    for owner, handle in owners(contracts):
        own: list[str] = []
        for function in functions(owner, handle=handle):
            if isinstance(function.result, IteratorOf) and not function.optional:
                blocks.append(_rust_iterator(names.iterator(function), function))
            own.append(_rust_method(function))
        target, trait = "Plugin", "Provides"
        if handle:
            target, trait = names.handle(owner), "Handle"
            documented = textwrap.indent(f"The handle {owner.id}.", "/// ")
            blocks.append(f"{documented}\n#[allow(dead_code)] // until a method answers one\nstruct {target};")
        inside = "\n" + "\n\n".join(own) + "\n" if own else ""
        blocks.append(f"impl {owner.prefix}::{trait} for {target} {{{inside}}}")
    return "\n\n".join(blocks)


def _rust_iterator(name: str, function: Function) -> str:
    following, _ = iterator_functions(function)
    item = rust.value_type(following)
    head = f"    fn next(&mut self, ctx: &mut Context) -> Result<Option<{item}>>"
    return (
        f"/// What {function.name} answers, one item at a time.\n"
        f"#[allow(dead_code)] // until {function.name} answers one\n"
        f"struct {name};\n\n"
        f"impl Items for {name} {{\n    type Item = {item};\n\n{_rust_failing(head, ['ctx'], following.name)}\n}}"
    )


def _rust_method(function: Function) -> str:
    name, parameters, answer = rust.method_parts(function)
    head = folded(f"    fn {name}(", ["&self", *parameters], f") -> {answer}")
    if function.optional:
        lines = [*textwrap.wrap(OPTIONAL, WIDTH - 8), *f"{head};".replace("\n    ", "\n").strip().split("\n")]
        return "\n".join(f"    // {line}" for line in lines)
    documented = "".join(f"{line}\n" for line in rust.documented(function.doc, "    "))
    return documented + _rust_failing(head, [p.partition(":")[0] for p in parameters], function.name)


def _rust_failing(head: str, used: Sequence[str], name: str) -> str:
    unused = used[0] if len(used) == 1 else f"({', '.join(used)})"
    return f'{head} {{\n        let _ = {unused};\n        Err("{unwritten(name)}".into())\n    }}'


def packed(head: str, parameters: Sequence[str], tail: str) -> str:
    """A head of a function as C has it: as many parameters a line as fit, below one another."""
    lines, line = [], head
    for place, parameter in enumerate(parameters):
        text = parameter + (tail if place == len(parameters) - 1 else ",")
        gap = "" if line.endswith("(") else " "
        if gap and len(line) + len(gap) + len(text) > WIDTH:
            lines.append(line)
            line, gap = " " * len(head), ""
        line += gap + text
    return "\n".join([*lines, line if parameters else head + tail])


def folded(head: str, parameters: Sequence[str], tail: str) -> str:
    """A head of a function as Rust and Python have it: in one line, or with a line for each parameter."""
    line = f"{head}{', '.join(parameters)}{tail}"
    if len(line) <= WIDTH:
        return line
    indent = " " * (len(head) - len(head.lstrip()))
    return "\n".join([head, *(f"{indent}    {p}," for p in parameters), f"{indent}{tail}"])
