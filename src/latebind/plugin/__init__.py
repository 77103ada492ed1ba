"""Plugins: manifests, registry, dependency resolution, services, life cycle, hot reload. The `Host` is all of it."""

from latebind.plugin.activation import Activated, Activation
from latebind.plugin.breaker import BackOff
from latebind.plugin.events import Event, Events, State, Step, Subscription
from latebind.plugin.host import Host
from latebind.plugin.index import Index, Published, read_index
from latebind.plugin.inventory import PluginStatus
from latebind.plugin.kinds import Kind, Making, Staged
from latebind.plugin.manifest import (
    Limits,
    Manifest,
    Provided,
    Required,
    manifest_schema,
    parse_manifest,
    read_manifest,
)
from latebind.plugin.metrics import quantile, snapshot
from latebind.plugin.monitor import Monitor
from latebind.plugin.offers import Scope, ScopedService, per_call, per_plugin
from latebind.plugin.package import install, pack_plugin, remove
from latebind.plugin.pykind import PluginContext
from latebind.plugin.registry import Discovery, Registry, Rejected
from latebind.plugin.reload import ReloadReport
from latebind.plugin.resolve import Resolution
from latebind.plugin.signing import Signature, is_signed, read_signature, sign_plugin, verify_plugin
from latebind.plugin.statistics import MethodStatistics
from latebind.plugin.telemetry import Instrumentation, instrument
from latebind.plugin.timelimit import TimeLimits
from latebind.plugin.workers import Workers, WorkerStatistics

__all__ = [
    "Activated",
    "Activation",
    "BackOff",
    "Discovery",
    "Event",
    "Events",
    "Host",
    "Index",
    "Instrumentation",
    "Kind",
    "Limits",
    "Making",
    "Manifest",
    "MethodStatistics",
    "Monitor",
    "PluginContext",
    "PluginStatus",
    "Provided",
    "Published",
    "Registry",
    "Rejected",
    "ReloadReport",
    "Required",
    "Resolution",
    "Scope",
    "ScopedService",
    "Signature",
    "Staged",
    "State",
    "Step",
    "Subscription",
    "TimeLimits",
    "WorkerStatistics",
    "Workers",
    "install",
    "instrument",
    "is_signed",
    "manifest_schema",
    "pack_plugin",
    "parse_manifest",
    "per_call",
    "per_plugin",
    "quantile",
    "read_index",
    "read_manifest",
    "read_signature",
    "remove",
    "sign_plugin",
    "snapshot",
    "verify_plugin",
]
