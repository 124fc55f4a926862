"""A Perch client for asyncio.

    async with Client("profile", ("chat.example", 7110), token) as client:
        client.on_message = lambda message, insert: print(message.body.decode(errors="replace"))
        row = client.send("bob", "hello")
        await client.until(row, Mark.DELIVERED)

send() commits to the profile's outbox and returns at once, online or not; the client connects, comes back and sends by
itself until it is closed. What must survive a crash is asked of `client.storage`, not kept from callbacks.
"""
import asyncio
import time

from . import content, conversation
from .content import Item, MessageId
from .device import (Changed, Device, Held, Offline, Online, ReadElsewhere, Received, Refreshed, State, Stopped, Unreadable)
from .storage import Kind, Mark, OutboxRow, Storage

READ_BYTES = 64 * 1024
CONNECT_S_MAX = 10.0
WRITE_S_MAX = 10.0  # a server that takes nothing for so long is gone
LEAVE_S_MAX = 2.0


class Refused(Exception):
    """A message was rejected, or nobody fetched it in time. `row` says which."""

    def __init__(self, row: OutboxRow):
        super().__init__(f"message {row.row} is {row.mark.name.lower()}")
        self.row = row


class NotRunning(Exception):
    """The client does not send any more: it is closed, or stopped, and says why."""


