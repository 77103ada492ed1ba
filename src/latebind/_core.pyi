from collections.abc import Sequence
from typing import TypeAlias, final

_Buffer: TypeAlias = bytes | bytearray | memoryview
_Match: TypeAlias = tuple[int, int, int, int, int, int, int]
_Row: TypeAlias = tuple[int, int, str, str | None, int, int, _Match]

@final
class SymbolTable:
    def __new__(
        cls,
        data: object,
        is64: bool,
        little: bool,
        tables: tuple[int, int, int, int, int, int, int, int, int, int],
    ) -> SymbolTable: ...
    def bind(self, requests: list[tuple[int, int]], scope: tuple[SymbolTable, ...]) -> list[_Row]: ...
    def find(self, name: str, version: str | None = None) -> _Match | None: ...
    def references(self, tables: tuple[tuple[int, int, bool], ...], relative: int) -> list[tuple[int, int]]: ...

@final
class Object:
    base: int
    start: int
    span: int
    tls_module: int
    tls_offset: int | None
    def initialize(self) -> None: ...
    def finalize(self) -> None: ...
    def unmap(self) -> None: ...

class ExecuteError(Exception):
    code: str
    object: int
    offset: int
    symbol: int
    errno: int
    detail: str

def execute(
    plan: _Buffer, sources: Sequence[int | _Buffer | tuple[int, int, int | None]], hooks: Sequence[int]
) -> tuple[Object | None, ...]: ...
def system_open(path: str) -> int: ...
def system_close(handle: int) -> None: ...
def link_map() -> list[tuple[str, int, int]]: ...
def tls_of(base: int) -> tuple[int, int | None]: ...
def call_resolver(address: int) -> int: ...
