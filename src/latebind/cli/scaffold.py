"""What `latebind plugin new` writes: the smallest plugin in a language that builds, passes its check and its tests.

The files are those of `templates/common`, of `templates/native` for compiled languages, and of the language's own
folder, where `@ID@` and the like stand for what is known of the plugin.
"""

from __future__ import annotations

import keyword
import os
import re
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from latebind.contracts import symbol_prefix
from latebind.errors import SystemFailure, Unsupported

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Language:
    """A language that plugins can be started in. `folders` of templates: what a later one has replaces the same."""

    title: str
    source: str
    folders: tuple[str, ...]
    reserved: frozenset[str] = frozenset()
    """Words that cannot be part of an id, since they become names of the language."""


# ISO/IEC 14882:2017 [lex.key] and [lex.digraph]; the C++ header makes a namespace of each word of the id.
_CXX_KEYWORDS: Final = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
    const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit export extern false
    float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
    protected public register reinterpret_cast return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
    while xor xor_eq""".split()
)

LANGUAGES: Final[Mapping[str, Language]] = {
    "c": Language("C", "plugin.c", ("common", "native", "c")),
    "c++": Language("C++", "plugin.cpp", ("common", "native", "cxx"), _CXX_KEYWORDS),
    "rust": Language("Rust", "lib.rs", ("common", "native", "rust")),
    "python": Language("Python", "plugin.py", ("common", "python")),
}

_TEMPLATES: Final = os.path.join(os.path.dirname(__file__), "templates")
_SHARED_RULES: Final = "targets.mk"  # what the Makefiles of compiled languages end with


def write_plugin(folder: str, identifier: str, language: str = "c") -> list[str]:
    """Write the files of a new plugin into `folder`, which must not exist or be empty; returns their paths.

    All of them or none. Raises Unsupported for an id that cannot be one or a folder with something in it,
    SystemFailure if the folder cannot be written.
    """
    chosen = LANGUAGES[language]
    names = _names(identifier, chosen)
    texts = {_name(name): _filled(text, names) for name, text in _templates(chosen).items()}
    with ExitStack() as undo:
        try:
            if not os.path.isdir(folder):
                os.makedirs(folder)
                undo.callback(_remove, os.rmdir, folder)
            if os.listdir(folder):
                raise Unsupported(folder, "there is something in it already", "name a new folder")
            written = []
            for name, text in texts.items():
                path = os.path.join(folder, name)
                with open(path, "x", encoding="utf-8") as file:
                    undo.callback(_remove, os.unlink, path)
                    file.write(text)
                written.append(path)
        except OSError as error:
            raise SystemFailure("write", error.errno or 0, folder) from error
        undo.pop_all()
    return written


def default_id(folder: str) -> str:
    """The id of a plugin that is only given a folder: `example.` and the folder's name."""
    return "example." + os.path.basename(os.path.abspath(folder)).lower().replace("-", "_")


def _names(identifier: str, language: Language) -> dict[str, str]:
    """What stands for each placeholder. Raises Unsupported for an id of which these cannot be made."""
    what = f"the id {identifier!r}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", identifier):
        raise Unsupported(what, "an id is lower-case words with dots between", "give one: --id acme.greeter")
    words = identifier.split(".")
    name = "".join(word.capitalize() for word in words[-1].split("_"))
    taken = sorted(language.reserved.intersection(words)) or [name] * keyword.iskeyword(name)
    if taken:
        owner = "Python" if taken == [name] else language.title
        raise Unsupported(what, f"{taken[0]} is a word of {owner}", "give another: --id acme.greeter")
    prefix = symbol_prefix(identifier)
    build = "    make          # write the bindings of the contract, compile\n" if "native" in language.folders else ""
    return {
        "ID": identifier,
        "NAME": name,
        "PREFIX": prefix,
        "NAMESPACE": "::".join(words),
        "LIBRARY": f"lib{prefix}.so",
        "LANGUAGE": language.title,
        "SOURCE": language.source,
        "BUILD": build,
    }


def _templates(language: Language) -> dict[str, str]:
    """The texts by the names of their files."""
    found: dict[str, str] = {}
    for folder in language.folders:
        place = os.path.join(_TEMPLATES, folder)
        for name in sorted(os.listdir(place)):
            with open(os.path.join(place, name), encoding="utf-8") as file:
                found[name.removesuffix(".in")] = file.read()
    found["Makefile"] += found.pop(_SHARED_RULES, "")
    return found


def _name(template: str) -> str:
    return ".gitignore" if template == "gitignore" else template


def _filled(text: str, names: Mapping[str, str]) -> str:
    """A KeyError would be a mistake in a template."""
    return re.sub("@([A-Z]+)@", lambda found: names[found[1]], text)


def _remove(remove: object, path: str) -> None:
    """Undo one step; the failure that led here is the one to tell."""
    assert callable(remove)
    with suppress(OSError):
        remove(path)
