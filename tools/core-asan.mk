# The core's and the calls' tests on a build with the address and undefined-behaviour sanitizers; `include` it in the Makefile.
# Leaks are not looked for: the interpreter has its own. One test skips: the sanitizer brings an unwinder along.
SANITIZERS = $(shell cc -print-file-name=libasan.so) $(shell cc -print-file-name=libubsan.so)

.PHONY: core-asan
core-asan: setup ## run the core's tests with the sanitizers
	@[ -f build/asan/build.ninja ] || PATH="$(CURDIR)/$(BIN):$$PATH" meson setup build/asan -Dwerror=true \
	    -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@PATH="$(CURDIR)/$(BIN):$$PATH" meson compile -C build/asan >/dev/null
	@rm -rf build/asan/site && mkdir -p build/asan/site && cp -r src/latebind build/asan/site/
	@cp build/asan/_core.abi3.so build/asan/site/latebind/
	@LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0:allocator_may_return_null=1 \
	    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	    PYTHONPATH=build/asan/site $(BIN)/python -m pytest -p no:cacheprovider -m "not slow" tests/core tests/ffi \
	    tests/linkplan/test_kept.py tests/linkplan/test_many.py tests/search/test_cache.py tests/contracts/test_context.py tests/contracts/test_calls.py tests/contracts/test_services.py \
	    tests/contracts/test_bad_results.py tests/plugin/test_gate.py tests/plugin/test_statistics.py \
	    tests/plugin/test_opened.py tests/plugin/test_services.py tests/plugin/test_direct.py
