"""Helpers that several tests share. Import as `from support.compiler import Compiler`."""
