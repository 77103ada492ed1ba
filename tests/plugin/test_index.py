"""From `pack_plugin` to `install` over files and HTTP on loopback, and what an index or an archive may lie about."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from latebind import LifecycleError, ManifestError, NotFound, NotTrusted, SystemFailure, TrustedKey, TrustStore
from latebind.plugin import Registry, install, pack_plugin, read_index, read_manifest, remove, sign_plugin
from latebind.sandbox import PrivateKey
from support.plugins import PluginFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shop:
    """A folder of plugins under construction, an index and a folder to install into."""

    def __init__(self, root: Path) -> None:
        self.plugins = PluginFolder(root / "plugins")
        self.index = root / "index"
        self.into = root / "installed"

    def pack(self, plugin: str = "acme.upper", version: str = "1.0.0", **manifest: Any) -> Path:
        folder = self.plugins.python(plugin, "class Plugin: pass\n", version=version, **manifest)
        pack_plugin(read_manifest(folder / "plugin.yaml"), str(self.index))
        return folder

    def install(self, plugin: str = "acme.upper", place: str = "", **more: Any) -> Any:
        return install(read_index(place or str(self.index)), plugin, str(self.into), **more)

    def change(self, **changes: Any) -> None:
        """Change what the index says of its first plugin."""
        path = self.index / "index.json"
        document = json.loads(path.read_text())
        document["plugins"][0].update(changes)
        path.write_text(json.dumps(document))

    def offer(self, data: bytes) -> None:
        """Offer `data` as the archive, with its true size and hash."""
        (self.index / "made.zip").write_bytes(data)
        self.change(archive="made.zip", size=len(data), sha256=hashlib.sha256(data).hexdigest())

    @property
    def archive(self) -> Path:
        (path,) = self.index.glob("*.zip")
        return path

    @property
    def left(self) -> list[str]:
        """What is in the folder of installed plugins."""
        return sorted(os.listdir(self.into)) if self.into.exists() else []


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


class Quiet(SimpleHTTPRequestHandler):
    """Serves files; `/cut/…` says the whole length and breaks off in the middle."""

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        if not self.path.startswith("/cut/"):
            return super().do_GET()
        data = Path(self.translate_path(self.path.removeprefix("/cut"))).read_bytes()
        whole = self.path.endswith(".json")
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if whole else data[: len(data) // 2])
        return None


@pytest.fixture
def url(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The index on a web server."""
    monkeypatch.setenv("no_proxy", "*")
    shop.index.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shop.index))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_packed_is_installed_and_discovered(shop: Shop) -> None:
    folder = shop.pack()
    manifest = shop.install()
    assert manifest.folder == str(shop.into / "acme.upper-1.0.0")
    assert (Path(manifest.folder) / "work.py").read_bytes() == (folder / "work.py").read_bytes()
    assert [str(m) for m in Registry().discover(shop.into).found] == ["acme.upper 1.0.0"]
    assert shop.left == ["acme.upper-1.0.0"]


def test_over_http(shop: Shop, url: str) -> None:
    shop.pack()
    assert str(shop.install(place=f"{url}/index.json")) == "acme.upper 1.0.0"


def test_an_archive_is_named_by_its_hash_and_the_same_each_time(shop: Shop) -> None:
    shop.pack()
    assert shop.archive.name == hashlib.sha256(shop.archive.read_bytes()).hexdigest() + ".zip"
    shop.pack()
    assert len(read_index(str(shop.index)).plugins) == 1
    assert shop.archive.exists()


def test_a_version_is_published_once(shop: Shop) -> None:
    shop.pack()
    with pytest.raises(LifecycleError, match="has another build of acme.upper 1.0.0; raise the version"):
        shop.pack(summary="another")
    assert len(list(shop.index.iterdir())) == 2


def test_the_newest_version_in_the_range_is_installed(shop: Shop) -> None:
    for version in ("1.2.0", "1.10.0", "2.0.0"):
        shop.pack(version=version)
    assert str(shop.install(version="^1").version) == "1.10.0"
    assert str(shop.install().version) == "2.0.0"
    with pytest.raises(NotFound, match=r"has version 2.0.0, not \^3"):
        shop.install(version="^3")
    with pytest.raises(NotFound, match="does not have it"):
        shop.install("acme.lower")


