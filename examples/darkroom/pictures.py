"""Draws the sample pictures of `make run`, as PNG files (RFC 2083) written with nothing but zlib: no library of ours.

$ python pictures.py FOLDER
"""

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

WIDTH, HEIGHT = 160, 120


def png(width: int, height: int, channels: int, pixels: bytes) -> bytes:
    """A PNG file of 8 bits a channel: grey, grey and alpha, RGB, or RGB and alpha."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    stride = width * channels
    rows = b"".join(b"\0" + pixels[at : at + stride] for at in range(0, len(pixels), stride))
    header = struct.pack(">IIBBBBB", width, height, 8, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def mandelbrot() -> Iterator[int]:
    """The set in RGB."""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            c = complex(3 * x / WIDTH - 2.2, 2.4 * y / HEIGHT - 1.2)
            z, n = 0j, 0
            while abs(z) < 2 and n < 40:
                z, n = z * z + c, n + 1
            yield from (0, 0, 0) if n == 40 else (n * 6, 255 - n * 5, (n * 37) % 256)


def disc() -> Iterator[int]:
    """A red disc on a transparent ground, in RGB and alpha."""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            inside = (x - WIDTH / 2) ** 2 + (y - HEIGHT / 2) ** 2 < (HEIGHT / 3) ** 2
            yield from (220, 40, x % 256, 255) if inside else (0, 0, 0, 0)


def ramp() -> Iterator[int]:
    """All shades of grey."""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            yield (x * 255 // WIDTH + y) % 256


def main() -> None:
    """Draw them."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, channels, drawn in (("mandelbrot", 3, mandelbrot()), ("disc", 4, disc()), ("ramp", 1, ramp())):
        (folder / f"{name}.png").write_bytes(png(WIDTH, HEIGHT, channels, bytes(drawn)))


if __name__ == "__main__":
    main()
