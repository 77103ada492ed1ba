"""Bytes → what an ELF file says. One module per ELF concept; no I/O but reading, and nothing is executed.

`read` gives an `Elf`; `read_archive` and `read_member` open static archives, `read_process` looks into a process.
The types of the less common tables live in the modules of their concepts: `archive`, `core_file`, `gnu_property`,
`got`, `init_array`, `known_note`, `memory`, `plt`, `section_relocation`, `summary`, `symbolhash`, `table`, `version`.

The names are imported when they are first used (PEP 562): searching needs `summary` alone, and starts quickly.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from latebind.elf.dynamic import Dynamic, DynamicEntry
    from latebind.elf.file import Elf
    from latebind.elf.header import Header
    from latebind.elf.note import Note
    from latebind.elf.reading import read, read_archive, read_member, read_process
    from latebind.elf.relocation import Relocation
    from latebind.elf.section import Section
    from latebind.elf.segment import Segment
    from latebind.elf.symbol import Symbol

# Where each name lives. tests/test_public_surface.py holds this, the imports above and `__all__` together.
_HOME = {
    "Dynamic": "dynamic",
    "DynamicEntry": "dynamic",
    "Elf": "file",
    "Header": "header",
    "Note": "note",
    "Relocation": "relocation",
    "Section": "section",
    "Segment": "segment",
    "Symbol": "symbol",
    "read": "reading",
    "read_archive": "reading",
    "read_member": "reading",
    "read_process": "reading",
}

__all__ = [
    "Dynamic",
    "DynamicEntry",
    "Elf",
    "Header",
    "Note",
    "Relocation",
    "Section",
    "Segment",
    "Symbol",
    "read",
    "read_archive",
    "read_member",
    "read_process",
]


def __getattr__(name: str) -> object:
    """Import the name `name` from its module, and keep it. Raises AttributeError for any other name."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Also the names that are not imported yet."""
    return sorted({*globals(), *__all__})
