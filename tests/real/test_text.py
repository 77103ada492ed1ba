"""Databases, parsers and expressions, several of them with callbacks into Python."""

from __future__ import annotations

import ctypes
import unicodedata
from pathlib import Path

import pytest

from real.calls import callback, number, work_with


def test_sqlite_with_a_function_written_in_python() -> None:
    with work_with("libsqlite3.so.0", "libsqlite3-0", """
        int sqlite3_open(const char *, void *)
        int sqlite3_exec(void *, const char *, int (*row)(void *, int, char **, char **), void *, void *)
        int sqlite3_create_function(void *, const char *, int, int, void *, void (*f)(void *, int, void **), void *, void *)
        int sqlite3_value_int(void *)
        void sqlite3_result_int(void *, int)
        const char *sqlite3_errmsg(void *)
        int sqlite3_close(void *)
    """) as s:  # fmt: skip
        handle, rows = bytearray(8), []
        assert s.sqlite3_open(":memory:", handle) == 0
        db = number(handle)

        def twice(context: int, _count: int, values: int) -> None:
            (value,) = ctypes.cast(values, ctypes.POINTER(ctypes.c_void_p * 1)).contents
            s.sqlite3_result_int(context, 2 * s.sqlite3_value_int(value))

        def row(_data: object, count: int, values: int, _names: int) -> int:
            texts = ctypes.cast(values, ctypes.POINTER(ctypes.c_char_p * count)).contents
            rows.append(tuple(texts))
            return 0

        function = callback("void f(void *, int, void *)", twice)
        receive = callback("int row(void *, int, void *, void *)", row)
        assert s.sqlite3_create_function(db, "twice", 1, 1, None, function, None, None) == 0
        script = """create table t(a integer, b text); insert into t values (1, 'one'), (2, 'two'), (21, 'many');
                    select twice(sum(a)), group_concat(b) from t; select upper(b) from t where a = 2"""
        assert s.sqlite3_exec(db, script, receive, None, None) == 0
        assert rows == [(b"48", b"one,two,many"), (b"TWO",)]
        assert s.sqlite3_exec(db, "select missing", None, None, None) == 1
        assert s.sqlite3_errmsg(db) == b"no such column: missing"
        assert s.sqlite3_close(db) == 0


def test_expat_calls_back() -> None:
    with work_with("libexpat.so.1", "libexpat1", """
        void *XML_ParserCreate(const char *)
        void XML_SetElementHandler(void *, void (*start)(void *, char *, char **), void (*end)(void *, char *))
        int XML_Parse(void *, const char *, int, int)
        int XML_GetErrorCode(void *)
        void XML_ParserFree(void *)
    """) as x:  # fmt: skip
        seen: list[bytes] = []
        start = callback(
            "void start(void *, const char *, void *)", lambda _data, name, _list: seen.append(bytes(name))
        )
        end = callback("void end(void *, const char *)", lambda _data, name: seen.append(b"/" + bytes(name)))
        parser = x.XML_ParserCreate(None)
        x.XML_SetElementHandler(parser, start, end)
        text = b"<a><b/><c>text</c></a>"
        assert x.XML_Parse(parser, text, len(text), 1) == 1
        assert seen == [b"a", b"b", b"/b", b"c", b"/c", b"/a"]
        x.XML_ParserFree(parser)
        broken = x.XML_ParserCreate(None)
        assert x.XML_Parse(broken, b"<a></b>", 7, 1) == 0
        assert x.XML_GetErrorCode(broken) == 7  # XML_ERROR_TAG_MISMATCH
        x.XML_ParserFree(broken)


def test_xml2_finds_by_path() -> None:
    with work_with("libxml2.so.2", "libxml2", """
        void *xmlReadMemory(const char *, int, const char *, const char *, int)
        void *xmlXPathNewContext(void *)
        void *xmlXPathEvalExpression(const char *, void *)
        void *xmlXPathCastToString(void *)
        void xmlXPathFreeObject(void *)
        void xmlXPathFreeContext(void *)
        void xmlFreeDoc(void *)
    """) as x:  # fmt: skip
        text = b"<plan><object role='own'>libz</object><object role='resident'>libc</object></plan>"
        document = x.xmlReadMemory(text, len(text), "plan.xml", None, 0)
        context = x.xmlXPathNewContext(document)
        for path, expected in ((b"//object[@role='own']", b"libz"), (b"count(//object)", b"2")):
            found = x.xmlXPathEvalExpression(path, context)
            assert ctypes.string_at(x.xmlXPathCastToString(found)) == expected
            x.xmlXPathFreeObject(found)
        x.xmlXPathFreeContext(context)
        x.xmlFreeDoc(document)


