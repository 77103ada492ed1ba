"""The process of one trial of `latebind plugin check --run`: `python -P -m latebind.cli.child ORDER`, for check.py.

What it has to tell goes, a JSON document a line, to the descriptor that the order names: before a crash, too.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latebind.contracts.declared import Mismatch


class Teller:
    """A report that writes each line at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def step(self, text: str) -> None:
        """What is done next."""
        self._tell("step", text)

    def finding(self, found: Mismatch) -> None:
        """Something is not as it should be."""
        self._tell("finding", [found.what, found.expected, found.found])

    def note(self, text: str) -> None:
        """Something worth telling."""
        self._tell("note", text)

    def end(self) -> None:
        """All was done."""
        self._tell("end", value=True)

    def _tell(self, kind: str, value: object) -> None:
        os.write(self._descriptor, (json.dumps({kind: value}) + "\n").encode())


def main(text: str) -> None:
    """Do what the order says."""
    from latebind.cli.definitions import contract_class
    from latebind.cli.places import as_declared
    from latebind.plugin import read_manifest
    from latebind.plugin.trials import Tryout

    order = json.loads(text)
    teller = Teller(order["told"])
    manifest = read_manifest(order["manifest"])
    contracts = [contract_class(place) for place in order["contracts"]]
    policy = as_declared(manifest, order["places"])
    # The kernel ends this process, whatever the plugin does; what comes before is not the plugin's time.
    signal.setitimer(signal.ITIMER_REAL, order["timeout"])
    tryout = Tryout(manifest, policy, contracts, teller, places=order["places"], config=order["config"])
    tryout.run(order["trial"])
    signal.setitimer(signal.ITIMER_REAL, 0)
    teller.end()


if __name__ == "__main__":
    main(sys.argv[1])
