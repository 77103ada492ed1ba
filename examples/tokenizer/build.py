"""Compile the tokenizer: write the headers of its contracts, then run the machine's `cc` (or `$CC`).

`python build.py` builds beside the source; arguments are further flags: `python build.py '-DSEPARATORS=" ,."'`.
"""

import sys
from pathlib import Path

from contract import Logger, Tokenizer

from latebind.testing import compile_plugin

HERE = Path(__file__).parent


def main() -> None:
    """Build."""
    output = HERE / "libacme_tokenizer.so"
    compile_plugin(HERE / "tokenizer.c", output, [Tokenizer, Logger], flags=sys.argv[1:])
    print(f"built {output.name}")


if __name__ == "__main__":
    main()
