"""The familiar tools (readelf, nm, objdump, ldd) on top of our own reading: the same bytes, from the same questions.

One module for each table that a tool prints. They print what binutils 2.40 and glibc print, including what these call
things; what the file says comes from `elf`, where a thing is found from `search` and `linkplan`.
"""
