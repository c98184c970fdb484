"""An Event Hubs-compatible AMQP broker on loopback, for the unmodified azure-eventhub SDK, sync and aio.

    with Broker({"usage": 4}) as broker:
        EventHubConsumerClient.from_connection_string(broker.connection_string("usage"), "$Default")
        broker.hubs["usage"].partitions[0].records       # what it holds

It runs on an event loop of its own thread, everything on that loop, so there are no locks; ``call`` does a
thing there. In memory only. Error texts, epochs and the quota of five readers are modelled on what the SDK
expects; the real service was not asked.
"""

import asyncio
import contextlib
import itertools
import re
import struct
import threading
import time
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from tests.support.amqp import (
    Described,
    Raw,
    Sym,
    annotations,
    array_of_text,
    decode,
    described,
    fields,
    frame,
    int32,
    map_section,
    section,
    sections,
    skip,
    timestamp,
    ubyte,
    uint,
    ulong,
    ushort,
)

T = TypeVar("T")
_FRAME = 65536
_MESSAGE = 1_048_576
_READERS = 5
_BATCH_FORMAT = 0x80013700
_CREDIT = 1000
_FILTER = re.compile(r"amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-time) (>=?) '([^']*)'")
_YEAR_1 = -62_135_596_800_000


class Refused(Exception):  # noqa: N818  an answer to the client, not an error of the broker
    """A condition and a text for the peer."""

    def __init__(self, condition: str, text: str = "") -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text


@dataclass(frozen=True, slots=True)
class Record:
    sequence_number: int
    offset: int
    enqueued_ms: int
    message: bytes
    """With the annotations of the broker."""

    @property
    def body(self) -> bytes:
        """The first data section's bytes."""
        for code, data in sections(self.message):
            if code == 0x75:
                return decode(data, skip(data, 1))[0]
        return b""


@dataclass
class Partition:
    """The log of one partition. Offsets rise by more than one and never equal sequence numbers."""

    records: list[Record] = field(default_factory=list)
    readers: list["Link"] = field(default_factory=list)
    first: int = 0
    next_offset: int = 1_000
    last_ms: int = _YEAR_1

    @property
    def next(self) -> int:
        return self.first + len(self.records)

    def append(self, parts: Mapping[int, bytes], key: bytes | None, now_ms: int) -> None:
        number, self.last_ms = self.next, max(now_ms, self.last_ms)
        told = {
            "x-opt-sequence-number": number,
            "x-opt-offset": str(self.next_offset),
            "x-opt-enqueued-time": timestamp(self.last_ms),
            **({"x-opt-partition-key": Raw(key)} if key else {}),
        }
        rest = b"".join(parts[code] for code in sorted(parts) if code > 0x72)
        message = parts.get(0x70, b"") + map_section(0x72, told) + rest
        self.records.append(Record(number, self.next_offset, self.last_ms, message))
        self.next_offset += len(message) + 64

    def seek(self, what: str, operator: str, value: str) -> int:
        """Return the sequence number to start at."""
        if what == "offset" and value in ("-1", "@latest"):
            return self.first if value == "-1" else self.next
        of = {"offset": "offset", "sequence-number": "sequence_number", "enqueued-time": "enqueued_ms"}[what]
        bisect = bisect_left if operator == ">=" else bisect_right
        return self.first + bisect(self.records, int(value), key=lambda record: getattr(record, of))

    def drop_head(self, count: int) -> None:
        """Retention: forget the oldest ``count`` records."""
        del self.records[:count]
        self.first += count


class Hub:
    def __init__(self, name: str, partitions: int, groups: Iterable[str] = ("$Default",)) -> None:
        self.name = name
        self.partitions = [Partition() for _ in range(partitions)]
        self.groups = {group.lower() for group in groups}
        self.created_ms = int(time.time() * 1000)
        self._turn = itertools.cycle(range(partitions))

    def route(self, key: bytes | None) -> int:
        if key is None:
            return next(self._turn)
        return zlib.crc32(bytes(decode(key)[0].encode())) % len(self.partitions)


