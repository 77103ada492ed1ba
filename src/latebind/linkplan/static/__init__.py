"""Relocatable objects and archives → a shared object, in memory: what `ld -shared` does, without `ld`.

    members ─▶ relocatable ─▶ symbols ─▶ slots ─▶ layout ─▶ apply ─▶ image

Bytes in, bytes out: the result is an ordinary ELF file that `latebind.read`, readelf or ld.so understand, and it is
loaded like every other library. References to what the inputs define are bound here, for good, as in a static link;
what they leave undefined is bound when the result is loaded.
"""

from latebind.linkplan.static.link import link

__all__ = ["link"]
