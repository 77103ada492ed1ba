"""Pictures and text on them: what one library writes another one reads."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest

from real.calls import callback, number, work_with

WIDTH, HEIGHT = 64, 48
PIXELS = bytes(value for y in range(HEIGHT) for x in range(WIDTH) for value in (4 * x, 5 * y, 128))


def test_png_writes_a_picture(tmp_path: Path) -> None:
    """The simplified interface, which uses setjmp and longjmp inside."""
    image = ctypes.create_string_buffer(struct.pack("<QIIIII", 0, 1, WIDTH, HEIGHT, 2, 0), 104)
    path = tmp_path / "picture.png"
    with work_with("libpng16.so.16", "libpng16-16", """
        int png_image_write_to_file(void *, const char *, int, const char *, int, void *)
        int png_image_begin_read_from_file(void *, const char *)
        int png_image_finish_read(void *, void *, void *, int, void *)
    """) as p:  # fmt: skip
        assert p.png_image_write_to_file(image, str(path), 0, PIXELS, 3 * WIDTH, None) == 1
        back, image = bytearray(len(PIXELS)), ctypes.create_string_buffer(struct.pack("<QI", 0, 1), 104)
        assert p.png_image_begin_read_from_file(image, str(path)) == 1
        assert p.png_image_finish_read(image, None, back, 3 * WIDTH, None) == 1
        assert back == PIXELS
        path.write_bytes(path.read_bytes()[:100])  # cut off: the error comes by longjmp
        image = ctypes.create_string_buffer(struct.pack("<QI", 0, 1), 104)
        assert p.png_image_begin_read_from_file(image, str(path)) == 1
        assert p.png_image_finish_read(image, None, back, 3 * WIDTH, None) == 0


@pytest.mark.slow
def test_jpeg_keeps_what_it_should() -> None:
    with work_with("libturbojpeg.so.0", "libturbojpeg0", """
        void *tjInitCompress(void)
        void *tjInitDecompress(void)
        int tjCompress2(void *, const char *, int, int, int, int, void *, void *, int, int, int)
        int tjDecompress2(void *, void *, unsigned long, void *, int, int, int, int, int)
        int tjDestroy(void *)
    """) as j:  # fmt: skip
        out, size, back = bytearray(8), bytearray(8), bytearray(len(PIXELS))
        packer, reader = j.tjInitCompress(), j.tjInitDecompress()
        assert j.tjCompress2(packer, PIXELS, WIDTH, 0, HEIGHT, 0, out, size, 0, 100, 0) == 0
        assert ctypes.string_at(number(out), 2) == b"\xff\xd8"
        assert j.tjDecompress2(reader, number(out), number(size), back, WIDTH, 0, HEIGHT, 0, 0) == 0
        assert max(abs(a - b) for a, b in zip(back, PIXELS, strict=True)) < 12
        for handle in (packer, reader):
            j.tjDestroy(handle)


@pytest.mark.slow
def test_webp_without_loss() -> None:
    with work_with("libwebp.so.7", "libwebp7", """
        size_t WebPEncodeLosslessRGB(const char *, int, int, int, void *)
        void *WebPDecodeRGB(void *, size_t, void *, void *)
        void WebPFree(void *)
    """) as w:  # fmt: skip
        out, width, height = bytearray(8), bytearray(4), bytearray(4)
        size = w.WebPEncodeLosslessRGB(PIXELS, WIDTH, HEIGHT, 3 * WIDTH, out)
        back = w.WebPDecodeRGB(number(out), size, width, height)
        assert (number(width, 0, 4), number(height, 0, 4)) == (WIDTH, HEIGHT)
        assert ctypes.string_at(back, len(PIXELS)) == PIXELS
        w.WebPFree(back)
        w.WebPFree(number(out))


@pytest.mark.slow
def test_tiff_writes_and_reads(tmp_path: Path) -> None:
    path = str(tmp_path / "picture.tif")
    with work_with("libtiff.so.6", "libtiff6", """
        void *TIFFOpen(const char *, const char *)
        int TIFFSetField(void *, uint32_t, int)
        ssize_t TIFFWriteEncodedStrip(void *, uint32_t, void *, ssize_t)
        ssize_t TIFFReadEncodedStrip(void *, uint32_t, void *, ssize_t)
        void TIFFClose(void *)
    """) as t:  # fmt: skip
        file = t.TIFFOpen(path, "w")
        fields = {256: WIDTH, 257: HEIGHT, 258: 8, 259: 5, 262: 2, 277: 3, 278: HEIGHT, 284: 1}  # 259: LZW
        assert all(t.TIFFSetField(file, tag, value) == 1 for tag, value in fields.items())
        assert t.TIFFWriteEncodedStrip(file, 0, bytearray(PIXELS), len(PIXELS)) == len(PIXELS)
        t.TIFFClose(file)
        file, back = t.TIFFOpen(path, "r"), bytearray(len(PIXELS))
        assert t.TIFFReadEncodedStrip(file, 0, back, -1) == len(PIXELS)
        assert back == PIXELS
        t.TIFFClose(file)


@pytest.mark.slow
def test_freetype_draws_a_letter() -> None:
    font = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
    if not Path(font).exists():
        pytest.skip("DejaVuSans.ttf is missing; apt install fonts-dejavu-core")
    with work_with("libfreetype.so.6", "libfreetype6", """
        int FT_Init_FreeType(void *)
        int FT_New_Face(void *, const char *, long, void *)
        int FT_Set_Pixel_Sizes(void *, unsigned, unsigned)
        int FT_Load_Char(void *, unsigned long, int)
        int FT_Done_FreeType(void *)
    """) as f:  # fmt: skip
        library, face = bytearray(8), bytearray(8)
        assert f.FT_Init_FreeType(library) == 0
        assert f.FT_New_Face(number(library), font, 0, face) == 0
        assert f.FT_Set_Pixel_Sizes(number(face), 0, 32) == 0
        assert f.FT_Load_Char(number(face), ord("I"), 4) == 0  # FT_LOAD_RENDER
        slot = number(ctypes.string_at(number(face) + 152, 8))  # FT_FaceRec.glyph
        rows, width, _pitch, _, buffer = struct.unpack(
            "<IIiIQ", ctypes.string_at(slot + 152, 24)
        )  # FT_GlyphSlotRec.bitmap
        assert rows > 3 * width  # a capital I is tall and narrow
        assert max(ctypes.string_at(buffer, rows * width)) == 255
        assert f.FT_Done_FreeType(number(library)) == 0


@pytest.mark.slow
def test_pango_and_cairo_draw_text() -> None:
    """A closure of two dozen libraries: GObject types, fontconfig's files, HarfBuzz, and a callback for the result."""
    cairo_names = """
        void *cairo_image_surface_create(int, int, int)
        void *cairo_create(void *)
        void cairo_set_source_rgb(void *, double, double, double)
        void cairo_paint(void *)
        int cairo_surface_write_to_png_stream(void *, void *, void *)
        void *cairo_image_surface_get_data(void *)
        void cairo_surface_flush(void *)
        void cairo_destroy(void *)
        void cairo_surface_destroy(void *)
        void *pango_cairo_create_layout(void *)
        void pango_layout_set_text(void *, const char *, int)
        void pango_layout_get_pixel_size(void *, void *, void *)
        void pango_cairo_show_layout(void *, void *)
        void g_object_unref(void *)
    """
    with work_with("libpangocairo-1.0.so.0", "libpangocairo-1.0-0", cairo_names) as c:
        surface = c.cairo_image_surface_create(0, 200, 50)
        context = c.cairo_create(surface)
        c.cairo_set_source_rgb(context, 1.0, 1.0, 1.0)
        c.cairo_paint(context)
        c.cairo_set_source_rgb(context, 0.0, 0.0, 0.0)
        layout = c.pango_cairo_create_layout(context)
        c.pango_layout_set_text(layout, "late binding", -1)
        width, height = bytearray(4), bytearray(4)
        c.pango_layout_get_pixel_size(layout, width, height)
        assert number(width, 0, 4) > number(height, 0, 4) > 5
        c.pango_cairo_show_layout(context, layout)
        c.cairo_surface_flush(surface)
        pixels = ctypes.string_at(c.cairo_image_surface_get_data(surface), 4 * 200 * 50)
        assert 50 < sum(pixels[at] < 128 for at in range(0, len(pixels), 4)) < 5000
        parts: list[bytes] = []

        def write(_closure: object, data: int, length: int) -> int:
            parts.append(ctypes.string_at(data, length))
            return 0

        receive = callback("int write(void *, void *, unsigned)", write)
        assert c.cairo_surface_write_to_png_stream(surface, receive, None) == 0
        assert b"".join(parts).startswith(b"\x89PNG")
        c.g_object_unref(layout)
        c.cairo_destroy(context)
        c.cairo_surface_destroy(surface)
