"""Plan → running memory: library handles, namespaces, constructors and destructors, unloading."""

from latebind.linker import dl
from latebind.linker.library import Library
from latebind.linker.loading import load, plan
from latebind.linker.namespace import Namespace, this_process

__all__ = ["Library", "Namespace", "dl", "load", "plan", "this_process"]
