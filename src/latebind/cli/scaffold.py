"""What `latebind plugin new` writes: the smallest plugin in a language that builds, passes its check and its tests.

The files are those of `templates/common`, of `templates/native` for compiled languages, and of the language's own
folder, where `@ID@` and the like stand for what is known of the plugin. What it does is one of two: it greets, after a
contract of its own (`templates/greeting`), or it begins to implement contracts that are there already (`given.py`).
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
    from collections.abc import Mapping, Sequence

    from latebind.cli.given import Given


@dataclass(frozen=True, slots=True)
class Language:
    """A language that plugins can be started in. `folders` of templates: what a later one has replaces the same."""

    title: str
    source: str
    folders: tuple[str, ...]
    reserved: frozenset[str] = frozenset()
    """Words that cannot be part of an id, since they become names of the language."""
    capabilities: str = "capabilities: []"
    """That part of the manifest."""

    @property
    def compiled(self) -> bool:
        """Whether there is something to build."""
        return "native" in self.folders


@dataclass(frozen=True, slots=True)
class Agreed:
    """A contract that a new plugin has to do with: where its class is, from the plugin's folder."""

    file: str | None
    """The file in the folder; None for an installed module."""
    module: str
    name: str
    id: str
    version: str

    @property
    def place(self) -> str:
        """The class as FILE:CLASS."""
        return f"{self.file or self.module}:{self.name}"

    @property
    def prefix(self) -> str:
        """What its C names begin with."""
        return symbol_prefix(self.id)


# ISO/IEC 14882:2017 [lex.key] and [lex.digraph]; the C++ header makes a namespace of each word of the id.
_CXX_KEYWORDS: Final = frozenset(
    """alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
    const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit export extern false
    float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
    protected public register reinterpret_cast return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
    while xor xor_eq""".split()
)
_RUST_CAPABILITIES: Final = """\
# What Rust's standard library imports for its panics: they print a backtrace if RUST_BACKTRACE asks for one.
capabilities: [filesystem, environment, "system:call"]"""

LANGUAGES: Final[Mapping[str, Language]] = {
    "c": Language("C", "plugin.c", ("common", "native", "c")),
    "c++": Language("C++", "plugin.cpp", ("common", "native", "cxx"), _CXX_KEYWORDS),
    "rust": Language("Rust", "lib.rs", ("common", "native", "rust"), capabilities=_RUST_CAPABILITIES),
    "python": Language("Python", "plugin.py", ("common", "python")),
}

_TEMPLATES: Final = os.path.join(os.path.dirname(__file__), "templates")
_SHARED_RULES: Final = "targets.mk"  # what the Makefiles of compiled languages end with


def write_plugin(folder: str, identifier: str, language: str = "c", given: Given | None = None) -> list[str]:
    """Write the files of a new plugin into `folder`, which must not exist or be empty; returns their paths.

    All of them or none. With `given` it begins to implement those contracts, else it greets. Raises Unsupported for
    an id that cannot be one, a folder with something in it or contracts that do not go together, SystemFailure if the
    folder cannot be written.
    """
    chosen = LANGUAGES[language]
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", identifier):
        what = "an id is lower-case words with dots between"
        raise Unsupported(f"the id {identifier!r}", what, "give one: --id acme.greeter")
    if given is None:
        names = _greeting(identifier, chosen)
        texts = {"contract.py": _filled(_template("greeting", "contract.py"), names).encode()}
    else:
        given.check(language)
        names = _common(identifier, chosen, given.provides, given.requires) | given.names(language)
        about = _template("given", "changes") + _template("given", "copied" if given.files else "installed")
        names["CHANGES"] = _filled(about, names).rstrip("\n")
        texts = dict(given.files)
    for name, text in _templates(chosen).items():
        texts[_name(name)] = _filled(text, names).encode()
    return _write(folder, texts)


def _write(folder: str, texts: Mapping[str, bytes]) -> list[str]:
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
                with open(path, "xb") as file:
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


