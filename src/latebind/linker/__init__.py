"""Plan → running memory: library handles, namespaces, constructors and destructors, unloading."""

from latebind.linker.library import Library
from latebind.linker.loading import load, plan
from latebind.linker.namespace import Namespace, this_process

__all__ = ["Library", "Namespace", "load", "plan", "this_process"]
