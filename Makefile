# `make core` builds the C core into src/latebind, for work with PYTHONPATH=src.
PYTHON ?= python3

core:
	@[ -f build/dev/build.ninja ] || meson setup build/dev -Dwerror=true >/dev/null
	@meson compile -C build/dev >/dev/null || meson compile -C build/dev
	@cp build/dev/_core.abi3.so src/latebind/

.PHONY: core