def test_search_takes_every_word(shop: Shop) -> None:
    shop.pack("acme.upper", summary="Makes text LOUD")
    shop.pack("acme.lower", provides=[{"contract": "acme.text", "version": "1.0.0"}])
    index = read_index(str(shop.index))
    assert [p.id for p in index.search()] == ["acme.lower", "acme.upper"]
    assert [p.id for p in index.search("loud", "text")] == ["acme.upper"]
    assert [p.id for p in index.search("acme.text")] == ["acme.lower"]


def test_installing_twice_is_refused_and_removing_makes_room(shop: Shop) -> None:
    shop.pack()
    shop.install()
    with pytest.raises(LifecycleError, match="is there already; remove it first"):
        shop.install()
    assert remove("acme.upper", str(shop.into)) == (str(shop.into / "acme.upper-1.0.0"),)
    assert shop.left == []
    shop.install()


def test_only_what_was_asked_for_is_removed(shop: Shop) -> None:
    for plugin, version in (("acme.upper", "1.0.0"), ("acme.upper", "2.0.0"), ("acme.upper-case", "1.0.0")):
        shop.pack(plugin, version)
        shop.install(plugin)
    (shop.into / "acme.upper-1.0.0" / "plugin.yaml").write_text("broken: [")
    remove("acme.upper", str(shop.into), version="^1")
    assert shop.left == ["acme.upper-2.0.0", "acme.upper-case-1.0.0"]
    with pytest.raises(NotFound, match="it is not installed there"):
        remove("acme.upper", str(shop.into), version="^1")
    with pytest.raises(NotFound):
        remove("../index", str(shop.into))


class TestSigned:
    def test_only_what_a_trusted_key_signed_is_installed(self, shop: Shop) -> None:
        key = PrivateKey.generate()
        folder = shop.plugins.python("acme.upper", "class Plugin: pass\n")
        manifest = read_manifest(folder / "plugin.yaml")
        sign_plugin(manifest, key)
        pack_plugin(manifest, str(shop.index))
        with pytest.raises(NotTrusted, match="is not trusted to sign"):
            shop.install(trust=TrustStore())
        assert shop.left == []
        shop.install(trust=TrustStore((TrustedKey("acme.*", key.public),)))

    def test_what_is_not_signed_is_not_installed(self, shop: Shop) -> None:
        shop.pack()
        with pytest.raises(NotTrusted, match="the plugin is not signed"):
            shop.install(trust=TrustStore())
        assert shop.left == []


