"""A Perch client for asyncio.

    async with Client("profile", ("chat.example", 7110), token) as client:
        client.on_message = lambda message, insert: print(message.body.decode())
        row = client.send("bob", "hello")
        await client.until(row, Mark.DELIVERED)

send() commits to the profile's outbox and returns at once, online or not; the client connects, comes back and sends by
itself until it is closed. What must survive a crash is asked of `client.storage`, not kept from callbacks.
"""
import asyncio
import time

from .device import Changed, Device, Held, Offline, Online, ReadElsewhere, Received, State, Stopped, Unreadable
from .storage import Kind, Mark, OutboxRow, Storage

READ_BYTES = 64 * 1024
CONNECT_S_MAX = 10.0
LEAVE_S_MAX = 2.0


class Refused(Exception):
    """A message was rejected, or nobody fetched it in time. `row` says which."""

    def __init__(self, row: OutboxRow):
        super().__init__(f"message {row.row} is {row.mark.name.lower()}")
        self.row = row


class Client:
    """ONE EVENT LOOP. Callbacks are called on it, after the commit of what they tell; by default they do nothing."""

    def __init__(self, profile, address: tuple[str, int], token: str):
        """Opens the profile. Raises storage.InUse if another process has it."""
        self.storage = Storage(profile)
        self._address = address
        self._changed = asyncio.Event()  # something of the outbox or of the state
        self._wake = asyncio.Event()
        self._device = Device(self.storage, token, time.monotonic, self._told)
        self._task: asyncio.Task | None = None
        self.stopped: Stopped | None = None  # why it does not come back by itself
        self.online: Online | None = None
        self.on_message = lambda message, insert: None
        self.on_row = lambda row: None
        self.on_online = lambda online: None
        self.on_offline = lambda why: None
        self.on_unreadable = lambda unreadable: None

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self) -> None:
        """Ends the session; what is queued stays in the outbox."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self.storage.close()

    def send(self, to: int | str, body: str | bytes) -> int:
        """To a user id or a handle. Returns the row of the outbox."""
        row = self._device.send(to, body.encode() if isinstance(body, str) else body)
        self._wake.set()
        return row

    def mark_read(self, peer: int) -> None:
        self._device.mark_read(peer)
        self._wake.set()

    def set_token(self, token: str) -> None:
        self._device.set_token(token)
        self.stopped = None
        self._wake.set()

    async def until(self, row: int, mark: Mark = Mark.ACCEPTED) -> OutboxRow:
        """Waits until that row has got so far. Raises Refused if it never will."""
        while True:
            self._changed.clear()
            now = self.storage.row(row)
            if now.mark in (Mark.REJECTED, Mark.EXPIRED):
                raise Refused(now)
            if now.mark >= mark and not now.open:
                return now
            await self._changed.wait()

    async def until_settled(self) -> None:
        """Until no row is open, or nothing will be sent any more by itself."""
        while self.stopped is None and (self.storage.unresolved() or self.storage.open_rows(0, 1)):
            self._changed.clear()
            await self._changed.wait()

    # ---- the connection -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        device = self._device
        try:
            while True:
                self._wake.clear()
                if device.state is State.STOPPED:
                    await self._wake.wait()  # for a token
                    continue
                await self._sleep_until(device.connect_at)
                try:
                    reader, writer = await asyncio.wait_for(asyncio.open_connection(*self._address), CONNECT_S_MAX)
                except (OSError, asyncio.TimeoutError) as error:
                    device.disconnected(str(error) or "the server cannot be reached")
                    continue
                try:
                    device.connected()
                    await self._session(reader, writer)
                finally:
                    writer.close()
                    device.disconnected()
        finally:
            self._changed.set()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device = self._device
        reading = asyncio.ensure_future(reader.read(READ_BYTES))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            while not device.wants_close:
                await self._write(writer)
                timeout = max(0.0, device.next_timer() - time.monotonic())
                await asyncio.wait((reading, woken), timeout=min(timeout, 3600), return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    data = reading.result()
                    if not data:
                        return
                    device.received(data)
                    reading = asyncio.ensure_future(reader.read(READ_BYTES))
                if woken.done():
                    self._wake.clear()
                    woken = asyncio.ensure_future(self._wake.wait())
                device.timer()
            await self._write(writer)
        except OSError:
            return
        except asyncio.CancelledError:
            device.leave()
            await self._write(writer)
            raise
        finally:
            reading.cancel()
            woken.cancel()
            await asyncio.gather(reading, woken, return_exceptions=True)

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        if self._device.output:
            writer.write(bytes(self._device.output))
            self._device.output.clear()
            try:
                # A server that does not read is found out by its silence, not by waiting for it here.
                await asyncio.wait_for(writer.drain(), LEAVE_S_MAX)
            except asyncio.TimeoutError:
                pass

    async def _sleep_until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.monotonic()))

    def _told(self, event) -> None:
        match event:
            case Received(message, insert):
                self.on_message(message, insert)
            case Changed(row):
                if row.kind is Kind.MESSAGE:
                    self.on_row(row)
            case Online():
                self.online = event
                self.on_online(event)
            case Offline(why):
                self.online = None
                self.on_offline(why)
            case Stopped():
                self.online = None
                self.stopped = event
            case Unreadable():
                self.on_unreadable(event)
            case Held() | ReadElsewhere():
                pass
        self._changed.set()
