"""Plan → running memory: library handles, namespaces, constructors and destructors, unloading."""

from latebind.linker import dl
from latebind.linker.library import Library
from latebind.linker.loading import load, plan
from latebind.linker.namespace import Namespace, this_process
from latebind.linker.static import link
from latebind.linker.trace import Trace

__all__ = ["Library", "Namespace", "Trace", "dl", "link", "load", "plan", "this_process"]
