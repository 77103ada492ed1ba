"""A host of one plugin: loads the tokenizer, counts the tokens of each line that is typed, reloads on "reload".

$ python build.py && echo "late binding is simple" | python host.py
"""

import sys
from pathlib import Path

from contract import Logger, Tokenizer

from latebind import Host, LatebindError, Policy

HERE = Path(__file__).parent


class StandardError:
    """The host's logger: the service that the plugin's `host_logger_info` is bound to."""

    def info(self, text: str) -> None:
        """Write one line."""
        print(f"[log] {text}", file=sys.stderr)


def main() -> None:
    """Serve standard input, line by line."""
    policy = Policy(inline=["acme.tokenizer"])  # we wrote it: it may run in this process, without any capability
    with Host(policy, services={Logger: StandardError()}, contracts=[Tokenizer]) as host:
        host.discover(HERE)
        host.load("acme.tokenizer")
        tokenizer = host.get(Tokenizer)  # late-bound: stays good when the code behind it is replaced
        for line in sys.stdin:
            if line.strip() == "reload":
                reload(host)
            else:
                print(f"{tokenizer.count(line)} tokens; {tokenizer.seen()} texts seen")


def reload(host: Host) -> None:
    """Put what was built last in place of what runs; on failure what runs goes on."""
    try:
        report = host.reload("acme.tokenizer")
    except LatebindError as e:
        print(f"not reloaded: {e}")
    else:
        print(f"reloaded {report.new}: generation {report.generation}, calls held {report.held * 1000:.2f} ms")


if __name__ == "__main__":
    main()
