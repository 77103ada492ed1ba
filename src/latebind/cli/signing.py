"""`latebind plugin keygen`, `sign` and `verify`: who made a plugin, and whether it is still what they made."""

from __future__ import annotations

import os

import click

from latebind.cli.files import print_document, print_lines


@click.command()
@click.argument("file", metavar="FILE")
def keygen(file: str) -> None:
    """Make a key to sign plugins with: the private half in the new file FILE, the public half is printed.

    Keep FILE secret. Operators put the printed key in their trust store, a file of lines PATTERN KEY COMMENT, where
    PATTERN are the ids of the plugins that the key may sign, such as acme.*
    """
    from latebind.sandbox import PrivateKey

    key = PrivateKey.generate()
    key.write(file)
    print_lines([key.public])


@click.command()
@click.argument("place", metavar="DIR")
@click.option("--key", "file", metavar="FILE", required=True, help="The private key, an Ed25519 key in PEM.")
def sign(place: str, file: str) -> None:
    """Sign every file of the plugin in DIR as it is now, in DIR/plugin.sig."""
    from latebind.cli.places import manifest_in
    from latebind.plugin import sign_plugin
    from latebind.sandbox import PrivateKey

    manifest = manifest_in(place)
    key = PrivateKey.read(file)
    print_lines([f"{sign_plugin(manifest, key)}: {manifest}, signed by {key.public}"])


@click.command()
@click.argument("place", metavar="DIR")
@click.option("--trust", "store", metavar="FILE", envvar="LATEBIND_TRUST",
              help="The trust store (default: $LATEBIND_TRUST or ~/.config/latebind/trust).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def verify(place: str, store: str | None, as_json: bool) -> None:  # noqa: FBT001  (click passes options by keyword)
    """Check that a trusted key signed the plugin in DIR, and that every file is as it was then. Nothing is run."""
    from latebind.cli.places import manifest_in
    from latebind.plugin import verify_plugin
    from latebind.sandbox import TrustStore

    manifest = manifest_in(place)
    signature, trusted = verify_plugin(manifest, TrustStore.read(store or _own_store()))
    if as_json:
        print_document({
            "schema": 1, "id": manifest.id, "version": str(manifest.version), "key": signature.key,
            "pattern": trusted.pattern, "comment": trusted.comment, "files": dict(signature.files),
        })  # fmt: skip
        return
    count = len(signature.files)
    whose = f" ({trusted.comment})" if trusted.comment else ""
    print_lines([
        f"{manifest} is as it was signed: {count} file{'s' if count != 1 else ''}",
        f"  by {signature.key}{whose}, trusted for {trusted.pattern}",
    ])  # fmt: skip


def _own_store() -> str:
    # The XDG Base Directory Specification: an unset or relative $XDG_CONFIG_HOME means ~/.config.
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.config"), "latebind", "trust")