class TestLies:
    def test_an_archive_that_changed(self, shop: Shop) -> None:
        shop.pack()
        data = bytearray(shop.archive.read_bytes())
        data[40] ^= 1
        shop.archive.write_bytes(data)
        with pytest.raises(NotTrusted, match=r"has the SHA-256 [0-9a-f]{64}, the index says"):
            shop.install()
        assert shop.left == []

    @pytest.mark.parametrize(("change", "message"), [(-1, "has more than the"), (1, "bytes instead of the")])
    def test_another_size(self, shop: Shop, change: int, message: str) -> None:
        shop.pack()
        shop.change(size=shop.archive.stat().st_size + change)
        with pytest.raises(NotTrusted, match=message):
            shop.install()
        assert shop.left == []

    def test_a_download_that_breaks_off(self, shop: Shop, url: str) -> None:
        shop.pack()
        with pytest.raises((NotTrusted, SystemFailure), match="bytes instead of the|the server broke off"):
            shop.install(place=f"{url}/cut/index.json")
        assert shop.left == []

    def test_a_server_that_points_to_our_own_files(self, shop: Shop, url: str) -> None:
        shop.pack()
        shop.change(archive="file:///etc/passwd")
        with pytest.raises(ManifestError, match="acme.upper.archive: expected http or https, not 'file:///etc/passwd'"):
            shop.install(place=f"{url}/index.json")

    def test_an_archive_that_is_not_there(self, shop: Shop, url: str) -> None:
        shop.pack()
        shop.archive.unlink()
        with pytest.raises(NotFound, match="no such file"):
            shop.install()
        with pytest.raises(NotFound, match="the server answers 404"):
            shop.install(place=f"{url}/index.json")

    def test_a_server_that_is_not_there(self, url: str) -> None:
        with pytest.raises(SystemFailure, match="download: "):
            read_index("http://127.0.0.1:1/index.json")
        with pytest.raises(NotFound, match="the server answers 404"):
            read_index(f"{url}/nowhere.json")

    def test_another_plugin_in_the_archive(self, shop: Shop) -> None:
        shop.pack()
        shop.change(id="acme.other")
        with pytest.raises(NotTrusted, match="holds acme.upper 1.0.0, the index says acme.other 1.0.0"):
            shop.install("acme.other")
        assert shop.left == []

    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"id": "../../evil"}, "plugins[0].id"),
            ({"version": "../1"}, "plugins[0].version"),
            ({"sha256": "12"}, "plugins[0].sha256"),
            ({"size": -1}, "plugins[0].size"),
            ({"nonsense": 1}, "plugins[0].nonsense"),
        ],
    )
    def test_every_mistake_of_an_index_has_its_place(self, shop: Shop, changes: Any, place: str) -> None:
        shop.pack()
        shop.change(**changes)
        with pytest.raises(ManifestError) as caught:
            read_index(str(shop.index))
        assert [p.path for p in caught.value.problems] == [place]


def zipped(path: Path, *files: tuple[str, int, bytes]) -> bytes:
    """A zip file of (name, mode, contents)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode, data in files:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return path.read_bytes()


FILE = stat.S_IFREG | 0o644
MANIFEST = ("plugin.yaml", FILE, b"id: acme.upper\nversion: 1.0.0\nentry: work:Plugin\n")


class TestArchives:
    @pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "a\\evil", "./evil", "a//evil"])
    def test_a_path_that_leads_elsewhere(self, shop: Shop, tmp_path: Path, name: str) -> None:
        shop.pack()
        shop.offer(zipped(tmp_path / "z", MANIFEST, (name, FILE, b"x")))
        with pytest.raises(NotTrusted, match="in the archive is no path within the plugin's folder"):
            shop.install()
        assert shop.left == []
        assert not list(tmp_path.rglob("evil"))

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
    def test_what_is_no_regular_file(self, shop: Shop, tmp_path: Path, kind: int) -> None:
        shop.pack()
        shop.offer(zipped(tmp_path / "z", MANIFEST, ("link", kind | 0o777, b"/etc")))
        with pytest.raises(NotTrusted, match="'link' in the archive is no regular file"):
            shop.install()
        assert shop.left == []

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_a_file_that_is_there_twice(self, shop: Shop, tmp_path: Path) -> None:
        shop.pack()
        shop.offer(zipped(tmp_path / "z", MANIFEST, MANIFEST))
        with pytest.raises(NotTrusted, match="'plugin.yaml' is in the archive twice"):
            shop.install()

    def test_an_archive_without_manifest(self, shop: Shop, tmp_path: Path) -> None:
        shop.pack()
        shop.offer(zipped(tmp_path / "z", ("a.py", FILE, b"x")))
        with pytest.raises(NotTrusted, match="has no manifest"):
            shop.install()

    @pytest.mark.parametrize("keep", [0, 10, -10])
    def test_a_truncated_archive(self, shop: Shop, keep: int) -> None:
        shop.pack()
        shop.offer(shop.archive.read_bytes()[:keep])
        with pytest.raises(NotTrusted, match="is no zip file that can be read"):
            shop.install()
        assert shop.left == []

    def test_more_than_anyone_wants(self, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from latebind.plugin import package

        monkeypatch.setattr(package, "_LARGEST", 100)
        shop.pack()
        shop.offer(zipped(tmp_path / "z", MANIFEST, ("zeros", FILE, bytes(1000))))
        with pytest.raises(NotTrusted, match="has more than 10000 files or 100 bytes"):
            shop.install()