def test_pcre2_matches_with_and_without_its_own_machine_code() -> None:
    """Its JIT compiler writes code at run time."""
    with work_with("libpcre2-8.so.0", "libpcre2-8-0", """
        void *pcre2_compile_8(const char *, size_t, uint32_t, void *, void *, void *)
        int pcre2_jit_compile_8(void *, uint32_t)
        void *pcre2_match_data_create_from_pattern_8(void *, void *)
        int pcre2_match_8(void *, const char *, size_t, size_t, uint32_t, void *, void *)
        void *pcre2_get_ovector_pointer_8(void *)
        void pcre2_match_data_free_8(void *)
        void pcre2_code_free_8(void *)
    """) as p:  # fmt: skip
        pattern, text = rb"(?<key>\w+)\s*=\s*(?<value>[^;]+);", b"first = 1; second = two words;"
        error, offset = bytearray(4), bytearray(8)
        code = p.pcre2_compile_8(pattern, len(pattern), 0, error, offset, None)
        for _ in range(2):
            matched = p.pcre2_match_data_create_from_pattern_8(code, None)
            assert p.pcre2_match_8(code, text, len(text), 10, 0, matched, None) == 3
            places = ctypes.cast(p.pcre2_get_ovector_pointer_8(matched), ctypes.POINTER(ctypes.c_size_t * 6)).contents
            assert [text[places[i] : places[i + 1]] for i in (2, 4)] == [b"second", b"two words"]
            p.pcre2_match_data_free_8(matched)
            assert p.pcre2_jit_compile_8(code, 1) == 0
        p.pcre2_code_free_8(code)


def test_curl_fetches_a_file(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"fetched " * 5000)
    with work_with("libcurl.so.4", "libcurl4", """
        void *curl_easy_init(void)
        int curl_easy_setopt(void *, int, void *)
        int curl_easy_perform(void *)
        const char *curl_easy_strerror(int)
        void curl_easy_cleanup(void *)
    """) as c:  # fmt: skip
        parts: list[bytes] = []

        def write(data: int, size: int, count: int, _user: object) -> int:
            parts.append(ctypes.string_at(data, size * count))
            return size * count

        receive = callback("size_t write(void *, size_t, size_t, void *)", write)
        handle = c.curl_easy_init()
        page, nothing = (bytearray(f"file://{tmp_path}/{name}\0".encode()) for name in ("page", "nothing"))
        assert c.curl_easy_setopt(handle, 10002, page) == 0  # CURLOPT_URL
        assert c.curl_easy_setopt(handle, 20011, receive) == 0  # CURLOPT_WRITEFUNCTION
        assert c.curl_easy_perform(handle) == 0
        assert b"".join(parts) == b"fetched " * 5000
        assert c.curl_easy_setopt(handle, 10002, nothing) == 0
        assert b"file://" in c.curl_easy_strerror(c.curl_easy_perform(handle))
        c.curl_easy_cleanup(handle)


def test_glib_hashes_and_matches() -> None:
    with work_with("libglib-2.0.so.0", "libglib2.0-0", """
        void *g_hash_table_new(void *, void *)
        int g_hash_table_insert(void *, const char *, void *)
        void *g_hash_table_lookup(void *, const char *)
        unsigned g_hash_table_size(void *)
        void g_hash_table_destroy(void *)
        int g_regex_match_simple(const char *, const char *, int, int)
        void *g_utf8_strup(const char *, ssize_t)
        void g_free(void *)
    """) as g:  # fmt: skip
        library = g.library
        table = g.g_hash_table_new(library.symbol("g_str_hash"), library.symbol("g_str_equal"))
        keys = [ctypes.create_string_buffer(f"key{n}".encode()) for n in range(500)]
        for n, key in enumerate(keys):
            g.g_hash_table_insert(table, key, n + 1)
        assert g.g_hash_table_size(table) == 500
        assert g.g_hash_table_lookup(table, b"key321") == 322
        g.g_hash_table_destroy(table)
        assert g.g_regex_match_simple(r"^l\w+e$", "late", 0, 0) == 1
        upper = g.g_utf8_strup("größe", -1)
        assert ctypes.string_at(upper).decode() == "GRÖSSE"
        g.g_free(upper)


