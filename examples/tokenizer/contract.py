"""What a tokenizer is: the contract between the host program and its plugins, and the service that they may use."""

from typing import Protocol

from latebind.contracts import contract


@contract("acme.tokenizer", version="1.2.0")
class Tokenizer(Protocol):
    """Splits text into tokens."""

    def count(self, text: str) -> int:
        """Number of tokens in `text`."""
        ...

    def longest(self, text: str) -> str:
        """The longest token of `text`; the first of several, the empty text without any."""
        ...

    def seen(self) -> int:
        """How many texts were counted so far, by this build of the plugin and those before it."""
        ...


@contract("host.logger", version="1.0.0")
class Logger(Protocol):
    """Writes lines for the operator."""

    def info(self, text: str) -> None:
        """Write one line."""
        ...
