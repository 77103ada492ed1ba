"""Where a plugin runs and what it may do: capabilities, the host's policy, the audit log.

Only `inline` so far: the plugin's imports are checked before it is loaded, and that is hygiene, no boundary.
"""

from latebind.sandbox.audit import AuditLog
from latebind.sandbox.capability import Capability, covered
from latebind.sandbox.implied import IMPLIED, Implied, implied_by
from latebind.sandbox.policy import Isolation, Policy, check, check_declared, require_inline, undeclared
from latebind.sandbox.trust import PrivateKey, TrustedKey, TrustStore, public_bytes, verify

__all__ = [
    "IMPLIED",
    "AuditLog",
    "Capability",
    "Implied",
    "Isolation",
    "Policy",
    "PrivateKey",
    "TrustStore",
    "TrustedKey",
    "check",
    "check_declared",
    "covered",
    "implied_by",
    "public_bytes",
    "require_inline",
    "undeclared",
    "verify",
]
