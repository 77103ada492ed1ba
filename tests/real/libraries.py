"""Debian's libraries by what they answer to a simple question, for comparison with the system linker's copy.

One line each: the library's soname, the package that brings it, and the calls, each a C prototype with the arguments
to give. `make test` tries the first list, `make test-all` both.
"""

from __future__ import annotations

from typing import Any, NamedTuple

TEXT = b"late binding, since 1999"


class Asked(NamedTuple):
    """A library and what it is asked: pairs of a C prototype and the arguments."""

    soname: str
    package: str
    calls: tuple[tuple[str, tuple[Any, ...]], ...]


def ask(soname: str, package: str, *calls: Any) -> Asked:
    """``ask(soname, package, prototype, arguments, prototype, arguments, …)``."""
    return Asked(soname, package, tuple(zip(calls[::2], calls[1::2], strict=True)))


# `make system-packages` installs these.
FAST = (
    ask("libz.so.1", "zlib1g", "const char *zlibVersion(void)", (),
        "unsigned long crc32(unsigned long, const char *, unsigned)", (0, TEXT, len(TEXT))),
    ask("libbz2.so.1.0", "libbz2-1.0", "const char *BZ2_bzlibVersion(void)", ()),
    ask("liblzma.so.5", "liblzma5", "const char *lzma_version_string(void)", (),
        "uint64_t lzma_crc64(const char *, size_t, uint64_t)", (TEXT, len(TEXT), 0)),
    ask("libzstd.so.1", "libzstd1", "const char *ZSTD_versionString(void)", (), "size_t ZSTD_compressBound(size_t)", (999,)),
    ask("libsqlite3.so.0", "libsqlite3-0", "const char *sqlite3_sourceid(void)", (), "int sqlite3_threadsafe(void)", ()),
    ask("libexpat.so.1", "libexpat1", "const char *XML_ExpatVersion(void)", (), "const char *XML_ErrorString(int)", (3,)),
    ask("libxml2.so.2", "libxml2", "int xmlStrlen(const char *)", (TEXT,), "int xmlHasFeature(int)", (1,)),
    ask("libpng16.so.16", "libpng16-16", "unsigned png_access_version_number(void)", ()),
    ask("libcrypto.so.3", "libssl3", "unsigned long OpenSSL_version_num(void)", (), "const char *OpenSSL_version(int)", (0,)),
    ask("libssl.so.3", "libssl3", "const char *SSL_alert_type_string_long(int)", (256,)),
    ask("libpcre2-8.so.0", "libpcre2-8-0", "int pcre2_config_8(uint32_t, void *)", (11, None)),
    ask("libcurl.so.4", "libcurl4", "const char *curl_version(void)", (), "const char *curl_easy_strerror(int)", (7,)),
    ask("libglib-2.0.so.0", "libglib2.0-0", "const char *glib_check_version(unsigned, unsigned, unsigned)", (99, 0, 0),
        "unsigned g_str_hash(const char *)", (TEXT,)),
    ask("libgmp.so.10", "libgmp10", "unsigned long __gmpn_gcd_1(const void *, long, unsigned long)",
        ((5040).to_bytes(8, "little"), 1, 66)),
    ask("libLLVM-14.so.1", "libllvm14", "int LLVMIsMultithreaded(void)", (),
        "unsigned LLVMGetMDKindID(const char *, unsigned)", (b"tbaa", 4)),
)  # fmt: skip

