"""Plugins: manifests, registry, dependency resolution, services, life cycle, hot reload. The `Host` is all of it."""

from latebind.plugin.host import Host, PluginStatus
from latebind.plugin.manifest import (
    Limits,
    Manifest,
    Provided,
    Required,
    manifest_schema,
    parse_manifest,
    read_manifest,
)
from latebind.plugin.pykind import PluginContext
from latebind.plugin.registry import Discovery, Registry, Rejected
from latebind.plugin.reload import ReloadReport
from latebind.plugin.signing import Signature, is_signed, read_signature, sign_plugin, verify_plugin

__all__ = [
    "Discovery",
    "Host",
    "Limits",
    "Manifest",
    "PluginContext",
    "PluginStatus",
    "Provided",
    "Registry",
    "Rejected",
    "ReloadReport",
    "Required",
    "Signature",
    "is_signed",
    "manifest_schema",
    "parse_manifest",
    "read_manifest",
    "read_signature",
    "sign_plugin",
    "verify_plugin",
]
