"""Two kinds of tests: those that run on an aarch64 machine, and those that run these elsewhere, under qemu."""

from __future__ import annotations

from support.machine import AARCH64, HERE

collect_ignore = ["test_under_qemu.py", "test_from_here.py"] if HERE is AARCH64 else ["test_machine.py"]
