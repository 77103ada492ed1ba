"""Print the requirements that pyproject.toml names, one a line, for `pip install --requirement`.

`requirements.py GROUP…` where a group is `build` (what compiles the package), `runtime` (what it needs) or one of
its extras. pip has no option for "everything but the package itself", and the Makefile installs that separately so
that a changed source file costs a rebuild and not a resolution of all dependencies.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(groups: list[str]) -> list[str]:
    """The requirements of `groups` together, sorted, each once. Raises KeyError for a group that does not exist."""
    document = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    known: dict[str, list[str]] = {
        "build": document["build-system"]["requires"],
        "runtime": document["project"]["dependencies"],
        **document["project"]["optional-dependencies"],
    }
    return sorted({line for group in groups for line in known[group]})


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
