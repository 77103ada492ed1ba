"""Compressors give back what they were given, and Python's own modules understand what they write."""

from __future__ import annotations

import bz2
import ctypes
import lzma
import random
import zlib

import pytest

from real.calls import number, work_with

DATA = b"".join(random.Random(7).choice([b"late ", b"binding ", b"plan ", b"load "]) for _ in range(20_000))


def test_zlib() -> None:
    with work_with("libz.so.1", "zlib1g", """
        unsigned long compressBound(unsigned long)
        int compress2(void *, void *, const char *, unsigned long, int)
        int uncompress(void *, void *, const char *, unsigned long)
    """) as z:  # fmt: skip
        room = z.compressBound(len(DATA))
        out, size = bytearray(room), bytearray(room.to_bytes(8, "little"))
        assert z.compress2(out, size, DATA, len(DATA), 9) == 0
        packed = bytes(out[: number(size)])
        assert zlib.decompress(packed) == DATA
        back, size = bytearray(len(DATA)), bytearray(len(DATA).to_bytes(8, "little"))
        assert z.uncompress(back, size, packed, len(packed)) == 0
        assert back == DATA


def test_zstd() -> None:
    with work_with("libzstd.so.1", "libzstd1", """
        size_t ZSTD_compressBound(size_t)
        size_t ZSTD_compress(void *, size_t, const char *, size_t, int)
        size_t ZSTD_decompress(void *, size_t, const char *, size_t)
        unsigned ZSTD_isError(size_t)
        const char *ZSTD_getErrorName(size_t)
    """) as z:  # fmt: skip
        out, back = bytearray(z.ZSTD_compressBound(len(DATA))), bytearray(len(DATA))
        size = z.ZSTD_compress(out, len(out), DATA, len(DATA), 19)
        assert size < len(DATA) // 3
        assert z.ZSTD_decompress(back, len(back), bytes(out[:size]), size) == len(DATA)
        assert back == DATA
        failed = z.ZSTD_decompress(back, len(back), b"nonsense", 8)
        assert z.ZSTD_isError(failed)
        assert z.ZSTD_getErrorName(failed)


def test_zstd_with_threads() -> None:
    """Its own pool of threads: each uses thread-local storage and stack protection of our process."""
    with work_with("libzstd.so.1", "libzstd1", """
        void *ZSTD_createCCtx(void)
        size_t ZSTD_CCtx_setParameter(void *, int, int)
        size_t ZSTD_compress2(void *, void *, size_t, const char *, size_t)
        size_t ZSTD_decompress(void *, size_t, const char *, size_t)
        size_t ZSTD_freeCCtx(void *)
    """) as z:  # fmt: skip
        context, data = z.ZSTD_createCCtx(), DATA * 40
        assert z.ZSTD_CCtx_setParameter(context, 400, 3) < 100  # ZSTD_c_nbWorkers
        out, back = bytearray(len(data)), bytearray(len(data))
        size = z.ZSTD_compress2(context, out, len(out), data, len(data))
        z.ZSTD_freeCCtx(context)
        assert z.ZSTD_decompress(back, len(back), bytes(out[:size]), size) == len(data)
        assert back == data


def test_bzip2() -> None:
    with work_with("libbz2.so.1.0", "libbz2-1.0", """
        int BZ2_bzBuffToBuffCompress(void *, void *, const char *, unsigned, int, int, int)
    """) as z:  # fmt: skip
        out, size = bytearray(len(DATA)), bytearray(len(DATA).to_bytes(4, "little"))
        assert z.BZ2_bzBuffToBuffCompress(out, size, DATA, len(DATA), 9, 0, 0) == 0
        assert bz2.decompress(bytes(out[: number(size, 0, 4)])) == DATA


def test_xz() -> None:
    with work_with("liblzma.so.5", "liblzma5", """
        int lzma_easy_buffer_encode(uint32_t, int, void *, const char *, size_t, void *, void *, size_t)
    """) as z:  # fmt: skip
        out, position = bytearray(len(DATA)), bytearray(8)
        assert z.lzma_easy_buffer_encode(6, 4, None, DATA, len(DATA), out, position, len(out)) == 0
        assert lzma.decompress(bytes(out[: number(position)])) == DATA


@pytest.mark.slow
def test_lz4() -> None:
    with work_with("liblz4.so.1", "liblz4-1", """
        int LZ4_compressBound(int)
        int LZ4_compress_default(const char *, void *, int, int)
        int LZ4_decompress_safe(const char *, void *, int, int)
    """) as z:  # fmt: skip
        out, back = bytearray(z.LZ4_compressBound(len(DATA))), bytearray(len(DATA))
        size = z.LZ4_compress_default(DATA, out, len(DATA), len(out))
        assert z.LZ4_decompress_safe(bytes(out[:size]), back, size, len(back)) == len(DATA)
        assert back == DATA


