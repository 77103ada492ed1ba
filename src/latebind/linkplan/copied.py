"""Which classes of C++ are passed by the address of a copy that the class's own code makes.

The Itanium C++ ABI (3.1.1, "non-trivial for the purposes of calls") says so of classes with a copy or move constructor,
or a destructor, that is not trivial. Debug information says it in one word where the compiler writes DWARF 5's
`DW_AT_calling_convention` of a type (clang does); otherwise it is told from the members, as the ABI does.
"""

from __future__ import annotations

from typing import Any, Final

_PASS_BY_REFERENCE: Final = 4  # DWARF 5, 7.15
_PASS_BY_VALUE: Final = 5
_CLASSES: Final = {"DW_TAG_class_type", "DW_TAG_structure_type", "DW_TAG_union_type"}
_TRANSPARENT: Final = {"DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type", "DW_TAG_array_type"}
_REFERENCES: Final = {"DW_TAG_reference_type", "DW_TAG_rvalue_reference_type"}
_DEEPEST: Final = 60


def is_passed_by_reference(entry: Any, depth: int = 0) -> bool:
    """Whether a value of the class that the DIE `entry` defines is passed so."""
    said = entry.attributes.get("DW_AT_calling_convention")
    if said is not None and said.value in {_PASS_BY_VALUE, _PASS_BY_REFERENCE}:
        return bool(said.value == _PASS_BY_REFERENCE)
    if entry.tag not in _CLASSES or depth > _DEEPEST:
        return False
    return any(_is_telling(child, entry, depth) for child in entry.iter_children())


def _is_telling(child: Any, entry: Any, depth: int) -> bool:
    if child.tag == "DW_TAG_subprogram":
        return _is_virtual(child) or (_copies_or_ends(child, entry) and "DW_AT_defaulted" not in child.attributes)
    if child.tag == "DW_TAG_inheritance" and _is_virtual(child):
        return True
    if child.tag not in {"DW_TAG_inheritance", "DW_TAG_member"} or "DW_AT_external" in child.attributes:
        return False
    inner = _target(child)
    return inner is not None and inner.offset != entry.offset and is_passed_by_reference(inner, depth + 1)


def _is_virtual(entry: Any) -> bool:
    found = entry.attributes.get("DW_AT_virtuality")
    return found is not None and bool(found.value)


def _copies_or_ends(function: Any, entry: Any) -> bool:
    """Whether a member function is the destructor, or a constructor from a reference to its own class."""
    name = _name(function)
    own = _name(entry).partition("<")[0]
    if name == f"~{own}":
        return True
    if name != own:
        return False
    parameters = [c for c in function.iter_children() if c.tag == "DW_TAG_formal_parameter"]
    if len(parameters) < 2 or "DW_AT_type" not in parameters[1].attributes:  # the first one is `this`
        return False
    reference = parameters[1].get_DIE_from_attribute("DW_AT_type")
    target = _target(reference) if reference.tag in _REFERENCES else None
    return target is not None and target.offset == entry.offset


def _target(entry: Any) -> Any:
    """The type of a member, past its typedefs and qualifiers and to an array's elements; None for void."""
    for _ in range(_DEEPEST):
        if "DW_AT_type" not in entry.attributes:
            return None
        entry = entry.get_DIE_from_attribute("DW_AT_type")
        if entry.tag not in _TRANSPARENT:
            return entry
    return None


def _name(entry: Any) -> str:
    found = entry.attributes.get("DW_AT_name")
    return str(found.value.decode("utf-8", "surrogateescape")) if found is not None else ""
