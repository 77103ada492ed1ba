"""A darkroom: develops PNG pictures through a row of filters, keeps negatives and a catalog. Plugins do all the work.

$ python darkroom.py develop --out album photo.png other.png
$ python darkroom.py list --out album
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from darkroom_contracts import Catalog, Codec, Entry, Filter, Log, Packer, Progress

from latebind import Host, LatebindError, PluginError, Policy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.plugin import Manifest

HERE: Final = Path(__file__).parent
POLICY: Final = Policy(
    inline=["darkroom.*"],  # we wrote them: they may run in this process
    grants={
        "darkroom.catalog": ["filesystem"],
        "darkroom.shrink": ["filesystem", "environment", "system:call"],  # Rust's standard library
    },
)
WATCH_EVERY: Final = 0.1
"""Seconds between two looks at the plugins' files."""


class StandardError:
    """The services of the host: lines for the operator."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose

    def info(self, text: str) -> None:
        """Write one line."""
        print(f"[log] {text}", file=sys.stderr, flush=True)

    def step(self, picture: str, what: str) -> None:
        """Show what was done to a picture, if anyone wants to know."""
        if self._verbose:
            print(f"[{picture}] {what}", file=sys.stderr, flush=True)


def files_of(manifest: Manifest) -> list[tuple[str, int, int]]:
    """What would change with a new build of a plugin: its library, or its modules, and the manifest."""
    wanted = (".py", ".yaml") if manifest.is_python else (".so", ".yaml")
    found = []
    for entry in os.scandir(manifest.folder):
        if entry.name.endswith(wanted):
            status = entry.stat()
            found.append((entry.name, status.st_mtime_ns, status.st_ino))
    return sorted(found)


class Darkroom:
    """The program: a host with the plugins in one folder, and what is done with them. A context manager."""

    def __init__(self, plugins: Path, out: Path, operator: StandardError) -> None:
        self.out, self.operator = out, operator
        out.mkdir(parents=True, exist_ok=True)
        contracts = [Codec, Filter, Packer, Catalog]
        self.host = Host(POLICY, services={Log: operator, Progress: operator}, contracts=contracts)
        try:
            found = self.host.discover(plugins)
            for rejected in found.rejected:
                operator.info(f"left out: {rejected.error}")
            # Before anything is loaded: what changes from here on is seen by the watcher.
            self.seen = {m.id: (m, files_of(m)) for m in found.found}
            self.filters = self._load_filters(found.found)
            self.codec = self._load(Codec, "darkroom.png")
            self.packer = self._load(Packer, "darkroom.zstd")
            self.catalog = self._load(Catalog, "darkroom.catalog", path=str(out / "catalog.db"))
        except BaseException:
            self.host.close()
            raise

    def _load(self, contract: Any, plugin: str, **config: object) -> Any:
        self.host.load(plugin, config=config)
        return self.host.get(contract, plugin=plugin)

    def _load_filters(self, manifests: Iterable[Manifest]) -> list[Filter]:
        """Every filter that there is, in the order of their stages. One that cannot be loaded is done without."""
        filters: list[Filter] = []
        for manifest in manifests:
            if any(p.contract == "darkroom.filter" for p in manifest.provides):
                try:
                    filters.append(self._load(Filter, manifest.id))
                except LatebindError as e:
                    self.operator.info(f"without {manifest.id}: {e}")
        return sorted(filters, key=lambda one: one.stage())

    def develop(self, path: Path) -> str:
        """Read, filter, write and catalog one picture, and keep its negative: the pixels as they came, packed.

        Returns a line about it. PluginError and OSError say what went wrong.
        """
        picture = self.codec.decode(path.stem, path.read_bytes())
        before, negative = f"{picture.width}×{picture.height}", self.packer.pack(picture.pixels)
        for one in self.filters:
            picture = one.apply(picture)
        data = self.codec.encode(picture)
        self._write(f"{path.stem}.png", data)
        self._write(f"{path.stem}.pixels{self.packer.suffix()}", negative)
        self.catalog.add(Entry(path.stem, picture.width, picture.height, len(data), len(negative)))
        return f"{path.stem}: {before} → {picture.width}×{picture.height}, {len(data)} bytes"

    def _write(self, name: str, data: bytes) -> None:
        """A file of the album, whole or not at all."""
        draft = self.out / f".{name}.{threading.get_ident()}"
        draft.write_bytes(data)
        draft.replace(self.out / name)

    def reload(self, plugin: str) -> None:
        """Put what lies there now in the place of what runs; on failure what runs goes on."""
        try:
            report = self.host.reload(plugin)
        except LatebindError as e:
            self.operator.info(f"{plugin} goes on as it is: {e}")
        else:
            self.operator.info(f"reloaded {report.new}: generation {report.generation}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.close()


class Watcher:
    """Reloads a plugin when a file of its folder has changed, while pictures are developed. A context manager."""

    def __init__(self, darkroom: Darkroom) -> None:
        self._darkroom = darkroom
        loaded = {p.id for p in darkroom.host.plugins() if p.loaded}
        self._seen = {plugin: seen for plugin, seen in darkroom.seen.items() if plugin in loaded}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher")

    def _watch(self) -> None:
        while not self._done.wait(WATCH_EVERY):
            for plugin, (manifest, seen) in self._seen.items():
                now = files_of(manifest)
                if now != seen:
                    self._seen[plugin] = manifest, now
                    self._darkroom.reload(plugin)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def develop(darkroom: Darkroom, paths: Iterable[Path], threads: int) -> int:
    """Develop all pictures, several at once; the number of those that could not be."""

    def one(path: Path) -> bool:
        try:
            line = darkroom.develop(path)
        except (PluginError, OSError) as e:
            darkroom.operator.info(f"{path.name} cannot be developed: {e}")
            return False
        print(line, flush=True)
        return True

    with ThreadPoolExecutor(threads) as pool:
        failed = sum(not done for done in [f.result() for f in [pool.submit(one, path) for path in paths]])
    totals = darkroom.packer.totals()
    print(f"{totals.files} negatives, {totals.taken} bytes packed to {totals.given}")
    return failed


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=["develop", "list"])
    parser.add_argument("names", nargs="*", help="develop: PNG files, or - for their names on standard input; "
                                                 "list: a shell pattern of names")  # fmt: skip
    parser.add_argument("--out", type=Path, default=HERE / "album", help="the album's folder (default: %(default)s)")
    parser.add_argument("--plugins", type=Path, default=HERE / "plugins", help="where plugins are")
    parser.add_argument("--threads", type=int, default=2, help="pictures at once (default: %(default)s)")
    parser.add_argument("--watch", action="store_true", help="reload plugins whose files change")
    parser.add_argument("--verbose", action="store_true", help="show every step")
    given = parser.parse_intermixed_args()
    try:
        with Darkroom(given.plugins, given.out, StandardError(verbose=given.verbose)) as darkroom:
            if given.action == "list":
                for entry in darkroom.catalog.find(*given.names[:1]):
                    print(f"{entry.name}: {entry.width}×{entry.height}, {entry.size} bytes, negative {entry.packed}")
                return 0
            # A generator for standard input: what comes in a line is developed before the next line is there.
            lines = (Path(line.rstrip("\n")) for line in sys.stdin)
            paths = lines if given.names == ["-"] else map(Path, given.names)
            if given.watch:
                with Watcher(darkroom):
                    return min(1, develop(darkroom, paths, given.threads))
            return min(1, develop(darkroom, paths, given.threads))
    except LatebindError as e:
        print(f"darkroom: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
