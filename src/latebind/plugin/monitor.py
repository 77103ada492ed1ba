"""Statistics of a running host, on a Unix socket: what `latebind plugin top` looks at.

    with Host(…) as host, Monitor(host): …

The socket lies in a folder of the user's own, is readable and writable for that user alone (mode 0600), and answers
only processes of the same user, or root, by what the kernel says of the other side (SO_PEERCRED, unix(7)). For each
line that arrives it answers with one line of JSON (metrics.py). It tells; nothing can be changed through it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import stat
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from latebind.closing import Closing
from latebind.errors import NotFound, SystemFailure, Tried
from latebind.plugin.metrics import snapshot

if TYPE_CHECKING:
    from latebind.plugin.host import Host

CLIENTS: Final = 8
"""How many may look at one time; another one is hung up on."""
IDLE: Final = 60.0
"""Seconds without a question after which a client is hung up on."""
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid
_numbers = itertools.count(1)


class Monitor(Closing):
    """Serves the statistics of `host`, from threads of its own, until it is closed. A context manager.

    `path` is the socket's; by default it lies in `runtime_folder()` and has the process's id in its name, so that
    `latebind plugin top` finds it. Raises `SystemFailure` where it cannot be made.
    """

    def __init__(self, host: Host, path: str | os.PathLike[str] | None = None) -> None:
        self._host = host
        self.path = os.fspath(path) if path is not None else _own_path()
        self._socket = _listen(self.path)
        self._closed = False
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, name="latebind-monitor", daemon=True).start()

    def close(self) -> None:
        """Hang up on everyone and remove the socket. More than once does no harm."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            clients = [*self._clients]
        with contextlib.suppress(FileNotFoundError):  # somebody tidied up
            os.unlink(self.path)
        for one in (self._socket, *clients):
            with contextlib.suppress(OSError):  # it may have hung up; closing alone would not wake its thread
                one.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:  # it is closed
                return
            with self._lock:
                welcome = not self._closed and len(self._clients) < CLIENTS and _same_user(client)
                if welcome:
                    self._clients.add(client)
            if not welcome:
                client.close()
                continue
            threading.Thread(target=self._answer, args=(client,), name="latebind-monitor-client", daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        """One line for each line, until the client hangs up or is silent for too long."""
        client.settimeout(IDLE)
        try:
            with contextlib.suppress(OSError), client:  # whatever ends the connection ends only that
                while (received := client.recv(4096)) and not self._closed:
                    for _ in range(received.count(b"\n")):
                        client.sendall(json.dumps(snapshot(self._host), default=str).encode() + b"\n")
        finally:
            with self._lock:
                self._clients.discard(client)


@dataclass(frozen=True, slots=True)
class Running:
    """A host that can be looked at."""

    pid: int
    path: str


class Watcher(Closing):
    """The other side: asks a host's socket. A context manager.

    Raises `NotFound` where nobody listens, and `SystemFailure` for any other trouble.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(10)
        try:
            self._socket.connect(path)
        except (FileNotFoundError, ConnectionRefusedError) as e:
            self._socket.close()
            raise NotFound(f"a host behind {path}", None, (Tried(path, "nobody listens there"),)) from e
        except OSError as e:
            self._socket.close()
            raise SystemFailure("connect", e.errno or 0, path) from e
        self._lines = self._socket.makefile("rb")

    def ask(self) -> dict[str, Any]:
        """The host's statistics now (metrics.py). Raises `NotFound` when it has gone, or does not want us."""
        try:
            self._socket.sendall(b"\n")
            line = self._lines.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        except OSError as e:
            raise SystemFailure("read", e.errno or 0, self._path) from e
        if not line.endswith(b"\n"):
            raise NotFound(f"a host behind {self._path}", None, (Tried(self._path, "it hung up"),))
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


def runtime_folder() -> str:
    """Where the sockets of this user's hosts lie.

    `$XDG_RUNTIME_DIR/latebind` (XDG Base Directory Specification), or without that variable a folder in the temporary
    one, by the user's number. It is made with mode 0700 where it is missing. Raises `SystemFailure` if it belongs to
    somebody else or others may write to it.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = os.path.join(runtime, "latebind") if runtime else f"/tmp/latebind-{os.geteuid()}"  # noqa: S108 - see below
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        found = os.lstat(folder)
    except OSError as e:
        raise SystemFailure("mkdir", e.errno or 0, folder) from e
    # Anyone may have made it first in a shared folder.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
        import errno

        raise SystemFailure("use a folder that is not this user's alone", errno.EPERM, folder)
    return folder


def running_hosts() -> tuple[Running, ...]:
    """The hosts of this user that can be looked at, by process. Sockets that a killed process left are removed."""
    folder = runtime_folder()
    found = []
    for name in sorted(os.listdir(folder)):
        pid, path = name.partition("-")[0], os.path.join(folder, name)
        if not pid.isdecimal() or not name.endswith(".sock"):
            continue
        if os.path.exists(f"/proc/{pid}"):
            found.append(Running(int(pid), path))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    return tuple(found)


def _own_path() -> str:
    return os.path.join(runtime_folder(), f"{os.getpid()}-{next(_numbers)}.sock")


def _listen(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.bind(path)
        os.chmod(path, 0o600)  # before `listen`, so nobody could connect until now
        made.listen(CLIENTS)
    except OSError as e:
        made.close()
        raise SystemFailure("listen", e.errno or 0, path) from e
    return made


def _same_user(client: socket.socket) -> bool:
    """Whether the other side is a process of this user, or root's."""
    _, user, _ = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return user in {os.geteuid(), 0}