class Client:
    """ONE EVENT LOOP. Callbacks are called on it, after the commit of what they tell; by default they do nothing. What one
    raises goes to the loop's exception handler, and nothing else comes of it."""

    def __init__(self, profile, address: tuple[str, int], token: str):
        """Opens the profile. Raises storage.InUse if another process has it."""
        self.storage = Storage(profile)
        self._address = address
        self._changed = asyncio.Event()  # something of the outbox or of the state
        self._wake = asyncio.Event()
        self._device = Device(self.storage, token, time.monotonic, self._told)
        self._task: asyncio.Task | None = None
        self._ended = ""  # why it does not run, once it does not
        self.stopped: Stopped | None = None  # why it does not come back by itself
        self.online: Online | None = None
        self.on_message = lambda message, insert: None
        self.on_row = lambda row: None
        self.on_online = lambda online: None
        self.on_offline = lambda why: None
        self.on_stopped = lambda stopped: None
        self.on_unreadable = lambda unreadable: None
        self.on_read_elsewhere = lambda peer: None
        self.on_changed = lambda peer: None  # conversation.lines() tells otherwise by now what was told before

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._on_end)
        return self

    async def __aexit__(self, *_):
        await self.close()

    async def close(self) -> None:
        """Ends the session; what is queued stays in the outbox. Raises what ended the client before, if that was a fault."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        self._end("it is closed")
        self.storage.close()
        if task is not None and not task.cancelled() and task.exception() is not None:
            raise task.exception()

    def send(self, to: int | str, body: str | bytes) -> int:
        """To a user id or a handle. Returns the row of the outbox. Raises ValueError for what no server takes."""
        row = self._device.send(to, body.encode() if isinstance(body, str) else body)
        self._wake.set()
        return row

    # ---- what messages contain (PROTOCOL.md §10); each returns its row, and raises content.Unreadable for what nobody could
    # read and LookupError for a message that is not here

    def say(self, to: int | str, text: str, reply_to: MessageId | None = None) -> int:
        """A text with the conversation's timer; one's profile first, if it was not sent there yet."""
        peer = to if isinstance(to, int) else self.storage.user_of(to)
        timer = conversation.last(self.storage, peer, "timer") if peer else None
        me = self.storage.identity().user
        present = conversation.last(self.storage, me, "profile", me) if me else None
        if present and peer != me and (not peer or conversation.last(self.storage, peer, "profile", me) != present):
            self._post(to, present)
        item = Item("text", text, target=reply_to, timer_s=timer.timer_s if timer else 0)
        return self._post(to, item) if item.timer_s or reply_to else self.send(to, text)

    def reply(self, target: MessageId, text: str) -> int:
        return self.say(self._peer_of(target), text, target)

    def edit(self, target: MessageId, text: str) -> int:
        return self._post(self._peer_of(target), Item("edit", text, target=target))

    def delete(self, target: MessageId) -> int:
        row = self._post(self._peer_of(target), Item("delete", target=target))
        self.storage.scrub()
        return row

    def react(self, target: MessageId, emoji: str) -> int:
        return self._post(self._peer_of(target), Item("reaction", emoji, target=target))

    def set_timer(self, to: int | str, seconds: int) -> int:
        return self._post(to, Item("timer", timer_s=seconds))

    def set_profile(self, name: str, about: str) -> int:
        """Raises LookupError before the first login: nobody knows yet who this is."""
        me = self.storage.identity().user
        if not me:
            raise LookupError("this profile has never been online")
        rows = [self._post(to, Item("profile", name, about)) for to in (me, *self.storage.recipients())]
        return rows[-1]

    def _post(self, to: int | str, item: Item) -> int:
        row = self._device.send(to, content.encode(item), content.ITEM)
        self._tell_changes()
        self._wake.set()
        return row

    def _peer_of(self, target: MessageId) -> int:
        peer = self.storage.peer_of(target)
        if not peer:
            raise LookupError(f"{target} is not here")
        return peer

    def _tell_changes(self) -> None:
        changed, self.storage.changed = self.storage.changed, set()
        for peer in changed:
            self._call(self.on_changed, peer)

    def _tidy(self) -> None:
        """What has ended goes, and what was removed from the journal too."""
        self.storage.forget_ended()
        if self.storage.wants_scrub:
            self.storage.scrub()
        self._tell_changes()

    def withdraw(self, row: int) -> bool:
        """Takes back a message that was never sent. False: it was, and is fixed."""
        return self._device.withdraw(row)

    def mark_read(self, peer: int) -> None:
        """All that has come from that user is read."""
        self._device.mark_read(peer)
        self._wake.set()

    def set_token(self, token: str) -> None:
        """Before the old one expires, or to go on after Stopped(needs_token)."""
        self._device.set_token(token)
        if self._device.state is not State.STOPPED:
            self.stopped = None
        self._wake.set()

    async def until(self, row: int, mark: Mark = Mark.ACCEPTED) -> OutboxRow:
        """Waits until that row has got so far. Raises Refused if it never will, NotRunning if nobody sends it."""
        while True:
            self._changed.clear()
            self._check_running()
            now = self.storage.row(row)
            if now.mark in (Mark.REJECTED, Mark.EXPIRED):
                raise Refused(now)
            if now.mark >= mark and not now.open:
                return now
            self._check_not_stopped()
            await self._changed.wait()

    async def until_settled(self) -> None:
        """Until no row is open. Raises NotRunning if nobody sends them."""
        while True:
            self._changed.clear()
            self._check_running()
            if not self.storage.unresolved() and not self.storage.open_rows(0, 1):
                return
            self._check_not_stopped()
            await self._changed.wait()

    def _check_running(self) -> None:
        if self._ended:
            raise NotRunning(self._ended)

    def _check_not_stopped(self) -> None:
        if self.stopped is not None:
            raise NotRunning(self.stopped.why)

    def _on_end(self, task: asyncio.Task) -> None:
        fault = None if task.cancelled() else task.exception()
        self._end(f"it has failed: {fault!r}" if fault else "it is closed")

    def _end(self, why: str) -> None:
        self._ended = self._ended or why
        self.online = None
        self._changed.set()

    # ---- the connection -------------------------------------------------------------------------------------

    async def _run(self) -> None:
        device = self._device
        while True:
            self._wake.clear()
            if device.state is State.STOPPED:
                await self._wake.wait()  # for a token
                continue
            await asyncio.sleep(max(0.0, device.connect_at - time.monotonic()))
            try:
                async with asyncio.timeout(CONNECT_S_MAX):
                    reader, writer = await asyncio.open_connection(*self._address)
            except (OSError, TimeoutError) as error:
                device.disconnected(str(error) or "the server cannot be reached")
                continue
            why = "the connection ended"
            try:
                device.connected()
                await self._session(reader, writer)
            except (OSError, TimeoutError) as error:
                why = str(error) or "the server takes nothing any more"
            finally:
                writer.close()
                device.disconnected(why)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device = self._device
        reading = asyncio.ensure_future(reader.read(READ_BYTES))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            while not device.wants_close:
                await self._write(writer, WRITE_S_MAX)
                self._tidy()
                timeout = max(0.0, device.next_timer() - time.monotonic())
                if end := self.storage.next_end():
                    timeout = min(timeout, max(0.0, end - time.time()))
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
            await self._write(writer, LEAVE_S_MAX)
        except asyncio.CancelledError:
            device.leave()
            await self._write(writer, LEAVE_S_MAX)
            raise
        finally:
            reading.cancel()
            woken.cancel()
            await asyncio.wait((reading, woken))

    async def _write(self, writer: asyncio.StreamWriter, seconds: float) -> None:
        if self._device.output:
            writer.write(bytes(self._device.output))
            self._device.output.clear()
            async with asyncio.timeout(seconds):  # wait_for() of Python 3.11 can swallow a cancellation
                await writer.drain()

    def _told(self, event) -> None:
        match event:
            case Received(message, insert):
                self._call(self.on_message, message, insert)
            case Changed(row):
                if row.kind is Kind.MESSAGE:
                    self._call(self.on_row, row)
            case Online():
                self.online = event
                self._call(self.on_online, event)
            case Refreshed(expires_ms):
                self.online = self.online and self.online._replace(session_expires_ms=expires_ms)
            case Offline(why):
                self.online = None
                self._call(self.on_offline, why)
            case Stopped():
                self.online = None
                self.stopped = event
                self._call(self.on_stopped, event)
            case Unreadable():
                self._call(self.on_unreadable, event)
            case ReadElsewhere(peer):
                self._call(self.on_read_elsewhere, peer)
            case Held():
                pass  # it waits by itself
        self._changed.set()

    def _call(self, callback, *arguments) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a callback of a Perch client has raised", "exception": error})