# `make all-packages` installs these too.
SLOW = (
    ask("liblz4.so.1", "liblz4-1", "const char *LZ4_versionString(void)", (), "int LZ4_compressBound(int)", (1000,)),
    ask("libbrotlidec.so.1", "libbrotli1", "uint32_t BrotliDecoderVersion(void)", ()),
    ask("libbrotlienc.so.1", "libbrotli1", "uint32_t BrotliEncoderVersion(void)", (),
        "size_t BrotliEncoderMaxCompressedSize(size_t)", (5000,)),
    ask("libsnappy.so.1", "libsnappy1v5", "size_t snappy_max_compressed_length(size_t)", (5000,)),
    ask("liblzo2.so.2", "liblzo2-2", "const char *lzo_version_string(void)", ()),
    ask("libxslt.so.1", "libxslt1.1", "int xsltGetXIncludeDefault(void)", ()),
    ask("libjpeg.so.62", "libjpeg62-turbo", "int jpeg_quality_scaling(int)", (30,)),
    ask("libturbojpeg.so.0", "libturbojpeg0", "unsigned long tjBufSize(int, int, int)", (640, 480, 2)),
    ask("libtiff.so.6", "libtiff6", "const char *TIFFGetVersion(void)", ()),
    ask("libwebp.so.7", "libwebp7", "int WebPGetEncoderVersion(void)", ()),
    ask("libfreetype.so.6", "libfreetype6", "long FT_MulDiv(long, long, long)", (1000, 77, 9), "long FT_Sin(long)", (1 << 20,)),
    ask("libfontconfig.so.1", "libfontconfig1", "int FcGetVersion(void)", ()),
    ask("libcairo.so.2", "libcairo2", "const char *cairo_version_string(void)", (),
        "int cairo_format_stride_for_width(int, int)", (0, 77)),
    ask("libpixman-1.so.0", "libpixman-1-0", "const char *pixman_version_string(void)", ()),
    ask("libpango-1.0.so.0", "libpango-1.0-0", "const char *pango_version_string(void)", ()),
    ask("libharfbuzz.so.0", "libharfbuzz0b", "const char *hb_version_string(void)", ()),
    ask("libfribidi.so.0", "libfribidi0", "uint32_t fribidi_get_bidi_type(uint32_t)", (0x5D0,)),
    ask("liblcms2.so.2", "liblcms2-2", "int cmsGetEncodedCMMversion(void)", ()),
    ask("libopenjp2.so.7", "libopenjp2-7", "const char *opj_version(void)", ()),
    ask("libgif.so.7", "libgif7", "const char *GifErrorString(int)", (101,)),
    ask("libssh2.so.1", "libssh2-1", "const char *libssh2_version(int)", (0,)),
    ask("libyaml-0.so.2", "libyaml-0-2", "const char *yaml_get_version_string(void)", ()),
    ask("libarchive.so.13", "libarchive13", "const char *archive_version_details(void)", ()),
    ask("libmagic.so.1", "libmagic1", "int magic_version(void)", ()),
    ask("libncursesw.so.6", "libncursesw6", "const char *curses_version(void)", ()),
    ask("libhistory.so.8", "libreadline8", "int history_total_bytes(void)", ()),
    ask("libjansson.so.4", "libjansson4", "const char *jansson_version_str(void)", ()),
    ask("libjson-c.so.5", "libjson-c5", "const char *json_c_version(void)", ()),
    ask("libuv.so.1", "libuv1", "const char *uv_version_string(void)", (), "const char *uv_strerror(int)", (-2,)),
    ask("libevent-2.1.so.7", "libevent-2.1-7", "const char *event_get_version(void)", ()),
    ask("libnghttp2.so.14", "libnghttp2-14", "const char *nghttp2_strerror(int)", (-501,)),
    ask("libgsl.so.27", "libgsl27", "double gsl_sf_bessel_J0(double)", (2.5,), "double gsl_sf_gamma(double)", (4.5,)),
    ask("libgslcblas.so.0", "libgslcblas0", "int cblas_isamax(int, const void *, int)", (2, bytes(4) + b"\0\0\x80\x3f", 1)),
    ask("libfftw3.so.3", "libfftw3-double3", "int fftw_alignment_of(void *)", (4096,)),
    ask("libfftw3f.so.3", "libfftw3-single3", "int fftwf_alignment_of(void *)", (4096,)),
    ask("libsodium.so.23", "libsodium23", "const char *sodium_version_string(void)", (), "size_t crypto_box_seedbytes(void)", ()),
    ask("libgcrypt.so.20", "libgcrypt20", "const char *gcry_check_version(const char *)", (None,)),
    ask("libgnutls.so.30", "libgnutls30", "const char *gnutls_check_version(const char *)", (None,),
        "const char *gnutls_strerror(int)", (-9,)),
    ask("libnettle.so.8", "libnettle8", "int nettle_version_major(void)", (), "int nettle_version_minor(void)", ()),
    ask("libidn2.so.0", "libidn2-0", "const char *idn2_check_version(const char *)", (None,), "const char *idn2_strerror(int)", (-200,)),
    ask("libunistring.so.2", "libunistring2", "size_t u8_strlen(const char *)", (TEXT,)),
    ask("libpsl.so.5", "libpsl5", "const char *psl_get_version(void)", ()),
    ask("libmaxminddb.so.0", "libmaxminddb0", "const char *MMDB_lib_version(void)", (), "const char *MMDB_strerror(int)", (2,)),
    ask("libmbedcrypto.so.7", "libmbedcrypto7", "unsigned mbedtls_version_get_number(void)", ()),
    ask("libonig.so.5", "libonig5", "const char *onig_version(void)", ()),
    ask("libcjson.so.1", "libcjson1", "const char *cJSON_Version(void)", ()),
    ask("libmsgpackc.so.2", "libmsgpackc2", "const char *msgpack_version(void)", ()),
    ask("libzmq.so.5", "libzmq5", "const char *zmq_strerror(int)", (156384712,), "int zmq_has(const char *)", (b"ipc",)),
    ask("libuuid.so.1", "libuuid1", "int uuid_parse(const char *, void *)", (b"7d444840-9dc0-11d1-b245-5ffdce74fad2", bytearray(16))),
    ask("libblkid.so.1", "libblkid1", "int blkid_parse_version_string(const char *)", (b"2.38.1",)),
    ask("libmount.so.1", "libmount1", "int mnt_parse_version_string(const char *)", (b"2.38.1",)),
    ask("libelf.so.1", "libelf1", "unsigned elf_version(unsigned)", (1,)),
    ask("libdw.so.1", "libdw1", "const char *dwarf_errmsg(int)", (4,)),
    ask("libgc.so.1", "libgc1", "unsigned GC_get_version(void)", ()),
    ask("libxxhash.so.0", "libxxhash0", "uint64_t XXH64(const char *, size_t, uint64_t)", (TEXT, len(TEXT), 7)),
    ask("libdeflate.so.0", "libdeflate0", "uint32_t libdeflate_adler32(uint32_t, const char *, size_t)", (1, TEXT, len(TEXT))),
    ask("libhwloc.so.15", "libhwloc15", "unsigned hwloc_get_api_version(void)", ()),
    ask("libtbb.so.12", "libtbb12", "const char *TBB_runtime_version(void)", ()),
    ask("libaom.so.3", "libaom3", "const char *aom_codec_version_str(void)", ()),
    ask("libdav1d.so.6", "libdav1d6", "const char *dav1d_version(void)", ()),
    ask("libzip.so.4", "libzip4", "const char *zip_libzip_version(void)", ()),
    ask("libasound.so.2", "libasound2", "const char *snd_asoundlib_version(void)", (), "const char *snd_strerror(int)", (-2,)),
    ask("libproj.so.25", "libproj25", "const char *proj_errno_string(int)", (1024,)),
    ask("libgeos_c.so.1", "libgeos-c1v5", "const char *GEOSversion(void)", ()),
    ask("libleveldb.so.1d", "libleveldb1d", "int leveldb_major_version(void)", (), "int leveldb_minor_version(void)", ()),
    ask("libtinyxml2.so.9", "libtinyxml2-9",
        "const char *_ZN8tinyxml211XMLDocument13ErrorIDToNameENS_8XMLErrorE(int)", (3,)),
    ask("libprotobuf.so.32", "libprotobuf32", "bool _ZN6google8protobuf11safe_strtodEPKcPd(const char *, void *)",
        (b"2.5", bytearray(8))),
    ask("libicuuc.so.72", "libicu72", "const char *u_errorName_72(int)", (4,), "int u_charType_72(int32_t)", (0x416,)),
    ask("libicui18n.so.72", "libicu72", "int32_t ucol_countAvailable_72(void)", ()),
    ask("libQt6Core.so.6", "libqt6core6", "const char *qVersion(void)", ()),
    ask("libflint.so.17", "libflint17", "unsigned long n_powmod2(unsigned long, long, unsigned long)", (3, 100, 1009)),
    ask("libglpk.so.40", "libglpk40", "const char *glp_version(void)", ()),
    ask("libmp3lame.so.0", "libmp3lame0", "const char *get_lame_version(void)", ()),
    ask("libopus.so.0", "libopus0", "const char *opus_get_version_string(void)", ()),
    ask("libvorbis.so.0", "libvorbis0a", "const char *vorbis_version_string(void)", ()),
    ask("libFLAC.so.12", "libflac12", "int FLAC__format_sample_rate_is_valid(unsigned)", (44100,)),
    ask("libsndfile.so.1", "libsndfile1", "const char *sf_version_string(void)", ()),
    ask("libsamplerate.so.0", "libsamplerate0", "const char *src_get_version(void)", ()),
    ask("libcap.so.2", "libcap2", "int cap_max_bits(void)", ()),
    ask("libselinux.so.1", "libselinux1", "int is_selinux_enabled(void)", ()),
    ask("libusb-1.0.so.0", "libusb-1.0-0", "const char *libusb_error_name(int)", (-4,)),
    ask("libX11.so.6", "libx11-6", "unsigned long XStringToKeysym(const char *)", (b"Return",)),
    ask("libxcb.so.1", "libxcb1", "int xcb_popcount(uint32_t)", (0xFF0F,)),
    ask("libdb-5.3.so", "libdb5.3", "const char *db_strerror(int)", (-30988,)),
    ask("libgdbm.so.6", "libgdbm6", "const char *gdbm_strerror(int)", (3,)),
    ask("libmpfr.so.6", "libmpfr6", "const char *mpfr_get_version(void)", ()),
    ask("libmpc.so.3", "libmpc3", "const char *mpc_get_version(void)", ()),
    ask("libisl.so.23", "libisl23", "const char *isl_version(void)", ()),
    ask("libopenblas.so.0", "libopenblas0-pthread", "const char *openblas_get_config(void)", ()),
    ask("liblua5.4.so.0", "liblua5.4-0", "double lua_version(void *)", (None,)),
    ask("libtcl8.6.so", "libtcl8.6", "int Tcl_StringMatch(const char *, const char *)", (b"late", b"l*e")),
    ask("libpython3.11.so.1.0", "libpython3.11", "const char *Py_GetVersion(void)", ()),
)  # fmt: skip
