"""How a worker process is started and spoken to, with fork and without.

With fork, one fresh interpreter (no torch in it, nothing of this process copied) loads math-verify and
then forks a worker in milliseconds whenever one is asked for: see `symbolic_worker`. Without, every
worker is an interpreter of its own.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Protocol, cast

from vision_r1.core.errors import VisionR1Error

_PROGRAM = Path(__file__).with_name("symbolic_worker.py")
_START_SECONDS = 120.0
_GRACE = 0.1  # a worker ends itself at the limit; its owner waits this much longer to see that


class Worker(Protocol):
    """A process that answers one line with one line."""

    def ask(self, line: str, seconds: float) -> str | None:
        """The reply; None if the worker died or did not reply in time, and then it is of no more use."""

    def close(self) -> None:
        """End it."""


class Starter(Protocol):
    """What starts workers."""

    def new_worker(self) -> Worker:
        """Start one, ready to be asked. VisionR1Error if that cannot be done."""

    def close(self) -> None:
        """End what this keeps running beside the workers."""

    def abandon(self) -> None:
        """Forget it in a forked child of this process: it belongs to the parent."""


class SocketWorker:
    """A forked worker. Closing its socket ends it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def ask(self, line: str, seconds: float) -> str | None:
        """See `Worker`."""
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(line.encode())
        except OSError:
            return None
        return _read_line(self._socket, seconds + _GRACE)

    def close(self) -> None:
        """See `Worker`."""
        self._socket.close()


class ForkServer:
    """The interpreter that forks workers. Raises VisionR1Error if it cannot be started."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = _popen(
                [str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # Ctrl-C is for the owner, which may want to end in its own time.
                start_new_session=True,
            )
        if _read_line(self._control, _START_SECONDS) is None:
            self.close()
            raise _no_start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def new_worker(self) -> SocketWorker:
        """See `Starter`."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise _no_start() from None
        if _read_line(ours, _START_SECONDS) is None:
            ours.close()
            raise _no_start()
        return SocketWorker(ours)

    def close(self) -> None:
        """See `Starter`."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def abandon(self) -> None:
        """See `Starter`."""
        self._control.close()
        self._process.returncode = 0  # not this process's child: nothing to wait for


class PipeWorker:
    """A worker that is an interpreter of its own, and is killed when it does not reply."""

    def __init__(self) -> None:
        self._process = _popen([], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        self._requests = cast(IO[str], self._process.stdin)
        self._replies: queue.Queue[str | None] = queue.Queue()
        # A thread reads, because a pipe cannot be waited on with a time limit on every system.
        stdout = cast(IO[str], self._process.stdout)
        reader = threading.Thread(target=_pump, args=(stdout, self._replies), daemon=True)
        reader.start()
        if self._reply(_START_SECONDS) is None:
            self.close()
            raise _no_start()

    def ask(self, line: str, seconds: float) -> str | None:
        """See `Worker`."""
        try:
            self._requests.write(line)
            self._requests.flush()
        except OSError:
            return None
        return self._reply(seconds)

    def close(self) -> None:
        """See `Worker`."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):  # an unsent request dies with its reader
            self._requests.close()

    def _reply(self, seconds: float) -> str | None:
        try:
            return self._replies.get(timeout=seconds)
        except queue.Empty:
            return None


class SpawnStarter:
    """Starts a `PipeWorker` each time; keeps nothing running."""

    def new_worker(self) -> PipeWorker:
        """See `Starter`."""
        return PipeWorker()

    def close(self) -> None:
        """See `Starter`."""

    def abandon(self) -> None:
        """See `Starter`."""


def _popen(arguments: list[str], **how: Any) -> subprocess.Popen[Any]:
    # -P: a file of the working directory called sympy.py must not be imported for sympy.
    command = [sys.executable, "-P", str(_PROGRAM), *arguments]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, **how)


def _read_line(connection: socket.socket, seconds: float) -> str | None:
    """One line, or None if the other side is gone or silent for `seconds` in all."""
    end = time.monotonic() + seconds
    received = b""
    while not received.endswith(b"\n"):
        try:
            connection.settimeout(max(end - time.monotonic(), 0.001))
            piece = connection.recv(65536)
        except OSError:
            return None
        if not piece:
            return None
        received += piece
    return received.decode()


def _pump(stream: IO[str], replies: queue.Queue[str | None]) -> None:
    with stream:
        for line in stream:
            replies.put(line)
    replies.put(None)


def _no_start() -> VisionR1Error:
    return VisionR1Error(
        "the symbolic grader did not start",
        where="vision_r1.grading.symbolic_worker",
        fix="check that math-verify[antlr4_13_2] is installed: vision-r1 doctor",
    )
