"""How long a scan of 1,000 plugins' manifests takes, each with every field, in each of the three formats.

Printed is the median of several scans in seconds, and what one manifest takes. `--json` prints one object with
`yaml`, `toml` and `json` (seconds) and `manifests`. The goal is less than one second (processor time) for each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import yaml

from latebind.plugin import Registry

COUNT: Final = 1000
RUNS: Final = 5
FORMATS: Final = ("yaml", "toml", "json")


def document(number: int) -> dict[str, Any]:
    """A manifest with everything in it."""
    return {
        "id": f"acme.p{number}",
        "version": "1.4.2",
        "summary": "Splits text into tokens",
        "author": "Acme",
        "entry": "libacme_tokenizer.so",
        "sha256": "ab" * 32,
        "provides": [{"contract": f"acme.t{number}", "version": "1.2.0"}],
        "requires": [
            {"contract": "host.logger", "version": "^1.0"},
            {"plugin": "acme.dictionary", "version": ">=2, <3", "optional": True},
        ],
        "capabilities": ["filesystem:read:/usr/share/dict", "network:connect:443", "environment:LANG", "threads"],
        "limits": {"memory": "256MiB", "call_time": "2s", "cpu": 1},
        "state": {"schema": 3},
        "concurrency": "serial",
        "config": {"type": "object", "properties": {"language": {"type": "string", "default": "en"}}},
    }


def as_toml(value: object) -> str:
    """A value in TOML's inline form."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value)


def write(folder: Path, suffix: str) -> None:
    """Write all manifests, one a subfolder."""
    for number in range(COUNT):
        made = document(number)
        texts = {
            "yaml": lambda made=made: yaml.safe_dump(made, sort_keys=False),
            "json": lambda made=made: json.dumps(made, indent=2),
            "toml": lambda made=made: "".join(f"{key} = {as_toml(item)}\n" for key, item in made.items()),
        }
        place = folder / f"p{number}"
        place.mkdir()
        (place / f"plugin.{suffix}").write_text(texts[suffix](), encoding="utf-8")


def measure(folder: Path) -> float:
    """The median processor time of a scan, in seconds."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        found = Registry().discover(folder)
        times.append(time.process_time() - start)
        if len(found.found) != COUNT or found.rejected:
            raise SystemExit(f"{len(found.found)} found, first rejected: {found.rejected[:1]}")
    return statistics.median(times)


def main() -> None:
    """Write, scan, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    seconds = {}
    for suffix in FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), suffix)
            seconds[suffix] = round(measure(Path(folder)), 3)
    if as_json:
        print(json.dumps({"manifests": COUNT, **seconds}))
        return
    for suffix, value in seconds.items():
        print(f"{COUNT} manifests in {suffix}: {value:.2f} s, {value / COUNT * 1e3:.2f} ms each")


if __name__ == "__main__":
    main()
