"""What the darkroom is made of: the contracts between the program and its plugins, and the services they may use."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from latebind import UInt32, contract


@dataclass
class Picture:
    """A picture in memory: rows of pixels from the top, 8 bits a channel, without padding.

    `channels` is 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha.
    """

    name: str
    width: UInt32
    height: UInt32
    channels: UInt32
    pixels: bytes


@dataclass
class Entry:
    """One picture in the catalog: `size` bytes of the developed file, `packed` of its negative."""

    name: str
    width: UInt32
    height: UInt32
    size: int
    packed: int


@dataclass
class Totals:
    """What a packer has done so far, in this build and those before it: files, bytes in, bytes out."""

    files: int
    taken: int
    given: int


@contract("darkroom.codec", version="1.0.0")
class Codec(Protocol):
    """Reads and writes a file format."""

    def decode(self, name: str, data: bytes) -> Picture:
        """The picture in a file's bytes."""
        ...

    def encode(self, picture: Picture) -> bytes:
        """A file's bytes of a picture."""
        ...


@contract("darkroom.filter", version="1.0.0")
class Filter(Protocol):
    """Makes another picture of a picture. Several take their turns, in the order of their manifests' priorities."""

    def apply(self, picture: Picture) -> Picture:
        """The picture, changed."""
        ...


@contract("darkroom.packer", version="1.0.0")
class Packer(Protocol):
    """Compresses bytes."""

    def suffix(self) -> str:
        """What the name of a packed file ends with."""
        ...

    def pack(self, data: bytes) -> bytes:
        """The bytes, compressed."""
        ...

    def unpack(self, data: bytes) -> bytes:
        """What was packed."""
        ...

    def totals(self) -> Totals:
        """What was packed so far."""
        ...


@contract("darkroom.catalog", version="1.0.0")
class Catalog(Protocol):
    """Remembers which pictures there are."""

    def add(self, entry: Entry) -> int:
        """Add a picture, or replace the one of that name; how many there are."""
        ...

    def find(self, pattern: str = "*") -> Iterator[Entry]:
        """The pictures whose names match a shell pattern, by name."""
        ...


@contract("host.log", version="1.0.0")
class Log(Protocol):
    """Writes lines for the operator."""

    def info(self, text: str) -> None:
        """Write one line."""
        ...


@contract("host.progress", version="1.0.0")
class Progress(Protocol):
    """Shows how far the work on a picture is."""

    def step(self, picture: str, what: str) -> None:
        """Something was done to a picture."""
        ...
