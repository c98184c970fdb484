"""A TCP proxy on loopback that can be told to misbehave: refuse, reset at once, lose answers.

with Proxy(port) as proxy:
    proxy.mode = "refuse"       # new connections are reset before a byte, open ones are cut
    proxy.mode = "deaf"         # requests go through, their answers are lost: the connection is reset
    proxy.mode = "open"
"""

import contextlib
import socket
import struct
import threading
from typing import Literal, Self

Mode = Literal["open", "refuse", "deaf"]


class Proxy:
    """Forwards ``port`` of its own to ``target`` on 127.0.0.1; ``cuts`` counts what it broke."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._mode: Mode = "open"
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._cut = threading.Event()
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "refuse":
            self.cut()

    def wait_for_cut(self, timeout: float = 30) -> None:
        """Wait until an answer was lost, or a connection refused, now or before."""
        if not self._cut.wait(timeout):
            raise TimeoutError("the proxy had nothing to break")

    def _count(self, number: int = 1) -> None:
        with self._guard:
            self.cuts += number
        if number:
            self._cut.set()

    def cut(self) -> None:
        """Reset every open connection."""
        with self._guard:
            for connection in self._open:
                _reset(connection)
            broken = len(self._open) // 2
            self._open.clear()
        self._count(broken)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._mode == "refuse":
                self._count()
                _reset(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                _reset(client)
                continue
            for each in (client, server):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._guard:
                self._open |= {client, server}
            threading.Thread(
                target=self._pump, args=(client, server), kwargs={"answers": False}, daemon=True
            ).start()
            threading.Thread(
                target=self._pump, args=(server, client), kwargs={"answers": True}, daemon=True
            ).start()

    def _pump(self, source: socket.socket, target: socket.socket, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if answers and self._mode == "deaf":
                    self._count()
                    break
                target.sendall(data)
        with self._guard:
            self._open -= {source, target}
        for each in (source, target):
            _reset(each)


def _reset(connection: socket.socket) -> None:
    # Lingering for 0 s makes the close a reset. The shutdown wakes the thread that reads from it.
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
