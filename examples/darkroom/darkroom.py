"""A darkroom: develops PNG pictures through a row of filters, keeps negatives and a catalog. Plugins do all the work.

$ python darkroom.py develop --out album photo.png other.png
$ python darkroom.py list --out album
"""

from __future__ import annotations

import argparse
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from darkroom_contracts import Catalog, Codec, Entry, Filter, Log, Packer, Progress

from latebind import Host, LatebindError, PluginError, Policy
from latebind.plugin.events import Event, Reloaded, RolledBack, WatchFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from latebind.plugin import Manifest
    from latebind.plugin.watch import Watch

HERE: Final = Path(__file__).parent
POLICY: Final = Policy(
    inline=["darkroom.*"],  # we wrote them: they may run in this process
    grants={
        "darkroom.catalog": ["filesystem"],
        "darkroom.shrink": ["filesystem", "environment", "system:call"],  # Rust's standard library
    },
)


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

    def _load_filters(self, manifests: Iterable[Manifest]) -> tuple[Filter, ...]:
        """Every filter that there is, the highest priority first. One that cannot be loaded is done without."""
        for manifest in manifests:
            if any(p.contract == "darkroom.filter" for p in manifest.provides):
                try:
                    self.host.load(manifest.id)
                except LatebindError as e:
                    self.operator.info(f"without {manifest.id}: {e}")
        return self.host.all(Filter)

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

    def watch(self) -> Watch:
        """Put new builds of plugins in the place of old ones, until it is closed; on failure the old one goes on."""
        self.host.events.subscribe(self._tell)
        return self.host.watch(probation=False)

    def _tell(self, event: Event) -> None:
        if isinstance(event, Reloaded):
            self.operator.info(f"reloaded {event.new}: generation {event.generation}")
        elif isinstance(event, RolledBack | WatchFailed):
            self.operator.info(f"{event.plugin} goes on as it is: {event.error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.host.close()


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
                with darkroom.watch():
                    return min(1, develop(darkroom, paths, given.threads))
            return min(1, develop(darkroom, paths, given.threads))
    except LatebindError as e:
        print(f"darkroom: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