@pytest.mark.slow
def test_brotli() -> None:
    with (
        work_with("libbrotlienc.so.1", "libbrotli1", """
            int BrotliEncoderCompress(int, int, int, size_t, const char *, void *, void *)
        """) as encoder,
        work_with("libbrotlidec.so.1", "libbrotli1", """
            int BrotliDecoderDecompress(size_t, const char *, void *, void *)
        """) as decoder,
    ):  # fmt: skip
        out, size = bytearray(len(DATA)), bytearray(len(DATA).to_bytes(8, "little"))
        assert encoder.BrotliEncoderCompress(9, 22, 0, len(DATA), DATA, size, out) == 1
        packed = bytes(out[: number(size)])
        back, size = bytearray(len(DATA)), bytearray(len(DATA).to_bytes(8, "little"))
        assert decoder.BrotliDecoderDecompress(len(packed), packed, size, back) == 1
        assert back == DATA


@pytest.mark.slow
def test_snappy() -> None:
    """C++ behind a C interface."""
    with work_with("libsnappy.so.1", "libsnappy1v5", """
        size_t snappy_max_compressed_length(size_t)
        int snappy_compress(const char *, size_t, void *, void *)
        int snappy_uncompress(const char *, size_t, void *, void *)
    """) as z:  # fmt: skip
        room = z.snappy_max_compressed_length(len(DATA))
        out, size = bytearray(room), bytearray(room.to_bytes(8, "little"))
        assert z.snappy_compress(DATA, len(DATA), out, size) == 0
        packed = bytes(out[: number(size)])
        back, size = bytearray(len(DATA)), bytearray(len(DATA).to_bytes(8, "little"))
        assert z.snappy_uncompress(packed, len(packed), back, size) == 0
        assert back == DATA


@pytest.mark.slow
def test_an_archive_in_memory() -> None:
    """Libarchive writes a tar file into our buffer and reads it back."""
    with work_with("libarchive.so.13", "libarchive13", """
        void *archive_write_new(void)
        int archive_write_set_format_pax_restricted(void *)
        int archive_write_add_filter_gzip(void *)
        int archive_write_open_memory(void *, void *, size_t, void *)
        void *archive_entry_new(void)
        void archive_entry_set_pathname(void *, const char *)
        void archive_entry_set_size(void *, int64_t)
        void archive_entry_set_filetype(void *, unsigned)
        void archive_entry_set_perm(void *, unsigned)
        int archive_write_header(void *, void *)
        ssize_t archive_write_data(void *, const char *, size_t)
        int archive_write_free(void *)
        void archive_entry_free(void *)
        void *archive_read_new(void)
        int archive_read_support_filter_all(void *)
        int archive_read_support_format_all(void *)
        int archive_read_open_memory(void *, const char *, size_t)
        int archive_read_next_header(void *, void *)
        const char *archive_entry_pathname(void *)
        ssize_t archive_read_data(void *, void *, size_t)
        int archive_read_free(void *)
    """) as a:  # fmt: skip
        buffer, used = ctypes.create_string_buffer(1 << 20), bytearray(8)
        writer, entry = a.archive_write_new(), a.archive_entry_new()
        assert a.archive_write_set_format_pax_restricted(writer) == 0
        assert a.archive_write_add_filter_gzip(writer) == 0
        assert a.archive_write_open_memory(writer, buffer, len(buffer), used) == 0
        a.archive_entry_set_pathname(entry, "folder/data.txt")
        a.archive_entry_set_size(entry, len(DATA))
        a.archive_entry_set_filetype(entry, 0o100000)
        a.archive_entry_set_perm(entry, 0o644)
        assert a.archive_write_header(writer, entry) == 0
        assert a.archive_write_data(writer, DATA, len(DATA)) == len(DATA)
        a.archive_write_free(writer)
        a.archive_entry_free(entry)
        packed = buffer.raw[: number(used)]
        assert packed[:2] == b"\x1f\x8b"
        reader, place, back = a.archive_read_new(), bytearray(8), bytearray(len(DATA))
        a.archive_read_support_filter_all(reader)
        a.archive_read_support_format_all(reader)
        assert a.archive_read_open_memory(reader, packed, len(packed)) == 0
        assert a.archive_read_next_header(reader, place) == 0
        assert a.archive_entry_pathname(number(place)) == b"folder/data.txt"
        assert a.archive_read_data(reader, back, len(back)) == len(DATA)
        assert back == DATA
        a.archive_read_free(reader)
