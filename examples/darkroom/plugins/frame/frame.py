"""Puts a frame of one shade around a picture, opaque where the picture has an alpha channel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from darkroom_contracts import Progress

if TYPE_CHECKING:
    from darkroom_contracts import Picture

    from latebind.plugin import PluginContext


class Frame:
    """The filter."""

    def __init__(self, context: PluginContext) -> None:
        self._width = int(str(context.config["width"]))
        self._shade = int(str(context.config["shade"]))
        self._progress = context.service(Progress)

    def apply(self, picture: Picture) -> Picture:
        """The picture in its frame."""
        if picture.width * picture.height * picture.channels != len(picture.pixels) or picture.channels not in range(
            1, 5
        ):
            raise ValueError("the pixels are not as many as width, height and channels say")
        alpha = picture.channels % 2 == 0
        pixel = bytes([self._shade] * (picture.channels - alpha)) + b"\xff" * alpha
        wide, stride = picture.width + 2 * self._width, picture.width * picture.channels
        edge, side = pixel * wide * self._width, pixel * self._width
        rows = [picture.pixels[at : at + stride] for at in range(0, len(picture.pixels), stride or 1)]
        pixels = edge + b"".join(side + row + side for row in rows) + edge
        self._progress.step(picture.name, "framed")
        return replace(picture, width=wide, height=picture.height + 2 * self._width, pixels=pixels)
