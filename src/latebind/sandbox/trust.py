"""Whom the host trusts to sign plugins: Ed25519 keys (RFC 8032), each for the plugins that its owner may sign.

Keys and signatures are texts (`ed25519:` and base64). The arithmetic is that of the optional package `cryptography`,
which is imported when the first signature is made or checked.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from latebind.errors import ManifestError, NotFound, Problem, SystemFailure, Tried, Unsupported

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX: Final = "ed25519:"
_KEY_SIZE: Final = 32  # bytes; RFC 8032, 5.1.5
_LARGEST: Final = 1 << 20  # bytes of a key file or trust store


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, the `pattern` of the plugin ids that it may sign, and a `comment`: whose it is."""

    pattern: str
    key: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The keys that are trusted. Empty, it trusts nobody. Raises ValueError for what is no public key."""

    keys: tuple[TrustedKey, ...] = ()

    def __post_init__(self) -> None:
        for trusted in self.keys:
            public_bytes(trusted.key)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TrustStore:
        """Read a file of lines `PATTERN KEY COMMENT`, as OpenSSH's allowed_signers; `#` begins a comment line.

        Raises `NotFound`, `SystemFailure`, or `ManifestError` with every wrong line.
        """
        name = os.fspath(path)
        keys: list[TrustedKey] = []
        wrong: list[Problem] = []
        try:
            lines = _read(name).decode().splitlines()
        except UnicodeDecodeError as e:
            raise ManifestError(name, (Problem("", f"expected UTF-8 text: {e.reason} at byte {e.start}"),)) from e
        for number, line in enumerate(lines, 1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    keys.append(_trusted(line))
                except ValueError as e:
                    wrong.append(Problem(f"line {number}", str(e)))
        if wrong:
            raise ManifestError(name, tuple(wrong))
        return cls(tuple(keys))

    def signer(self, plugin: str, key: str) -> TrustedKey | None:
        """The entry that lets `key` sign the plugin, or None."""
        wanted = public_bytes(key)
        entries = (t for t in self.keys if public_bytes(t.key) == wanted)
        return next((t for t in entries if fnmatchcase(plugin, t.pattern)), None)


def public_bytes(key: str) -> bytes:
    """The 32 bytes of a public key `ed25519:…`. Raises ValueError."""
    if not key.startswith(_PREFIX):
        raise ValueError(f"expected a public key that starts with {_PREFIX}, not {key!r}")
    raw = _decode(key.removeprefix(_PREFIX))
    if len(raw) != _KEY_SIZE:
        raise ValueError(f"expected a public key of {_KEY_SIZE} bytes, not {len(raw)}")
    return raw


def verify(key: str, signature: str, message: bytes) -> bool:
    """Whether `signature` (base64) is that of `key` over `message`. Raises ValueError for what is neither."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as e:
        raise _missing() from e
    try:
        Ed25519PublicKey.from_public_bytes(public_bytes(key)).verify(_decode(signature), message)
    except InvalidSignature:
        return False
    return True


class PrivateKey:
    """A key to sign with. `public` is its public half as text."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = _PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()

    @classmethod
    def generate(cls) -> PrivateKey:
        """A new key from the system's random numbers."""
        try:
            from cryptography.hazmat.primitives.asymmetric import ed25519
        except ImportError as e:
            raise _missing() from e
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> PrivateKey:
        """Read a PEM file (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it.

        Raises `NotFound`, `SystemFailure`, or `Unsupported` for a file that holds no such key or an encrypted one.
        """
        name = os.fspath(path)
        data = _read(name)
        try:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import load_pem_private_key
        except ImportError as e:
            raise _missing() from e
        try:
            key = load_pem_private_key(data, None)
        except (ValueError, UnsupportedAlgorithm) as e:
            raise Unsupported(name, "holds no private key in PEM", _MAKE_ONE) from e
        except TypeError as e:  # so it says that a password is needed
            raise Unsupported(name, "the key is encrypted", "decrypt it first: openssl pkey -in KEY -out PLAIN") from e
        if not isinstance(key, Ed25519PrivateKey):
            raise Unsupported(name, "the key is of another kind than Ed25519", _MAKE_ONE)
        return cls(key)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the key to a new file that only its owner can read. Raises `SystemFailure`, if it exists too."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        name = os.fspath(path)
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(pem)
        except OSError as e:
            raise SystemFailure("write a private key", e.errno or 0, name) from e

    def sign(self, message: bytes) -> str:
        """The signature over `message`, in base64."""
        return base64.b64encode(self._key.sign(message)).decode()


_MAKE_ONE: Final = "latebind plugin keygen makes one"


def _trusted(line: str) -> TrustedKey:
    words = line.split(maxsplit=2)
    if len(words) < 2:
        raise ValueError(f"expected PATTERN KEY COMMENT, not {line.strip()!r}")
    public_bytes(words[1])
    return TrustedKey(words[0], words[1], words[2].strip() if len(words) > 2 else "")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise ValueError(f"expected base64, not {text!r}") from e


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            return file.read(_LARGEST)
    except FileNotFoundError as e:
        raise NotFound(name, None, (Tried(name, "no such file"),)) from e
    except OSError as e:
        raise SystemFailure("read", e.errno or 0, name) from e


def _missing() -> Unsupported:
    return Unsupported(
        "Ed25519 signatures", "they take the package cryptography, which is missing", "pip install 'latebind[sign]'"
    )