class Link:
    """One link of a session, seen from the broker."""

    def __init__(self, session: "Session", handle: int, name: str, address: str, *, sends: bool) -> None:
        self.session = session
        self.handle = handle
        self.name = name
        self.address = address
        self.sends = sends
        self.credit = 0
        self.count = 0
        self.received = 0
        self.payload = bytearray()
        self.opening: list[Any] = []
        # a receiver of the peer
        self.hub: Hub | None = None
        self.partition: int | None = None
        self.group = ""
        self.epoch: int | None = None
        self.position = 0
        self.metrics = False


class Session:
    def __init__(self, connection: "Connection", channel: int, window: int) -> None:
        self.connection = connection
        self.channel = channel
        self.links: dict[int, Link] = {}
        self.window = window
        self.outgoing = 0
        self.incoming = 0


class Connection:
    """One client: a coroutine reads frames and answers."""

    def __init__(self, broker: "Broker", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broker = broker
        self.reader = reader
        self.writer = writer
        self.sessions: dict[int, Session] = {}
        self.max_frame = _FRAME

    async def run(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await self.reader.readexactly(8)
                if head[:4] == b"AMQP":
                    self.writer.write(head)
                    if head[4] == 3:
                        mechanisms = [Sym("ANONYMOUS"), Sym("MSSBCBS")]
                        self.writer.write(frame(0, described(0x40, mechanisms), 1))
                    continue
                size, offset, _, channel = struct.unpack(">IBBH", head)
                body = (await self.reader.readexactly(size - 8))[(offset - 2) * 4 :]
                if body and not self.on(channel, body):
                    break
                await self.writer.drain()
        self.drop()

    def drop(self) -> None:
        for session in list(self.sessions.values()):
            self.forget(session)
        self.sessions.clear()
        self.broker.connections.discard(self)
        self.writer.close()

    def forget(self, session: Session) -> None:
        for link in list(session.links.values()):
            self.broker.unbind(link)
        session.links.clear()

    def send(self, channel: int, code: int, *values: Any, payload: bytes = b"") -> None:
        if not self.writer.is_closing():  # the peer is gone; the reader will notice
            self.writer.write(frame(channel, described(code, *values) + payload))

    def on(self, channel: int, body: bytes) -> bool:  # noqa: C901  one case a performative
        """Handle one frame; False ends the connection."""
        code, at = decode(body, 1)
        raw = fields(body, at)
        values = [
            decode(each)[0] if number not in (5, 6) or code != 0x12 else None
            for number, each in enumerate(raw)
        ]
        values += [None] * (14 - len(values))
        payload = body[skip(body, at) :]
        session = self.sessions.get(channel)
        match code:
            case 0x41:
                self.writer.write(frame(0, described(0x44, ubyte(0)), 1))
            case 0x10:
                self.max_frame = min(values[2] or _FRAME, _FRAME)
                self.send(channel, 0x10, "broker", values[1], uint(_FRAME), ushort(255))
            case 0x11:
                session = self.sessions[channel] = Session(self, channel, values[2] or 0)
                session.incoming = values[1] or 0
                wide = uint(0x7FFFFFFF)
                self.send(channel, 0x11, ushort(channel), uint(0), wide, wide, uint(255))
            case 0x18:
                self.send(channel, 0x18)
                return False
            case _ if session is None:
                pass  # the SDK detaches links of sessions it has ended
            case 0x12:
                self.attach(session, values, raw)
            case 0x13:
                self.flow(session, values)
            case 0x14:
                self.transfer(session, values, payload)
            case 0x16:
                link = session.links.pop(values[0], None)
                if link:
                    self.broker.unbind(link)
                    self.send(channel, 0x16, uint(values[0]), bool(values[1]))
            case 0x17:
                self.forget(session)
                del self.sessions[channel]
                self.send(channel, 0x17)
        return True

    def attach(self, session: Session, values: list[Any], raw: list[bytes]) -> None:
        name, handle, receives = values[0], values[1], bool(values[2])
        source, target = Raw(raw[5]), Raw(raw[6])
        terminus = decode(source if receives else target)[0]
        address = re.sub(r"^\w+://[^/]*/", "", str(terminus.value[0] or "")).strip("/")
        link = Link(session, handle, name, address, sends=receives)
        modes = [ubyte(values[3] or 0), ubyte(values[4] or 0)]
        tail = [None, None, uint(0) if receives else None, ulong(_MESSAGE)]
        try:
            filters = terminus.value[7] if receives and len(terminus.value) > 7 else None
            self.broker.bind(link, filters, values[13] or {}, values[12] or [])
        except Refused as refusal:
            self.send(session.channel, 0x12, name, uint(handle), not receives, *modes, None, None, *tail)
            self.detach(link, refusal)
            return
        session.links[handle] = link
        self.send(session.channel, 0x12, name, uint(handle), not receives, *modes, source, target, *tail)
        if not receives:
            self.grant(link)

    def detach(self, link: Link, refusal: Refused) -> None:
        link.session.links.pop(link.handle, None)
        error = described(0x1D, Sym(refusal.condition), refusal.text)
        self.send(link.session.channel, 0x16, uint(link.handle), True, error)  # noqa: FBT003  the field `closed`

    def grant(self, link: Link) -> None:
        session, wide = link.session, uint(0x7FFFFFFF)
        self.send(
            session.channel,
            0x13,
            uint(session.incoming),
            wide,
            uint(session.outgoing),
            wide,
            uint(link.handle),
            uint(link.received),
            uint(_CREDIT),
        )

    def flow(self, session: Session, values: list[Any]) -> None:
        next_incoming = values[0] if values[0] is not None else 0
        session.window = next_incoming + (values[1] or 0) - session.outgoing
        link = session.links.get(values[4]) if values[4] is not None else None
        if link and link.sends:
            link.credit = (values[5] or 0) + (values[6] or 0) - link.count
        for each in session.links.values():
            self.broker.pump(each)

    def transfer(self, session: Session, values: list[Any], payload: bytes) -> None:
        link = session.links.get(values[0])
        if link is None:
            return
        if not link.payload and not link.opening:
            link.opening = values
        link.payload += payload
        if values[5]:
            return
        message, opening = bytes(link.payload), link.opening
        link.payload, link.opening = bytearray(), []
        session.incoming += 1
        link.received += 1
        state = described(0x24)
        try:
            self.broker.incoming(link, message, opening[3] or 0)
        except Refused as refusal:
            state = described(0x25, described(0x1D, Sym(refusal.condition), refusal.text))
        if not opening[4]:
            number = uint(opening[1] or 0)
            self.send(session.channel, 0x15, True, number, number, True, state)  # noqa: FBT003  role and settled
        if link.received % 100 == 0:
            self.grant(link)

    def deliver(self, link: Link, message: bytes) -> None:
        """One delivery, settled already: the SDK never settles what it streams."""
        session, room = link.session, self.max_frame - 128
        pieces = [message[at : at + room] for at in range(0, len(message), room)] or [b""]
        for number, piece in enumerate(pieces):
            more = number + 1 < len(pieces)
            # One tag for all: the SDK remembers every distinct one for ever.
            self.send(
                session.channel,
                0x14,
                uint(link.handle),
                uint(link.count),
                b"t",
                uint(0),
                True,  # noqa: FBT003  settled
                more,
                payload=piece,
            )
            session.outgoing += 1
            session.window -= 1
        link.count += 1
        link.credit -= 1


class Broker:
    """``hubs``: name to number of partitions. ``hook`` may raise ``Refused`` for what is sent to a link."""

    def __init__(self, hubs: Mapping[str, int], groups: Iterable[str] = ("$Default",)) -> None:
        self.hubs = {name.lower(): Hub(name, count, groups) for name, count in hubs.items()}
        self.hook: Callable[[Link], None] = lambda _: None
        self.connections: set[Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self.thefts = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=4 * 1024 * 1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server:
            self._server.close()
        for connection in list(self.connections):
            connection.writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        task = asyncio.current_task()
        if task:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        await connection.run()

    @property
    def namespace(self) -> str:
        return f"localhost:{self.port}"

    def connection_string(self, hub: str | None = None) -> str:
        entity = f"EntityPath={hub};" if hub else ""
        return (
            f"Endpoint=sb://{self.namespace};SharedAccessKeyName=any;SharedAccessKey=any;{entity}"
            "UseDevelopmentEmulator=true;"
        )

    def call(self, do: Callable[[], T]) -> T:
        """Do it on the broker's loop and return its answer."""

        async def there() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(30)

    # ------------------------------------------------------------ faults, and short ways in

    def kill_connections(self) -> None:
        self.call(lambda: [connection.writer.transport.abort() for connection in list(self.connections)])

    def detach_readers(self, hub: str, partition: int, condition: str = "amqp:link:detach-forced") -> None:
        def there() -> None:
            for link in list(self.hubs[hub].partitions[partition].readers):
                self.unbind(link)
                link.session.connection.detach(link, Refused(condition))

        self.call(there)

    def put(self, hub: str, partition: int, bodies: Iterable[bytes], now_ms: int | None = None) -> None:
        """Append bodies as a producer's plain messages, without the wire."""
        moment = int(time.time() * 1000) if now_ms is None else now_ms

        def there() -> None:
            log = self.hubs[hub].partitions[partition]
            for body in bodies:
                log.append({0x75: section(0x75, body)}, None, moment)
            for reader in list(log.readers):
                self.pump(reader)

        self.call(there)

    # ------------------------------------------------------------ links

    def bind(self, link: Link, filters: Any, properties: Mapping[Any, Any], wanted: Any) -> None:
        """Resolve the link's address. Raises Refused."""
        parts = link.address.split("/")
        if link.address in ("$cbs", "$management") or parts[-1] == "$management":
            return
        link.hub = self.hubs.get(parts[0].lower())
        if link.hub is None:
            raise Refused("amqp:not-found", f"no hub {parts[0]}")
        if not link.sends:
            link.partition = self._partition(link.hub, parts[2]) if len(parts) == 3 else None
            return
        if len(parts) != 5 or parts[2].lower() not in link.hub.groups:
            raise Refused("amqp:not-found", "no such consumer group")
        link.group, link.partition = parts[2].lower(), self._partition(link.hub, parts[4])
        link.epoch = properties.get("com.microsoft:epoch")
        link.metrics = "com.microsoft:enable-receiver-runtime-metric" in (
            wanted if isinstance(wanted, list) else [wanted]
        )
        log = link.hub.partitions[link.partition]
        link.position = _start(log, filters)
        self._take(link, log)
        log.readers.append(link)

    def _partition(self, hub: Hub, name: str) -> int:
        if not name.isdecimal() or int(name) >= len(hub.partitions):
            raise Refused("amqp:not-found", f"no partition {name}")
        return int(name)

    def _take(self, link: Link, log: Partition) -> None:
        others = [reader for reader in log.readers if reader.group == link.group]
        owner = max((other.epoch for other in others if other.epoch is not None), default=None)
        if owner is not None and (link.epoch is None or link.epoch < owner):
            raise Refused("amqp:link:stolen", f"a reader with epoch {owner} is connected")
        if link.epoch is None:
            if len(others) >= _READERS:
                raise Refused("com.microsoft:argument-error", f"{_READERS} readers are connected")
            return
        for other in others:
            self.thefts += 1
            self.unbind(other)
            other.session.connection.detach(other, Refused("amqp:link:stolen", "a new reader took over"))

    def unbind(self, link: Link) -> None:
        if link.hub and link.sends and link.partition is not None:
            readers = link.hub.partitions[link.partition].readers
            if link in readers:
                readers.remove(link)

    def pump(self, link: Link) -> None:
        """Send what credit and window allow."""
        if not (link.sends and link.hub is not None and link.partition is not None):
            return
        log = link.hub.partitions[link.partition]
        link.position = max(link.position, log.first)
        while link.credit > 0 and link.session.window > 0 and link.position < log.next:
            record = log.records[link.position - log.first]
            link.position += 1
            told = _metrics(log) if link.metrics else b""
            link.session.connection.deliver(link, told + record.message)

    # ------------------------------------------------------------ messages of clients

    def incoming(self, link: Link, message: bytes, form: int) -> None:
        if link.hub is None:
            self._request(link, message)
            return
        self.hook(link)
        if len(message) > _MESSAGE:
            raise Refused("amqp:link:message-size-exceeded", f"{len(message)} bytes")
        outer = dict(sections(message)) if form != _BATCH_FORMAT else {}
        inner = [outer]
        key = _key(dict(sections(message)).get(0x72)) if form == _BATCH_FORMAT else _key(outer.get(0x72))
        if form == _BATCH_FORMAT:
            inner = [
                dict(sections(decode(data, skip(data, 1))[0]))
                for code, data in sections(message)
                if code == 0x75
            ]
        number = link.partition if link.partition is not None else link.hub.route(key)
        log = link.hub.partitions[number]
        now_ms = int(time.time() * 1000)
        for parts in inner:
            log.append(parts, _key(parts.get(0x72)) or key, now_ms)
        for reader in list(log.readers):
            self.pump(reader)

    def _request(self, link: Link, message: bytes) -> None:
        """Answer on the link of the same address and session."""
        parts = dict(sections(message))
        message_id = Raw(fields(parts[0x73], skip(parts[0x73], 1))[0])
        asked = decode(parts[0x74], skip(parts[0x74], 1))[0] if 0x74 in parts else {}
        status, body = (202, None) if link.address == "$cbs" else self._described(asked)
        answer = (
            described(0x73, None, None, None, None, None, message_id)
            + section(0x74, {"status-code": int32(status), "status-description": "ok"})
            + section(0x77, body)
        )
        for other in link.session.links.values():
            if other.sends and other.address == link.address:
                link.session.connection.deliver(other, answer)

    def _described(self, asked: Mapping[str, Any]) -> tuple[int, Any]:
        hub = self.hubs.get(str(asked.get("name", "")).lower())
        if hub is None:
            return 404, None
        if asked.get("type") == "com.microsoft:eventhub":
            ids = [str(number) for number in range(len(hub.partitions))]
            return 200, {
                "name": hub.name,
                "type": asked["type"],
                "created_at": timestamp(hub.created_ms),
                "partition_count": int32(len(ids)),
                "partition_ids": array_of_text(ids),
            }
        try:
            number = self._partition(hub, str(asked.get("partition")))
        except Refused:
            return 404, None
        log = hub.partitions[number]
        return 200, {
            "name": hub.name,
            "type": asked["type"],
            "partition": str(number),
            "begin_sequence_number": log.first,
            "last_enqueued_sequence_number": log.next - 1,
            "last_enqueued_offset": str(log.records[-1].offset) if log.records else "-1",
            "last_enqueued_time_utc": timestamp(log.last_ms),
            "is_partition_empty": not log.records,
        }


def _start(log: Partition, filters: Any) -> int:
    if not filters:
        return log.first
    value = next(iter(filters.values()))
    text = value.value if isinstance(value, Described) else value
    found = _FILTER.fullmatch(text if isinstance(text, str) else bytes(text).decode())
    if found is None:
        raise Refused("com.microsoft:argument-error", "the filter is not understood")
    return log.seek(found[1], found[2], found[3])


def _metrics(log: Partition) -> bytes:
    last = log.records[-1]
    return map_section(
        0x71,
        {
            "last_enqueued_sequence_number": last.sequence_number,
            "last_enqueued_offset": str(last.offset),
            "last_enqueued_time_utc": timestamp(last.enqueued_ms),
            "runtime_info_retrieval_time_utc": timestamp(int(time.time() * 1000)),
        },
    )


def _key(found: bytes | None) -> bytes | None:
    """Return the partition key's bytes as they were written."""
    return annotations(found).get("x-opt-partition-key") if found else None