@pytest.mark.slow
def test_icu_transforms_and_sorts() -> None:
    """C++ with exceptions and run-time types, 30 MB of data, and a collation of its own."""
    with (
        work_with("libicuuc.so.72", "libicu72", """
            int32_t u_strToUpper_72(void *, int32_t, const void *, int32_t, const char *, void *)
        """) as u,
        work_with("libicui18n.so.72", "libicu72", """
            void *ucol_open_72(const char *, void *)
            int ucol_strcoll_72(void *, const void *, int32_t, const void *, int32_t)
            void ucol_close_72(void *)
        """) as c,
    ):  # fmt: skip
        text, out, status = "größe in istanbul".encode("utf-16-le"), bytearray(200), bytearray(4)
        size = u.u_strToUpper_72(out, 100, text, len(text) // 2, "tr", status)
        assert out[: 2 * size].decode("utf-16-le") == "GRÖSSE İN İSTANBUL"
        assert unicodedata.normalize("NFC", "İ") == "İ"

        def order(locale: str, a: str, b: str) -> int:
            status = bytearray(4)
            collator = c.ucol_open_72(locale, status)
            first, second = a.encode("utf-16-le"), b.encode("utf-16-le")
            result = c.ucol_strcoll_72(collator, first, len(first) // 2, second, len(second) // 2)
            c.ucol_close_72(collator)
            return int(result)

        assert order("de", "Äpfel", "Zebra") < 0
        assert order("sv", "Äpfel", "Zebra") > 0  # Swedish sorts Ä behind Z


@pytest.mark.slow
def test_xslt_transforms() -> None:
    """Libxslt and our copy of libxml2 that it needs: one namespace, one copy."""
    sheet = b"""<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
        <xsl:output method="text"/><xsl:template match="/">
        <xsl:for-each select="//n"><xsl:sort select="." data-type="number"/><xsl:value-of select="."/>,</xsl:for-each>
        </xsl:template></xsl:stylesheet>"""
    with work_with("libxslt.so.1", "libxslt1.1", """
        void *xmlReadMemory(const char *, int, const char *, const char *, int)
        void *xsltParseStylesheetDoc(void *)
        void *xsltApplyStylesheet(void *, void *, void *)
        int xsltSaveResultToString(void *, void *, void *, void *)
        void xsltFreeStylesheet(void *)
        void xmlFreeDoc(void *)
    """) as x:  # fmt: skip
        style = x.xsltParseStylesheetDoc(x.xmlReadMemory(sheet, len(sheet), "s", None, 0))
        data = b"<l><n>30</n><n>4</n><n>100</n></l>"
        document = x.xmlReadMemory(data, len(data), "d", None, 0)
        result, text, size = x.xsltApplyStylesheet(style, document, None), bytearray(8), bytearray(4)
        assert x.xsltSaveResultToString(text, size, result, style) == 0
        assert b"".join(ctypes.string_at(number(text), number(size, 0, 4)).split()) == b"4,30,100,"
        for one in (result, document):
            x.xmlFreeDoc(one)
        x.xsltFreeStylesheet(style)


@pytest.mark.slow
def test_yaml_events() -> None:
    with work_with("libyaml-0.so.2", "libyaml-0-2", """
        int yaml_parser_initialize(void *)
        void yaml_parser_set_input_string(void *, const char *, size_t)
        int yaml_parser_parse(void *, void *)
        void yaml_event_delete(void *)
        void yaml_parser_delete(void *)
    """) as y:  # fmt: skip
        parser, event = ctypes.create_string_buffer(1024), ctypes.create_string_buffer(256)
        kinds: list[int] = []
        assert y.yaml_parser_initialize(parser) == 1
        text = b"plan: [map, relocate]\nown: true\n"
        y.yaml_parser_set_input_string(parser, text, len(text))
        while not kinds or kinds[-1] != 2:  # YAML_STREAM_END_EVENT
            assert y.yaml_parser_parse(parser, event) == 1
            kinds.append(number(event.raw, 0, 4))
            y.yaml_event_delete(event)
        y.yaml_parser_delete(parser)
        assert kinds == [1, 3, 9, 6, 7, 6, 6, 8, 6, 6, 10, 4, 2]


@pytest.mark.slow
def test_jansson_reads_and_writes() -> None:
    with work_with("libjansson.so.4", "libjansson4", """
        void *json_loads(const char *, size_t, void *)
        void *json_object_get(void *, const char *)
        int64_t json_integer_value(void *)
        void *json_dumps(void *, size_t)
        void json_delete(void *)
    """) as j:  # fmt: skip
        root = j.json_loads('{"b": [1, 2.5, "x"], "a": 42}', 0, None)
        assert j.json_integer_value(j.json_object_get(root, "a")) == 42
        assert ctypes.string_at(j.json_dumps(root, 0x80 | 0x20)) == b'{"a":42,"b":[1,2.5,"x"]}'  # sorted, compact
        j.json_delete(root)


@pytest.mark.slow
def test_magic_knows_its_own_file_format() -> None:
    with work_with("libmagic.so.1", "libmagic1", """
        void *magic_open(int)
        int magic_load(void *, const char *)
        const char *magic_buffer(void *, const char *, size_t)
        void magic_close(void *)
    """) as m:  # fmt: skip
        cookie = m.magic_open(0)
        assert m.magic_load(cookie, None) == 0
        data = Path("/proc/self/exe").read_bytes()[:4096]
        assert m.magic_buffer(cookie, data, len(data)).startswith(b"ELF 64-bit LSB")
        assert m.magic_buffer(cookie, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16).startswith(b"PNG image data")
        m.magic_close(cookie)