def _common(
    identifier: str, language: Language, provides: Sequence[Agreed], requires: Sequence[Agreed] = ()
) -> dict[str, str]:
    """What stands for the placeholders that every plugin fills alike."""
    library = f"lib{symbol_prefix(identifier)}.so"
    files = dict.fromkeys(one.file for one in (*provides, *requires) if one.file is not None)
    headers = _headers(language, provides, requires)
    build = "    make          # write the bindings of the contract, compile\n" if language.compiled else ""
    return {
        "ID": identifier,
        "LIBRARY": library,
        "ENTRY": library if language.compiled else "plugin:Plugin",
        "LANGUAGE": language.title,
        "SOURCE": language.source,
        "BUILD": build,
        "CAPABILITIES": language.capabilities,
        "PROVIDES": "".join(f"  - {{contract: {one.id}, version: {one.version}}}\n" for one in provides),
        "AGREED": ", ".join(f"`{name}`" for name in files or dict.fromkeys(one.module for one in provides)),
        "CONTRACTS": " ".join(one.place for one in provides),
        "SERVICES": "".join(f" {one.place}" for one in requires),
        "REQUIRED": "".join(f" --requires {one.place}" for one in requires),
        "FILES": "".join(f" {name}" for name in files),
        "HEADERS": " ".join(headers),
        "INCLUDES": "\n".join(f'#include "{header}"' for header in headers),
        "MADE": " and ".join(_made(headers)),
        "NOTES": "\n".join(
            f"LATEBIND_{macro}({one.prefix})"
            for macro, group in (("PROVIDES", provides), ("REQUIRES", requires))
            for one in group
        ),
        "BASES": ", ".join(f"public {'::'.join(one.id.split('.'))}::Plugin" for one in provides),
        "EXPORTS": "\n".join(f"LATEBIND_EXPORT_{one.prefix}(Implementation)" for one in provides),
    }


def _headers(language: Language, provides: Sequence[Agreed], requires: Sequence[Agreed]) -> list[str]:
    """What the plugin's source includes of what is made from the contracts."""
    if language.title == "Rust":
        return ["bindings.rs"]
    ending = ".hpp" if language.title == "C++" else ".h"
    return [*(one.prefix + ending for one in provides), *(f"{one.prefix}.h" for one in requires)]


def _made(headers: Sequence[str]) -> list[str]:
    """The headers, each of C++ with that of C which it includes."""
    return [one for name in headers for one in ([name[:-2], name] if name.endswith(".hpp") else [name])]


def _greeting(identifier: str, language: Language) -> dict[str, str]:
    """What stands for each placeholder of a plugin that greets. Raises Unsupported for an id that is not for it."""
    words = identifier.split(".")
    name = "".join(word.capitalize() for word in words[-1].split("_"))
    taken = sorted(language.reserved.intersection(words)) or [name] * keyword.iskeyword(name)
    if taken:
        owner = "Python" if taken == [name] else language.title
        what = f"{taken[0]} is a word of {owner}"
        raise Unsupported(f"the id {identifier!r}", what, "give another: --id acme.greeter")
    names = _common(identifier, language, [Agreed("contract.py", "contract", name, identifier, "0.1.0")]) | {
        "NAME": name,
        "PREFIX": symbol_prefix(identifier),
        "SUMMARY": "Greets",
        "CALL": "greet world",
        "MAKECALL": "greet world",
        "REQUIRES": "",
        "MODULES": "contract",
        "CLASSES": f"contract.{name}",
        "TOOLS": "from latebind.testing import PluginHarness\n",
        "OPENED": "",
        "ALLOWED": "",
        "USED": symbol_prefix(identifier),
        "TYPES": "Context, Result, State",
        "IMPORTS": "",
        "PARAMETERS": "",
        "KEEPING": "",
    }
    names["INCLUDES"] += "\n\n#include <string.h>" if language.title == "C" else ""
    for placeholder, template in {"BODY": language.source, "TESTS": "tests", "CHANGES": "changes"}.items():
        names[placeholder] = _filled(_template("greeting", template), names).rstrip("\n")
    return names


def _template(folder: str, name: str) -> str:
    with open(os.path.join(_TEMPLATES, folder, f"{name}.in"), encoding="utf-8") as file:
        return file.read()


def _templates(language: Language) -> dict[str, str]:
    """The texts by the names of their files."""
    found: dict[str, str] = {}
    for folder in language.folders:
        for name in sorted(os.listdir(os.path.join(_TEMPLATES, folder))):
            found[name.removesuffix(".in")] = _template(folder, name.removesuffix(".in"))
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
