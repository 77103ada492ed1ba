"""The familiar tools, as they print: what binutils and glibc's ldd say about a file, from latebind's own readers."""
