"""Signatures: what is signed loads, and whatever was changed, added, removed or signed by a stranger does not."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latebind import (
    AuditLog,
    ContractError,
    Host,
    LifecycleError,
    ManifestError,
    NotFound,
    NotTrusted,
    Policy,
    SystemFailure,
    TrustedKey,
    TrustStore,
    Unsupported,
)
from latebind.plugin import read_manifest, read_signature, sign_plugin, verify_plugin
from latebind.sandbox import PrivateKey
from support import needs
from support.plugins import Counter, Logger, PluginFolder

PYTHON = """
class Plugin:
    def __init__(self, context): pass
    def add(self, amount): return amount
    def name(self): return 'signed'
"""
COUNTS = [{"contract": "test.counter", "version": "1.1.0"}]


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def signed(tmp_path: Path, key: PrivateKey) -> Path:
    """A signed Python plugin in two files."""
    folder = PluginFolder(tmp_path / "plugins").python("test.python", PYTHON, provides=COUNTS)
    (folder / "lib").mkdir()
    (folder / "lib" / "helper.py").write_text("NAME = 1\n")
    sign(folder, key)
    return folder


def sign(folder: Path, key: PrivateKey) -> Path:
    return Path(sign_plugin(read_manifest(folder / "plugin.yaml"), key))


def trusting(key: PrivateKey, pattern: str = "test.*") -> TrustStore:
    return TrustStore((TrustedKey(pattern, key.public, "the tests"),))


def check(folder: Path, key: PrivateKey) -> None:
    verify_plugin(read_manifest(folder / "plugin.yaml"), trusting(key))


def strict(key: PrivateKey, **more: Any) -> Policy:
    return Policy(inline=["*"], trust=trusting(key), require_signature=True, **more)


def load(folder: Path, policy: Policy, plugin: str = "test.python") -> Counter:
    """The plugin, which was loaded and answered; its host is closed by now."""
    with Host(policy, contracts=[Counter]) as host:
        host.discover(folder.parent)
        host.load(plugin)
        proxy = host.get(Counter)
        assert proxy.add(2) == 2
        return proxy


def test_every_file_is_in_the_signature(signed: Path, key: PrivateKey) -> None:
    signature, trusted = verify_plugin(read_manifest(signed / "plugin.yaml"), trusting(key))
    assert sorted(signature.files) == ["lib/helper.py", "plugin.yaml", "work.py"]
    assert trusted.comment == "the tests"


def test_byte_code_needs_no_signature(signed: Path, key: PrivateKey) -> None:
    (signed / "__pycache__").mkdir()
    (signed / "__pycache__" / "work.cpython-311.pyc").write_bytes(b"x")
    check(signed, key)


@pytest.mark.parametrize("name", ["plugin.yaml", "work.py", "lib/helper.py"])
def test_a_changed_file_is_refused_by_name(signed: Path, key: PrivateKey, name: str) -> None:
    with open(signed / name, "a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(NotTrusted, match=rf"{name} has changed: its SHA-256 is [0-9a-f]{{64}}, signed was"):
        check(signed, key)


def test_everything_that_is_wrong_is_told_at_once(signed: Path, key: PrivateKey) -> None:
    (signed / "lib" / "helper.py").unlink()
    (signed / "json.py").write_text("")
    (signed / "work.py").write_text("")
    with pytest.raises(NotTrusted) as caught:
        check(signed, key)
    assert [p.path for p in caught.value.problems] == ["json.py", "lib/helper.py", "work.py"]
    for text in ("json.py is not signed", "lib/helper.py was signed and is missing", "work.py has changed"):
        assert text in str(caught.value)


def test_another_key_is_refused_by_name(signed: Path) -> None:
    other = PrivateKey.generate()
    with pytest.raises(NotTrusted, match="which is not trusted to sign test.python"):
        check(signed, other)


def test_a_key_is_trusted_for_its_pattern_only(signed: Path, key: PrivateKey) -> None:
    with pytest.raises(NotTrusted, match="not trusted to sign test.python"):
        verify_plugin(read_manifest(signed / "plugin.yaml"), trusting(key, "acme.*"))


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "plugin.sig"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_statement_that_was_changed_does_not_match(signed: Path, key: PrivateKey) -> None:
    (signed / "added.py").write_text("")
    signature = read_signature(str(signed))
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    rewrite(signed, files={**signature.files, "added.py": empty})
    with pytest.raises(NotTrusted, match=r"plugin.sig does not match: it was changed, or not made with ed25519:"):
        check(signed, key)


def test_a_signature_claimed_for_a_trusted_key_does_not_match(signed: Path, key: PrivateKey) -> None:
    sign(signed, PrivateKey.generate())
    rewrite(signed, key=key.public)
    with pytest.raises(NotTrusted, match="does not match"):
        check(signed, key)


def test_the_signature_of_another_version_is_refused(signed: Path, key: PrivateKey) -> None:
    manifest = signed / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("1.0.0", "1.0.1"))
    with pytest.raises(NotTrusted, match=r"is for test.python 1.0.0, not test.python 1.0.1"):
        check(signed, key)


def test_a_manifest_that_changed_after_it_was_read_is_refused(signed: Path, key: PrivateKey) -> None:
    before = read_manifest(signed / "plugin.yaml")
    with open(signed / "plugin.yaml", "a", encoding="utf-8") as file:
        file.write("summary: another\n")
    sign(signed, key)
    with pytest.raises(NotTrusted, match="plugin.yaml has changed since it was read"):
        verify_plugin(before, trusting(key))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"schema": 2}, "schema"),
        ({"files": {"a": "12"}}, "files.a"),
        ({"key": "rsa:AAAA"}, "key"),
        ({"key": "ed25519:AAAA"}, "key"),
        ({"more": 1}, "more"),
    ],
)
def test_a_broken_signature_file_says_where(signed: Path, key: PrivateKey, changes: Any, place: str) -> None:
    rewrite(signed, **changes)
    with pytest.raises(ManifestError) as caught:
        check(signed, key)
    assert [p.path for p in caught.value.problems] == [place]
    assert caught.value.file == str(signed / "plugin.sig")


@pytest.mark.parametrize("keep", [0, 1, 40, -3])
def test_a_truncated_signature_file_is_no_json(signed: Path, key: PrivateKey, keep: int) -> None:
    path = signed / "plugin.sig"
    path.write_text(path.read_text()[:keep])
    with pytest.raises(ManifestError, match="not JSON"):
        check(signed, key)


def test_a_pipe_is_no_signature(signed: Path, key: PrivateKey) -> None:
    (signed / "plugin.sig").unlink()
    os.mkfifo(signed / "plugin.sig")
    with pytest.raises(ManifestError, match="expected a regular file"):
        check(signed, key)


@pytest.mark.parametrize("signature", ["no base64", "AAAA", ""])
def test_what_is_no_signature_is_refused(signed: Path, key: PrivateKey, signature: str) -> None:
    rewrite(signed, signature=signature)
    with pytest.raises(NotTrusted, match=r"plugin.sig(: signature expected base64| does not match)"):
        check(signed, key)


def test_what_a_signature_cannot_cover_is_not_signed(signed: Path, key: PrivateKey) -> None:
    (signed / "linked").symlink_to("/usr", target_is_directory=True)
    with pytest.raises(NotTrusted, match="linked is a link to a folder"):
        sign(signed, key)
    (signed / "linked").unlink()
    os.mkfifo(signed / "pipe")
    with pytest.raises(NotTrusted, match="pipe is no regular file"):
        sign(signed, key)


def test_a_plugin_is_built_before_it_is_signed(tmp_path: Path, key: PrivateKey) -> None:
    (tmp_path / "plugin.yaml").write_text("id: a.b\nversion: 1.0.0\nentry: x.so\n")
    with pytest.raises(NotTrusted, match="x.so is not there: build it before signing"):
        sign(tmp_path, key)
    assert not (tmp_path / "plugin.sig").exists()


def test_a_strict_policy_loads_what_is_signed(signed: Path, key: PrivateKey) -> None:
    with pytest.raises(LifecycleError):  # it was loaded and answered, and its host is closed
        load(signed, strict(key, require_sha256=True)).add(1)


def test_a_strict_policy_refuses_what_is_not_signed(signed: Path, key: PrivateKey) -> None:
    (signed / "plugin.sig").unlink()
    with pytest.raises(NotTrusted, match="plugin.sig is missing: the plugin is not signed"):
        load(signed, strict(key))


def test_without_signature_a_python_plugin_has_no_checksum(signed: Path) -> None:
    with pytest.raises(ContractError, match="only have in a trusted signature"):
        load(signed, Policy(inline=["*"], require_sha256=True))


def test_with_trusted_keys_a_signature_must_hold_where_there_is_one(signed: Path, key: PrivateKey) -> None:
    policy = Policy(inline=["*"], trust=trusting(key))
    (signed / "work.py").write_text(PYTHON + "\n")
    with pytest.raises(NotTrusted, match="work.py has changed"):
        load(signed, policy)
    (signed / "plugin.sig").unlink()
    load(signed, policy)


def test_a_native_plugin_is_verified_and_the_audit_log_says_by_whom(plugins: PluginFolder, key: PrivateKey) -> None:
    lines: list[dict[str, Any]] = []
    folder = plugins.counter()
    sign(folder, key)
    audit = AuditLog(lambda line: lines.append(json.loads(line)))
    with Host(strict(key), contracts=[Counter, Logger], audit=audit) as host:
        host.discover(plugins.root)
        host.load("test.counter")
        assert host.get(Counter).add(3) == 3
        (verified,) = [line for line in lines if line["event"] == "verified"]
        assert (verified["plugin"], verified["key"], verified["signer"]) == ("test.counter", key.public, "the tests")
        plugins.counter('-DNAME="second"')  # a new build, not signed
        with pytest.raises(NotTrusted, match="plugin.so has changed"):
            host.reload("test.counter")
        assert host.get(Counter).add(1) == 4  # the signed one serves on


class TestKeys:
    def test_a_key_comes_back_from_its_file_which_is_private(self, tmp_path: Path, key: PrivateKey) -> None:
        key.write(tmp_path / "key")
        assert PrivateKey.read(tmp_path / "key").public == key.public
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600

    def test_a_file_that_exists_is_not_overwritten(self, tmp_path: Path, key: PrivateKey) -> None:
        (tmp_path / "key").write_text("precious")
        with pytest.raises(SystemFailure, match="File exists"):
            key.write(tmp_path / "key")
        assert (tmp_path / "key").read_text() == "precious"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024"], "of another kind than Ed25519"),
            (["-algorithm", "ed25519", "-aes256", "-pass", "pass:secret"], "is encrypted; decrypt it first"),
        ],
    )
    def test_keys_of_openssl_that_cannot_sign(self, tmp_path: Path, options: list[str], message: str) -> None:
        openssl = needs.program("openssl", "openssl")
        subprocess.run([openssl, "genpkey", *options, "-out", tmp_path / "key"], check=True, capture_output=True)
        with pytest.raises(Unsupported, match=message):
            PrivateKey.read(tmp_path / "key")

    def test_what_is_no_key(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("hello")
        with pytest.raises(Unsupported, match="holds no private key in PEM"):
            PrivateKey.read(tmp_path / "key")
        with pytest.raises(NotFound):
            PrivateKey.read(tmp_path / "nowhere")

    def test_openssl_makes_the_key_and_confirms_the_signature(self, tmp_path: Path, signed: Path) -> None:
        openssl = needs.program("openssl", "openssl")
        pem, public = tmp_path / "key", tmp_path / "public"
        subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", pem], check=True)
        subprocess.run([openssl, "pkey", "-in", pem, "-pubout", "-out", public], check=True)
        sign(signed, PrivateKey.read(pem))
        signature = read_signature(str(signed))
        (tmp_path / "message").write_bytes(signature.message)
        (tmp_path / "sig").write_bytes(base64.b64decode(signature.signature))
        command: list[str | Path] = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"]
        run = subprocess.run(
            [*command, "-in", tmp_path / "message", "-sigfile", tmp_path / "sig"], check=False, capture_output=True
        )
        assert run.returncode == 0, run.stderr
        # RFC 8410: the public key is the last 32 bytes of the structure that openssl writes.
        der = base64.b64decode("".join(public.read_text().splitlines()[1:-1]))
        assert signature.key == "ed25519:" + base64.b64encode(der[-32:]).decode()


class TestTrustStore:
    def test_lines_comments_and_blanks(self, tmp_path: Path, key: PrivateKey) -> None:
        (tmp_path / "trust").write_text(f"# who\n\nacme.* {key.public} Acme, releases\n  b.c\t{key.public}\n")
        store = TrustStore.read(tmp_path / "trust")
        assert store.keys == (
            TrustedKey("acme.*", key.public, "Acme, releases"),
            TrustedKey("b.c", key.public),
        )

    def test_every_wrong_line_is_told(self, tmp_path: Path, key: PrivateKey) -> None:
        lines = ["acme.*", f"ok.* {key.public}", "a.b rsa:AAAA", "a.b ed25519:AAAA", "a.b ed25519:?"]
        (tmp_path / "trust").write_text("\n".join(lines))
        with pytest.raises(ManifestError) as caught:
            TrustStore.read(tmp_path / "trust")
        assert [p.path for p in caught.value.problems] == ["line 1", "line 3", "line 4", "line 5"]

    def test_a_store_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            TrustStore.read(tmp_path / "trust")

    def test_what_is_no_key_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match="starts with ed25519:"):
            TrustStore((TrustedKey("*", "AAAA"),))


def test_without_the_package_it_is_said_what_to_install() -> None:
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from latebind import Unsupported\nfrom latebind.sandbox import PrivateKey\n"
        "try:\n    PrivateKey.generate()\nexcept Unsupported as e:\n    print(e)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'latebind[sign]'" in run.stdout
