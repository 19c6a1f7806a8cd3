"""Offload: calls that may block the process run in operating system threads.

A green thread that calls `run` waits while others continue. Threads start at their first use, so that a pool made
before a fork works after it. A pool belongs to one event loop: all its calls come from the thread of its first call.

A pool or batcher of one device may have a *patience*: if calls wait and none has ended for this number of seconds, the
device counts as stuck, and further calls are refused at once. So the number of callers waiting for a dead device, and
their memory, stays bounded, and callers can use another device. When a call ends, further ones are accepted again. A
pool may also release the callers that wait already; their calls stay with the threads until they end.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar, TypeVarTuple, cast

from objstore.core.errors import DeviceUnavailable
from objstore.runtime import green

Item = TypeVar("Item")
_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")
_Given = TypeVar("_Given", covariant=True)


class Finish(Protocol[_Given]):
    """Wait for the end of a call, with a timeout in seconds (0: none), and return its result."""

    def __call__(self, seconds: float = 0.0) -> _Given: ...


class _Call:
    """One job under way: what to do, who waits for it, and how it ended."""

    __slots__ = ("args", "error", "function", "result", "waiter")

    def __init__(self, function: Callable[..., object] | None, args: tuple[object, ...]) -> None:
        self.function = function
        self.args = args
        self.waiter: Any = None
        self.result: object = None
        self.error: BaseException | None = None


class _Wakeups:
    """Tells the event loop from other threads that calls have ended."""

    def __init__(self) -> None:
        self._done: deque[_Call] = deque()
        self._watcher: object = None
        self._fd = -1
        self._pid = 0

    def attach(self) -> None:
        if self._pid != os.getpid():  # the loop of a parent process is not ours
            self._pid = os.getpid()
            self._done.clear()
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._watcher = green.watch(self._fd, self._on_readable)

    def wake(self, calls: Sequence[_Call]) -> None:
        self._done.extend(calls)
        os.eventfd_write(self._fd, 1)

    def _on_readable(self, fd: int) -> None:
        try:
            os.eventfd_read(fd)
        except BlockingIOError:
            return
        while self._done:
            call = self._done.popleft()
            waiter, call.waiter = call.waiter, None
            if waiter is not None:
                try:
                    waiter.switch()
                except Exception:
                    # A green thread that ends by an error hands it to the loop. Let through here,
                    # it would end the watch, and nobody would be woken again.
                    sys.excepthook(*sys.exc_info())

    def wait(self, call: _Call) -> Any:
        """Suspend the caller until `call` has ended; then its result, or its error raised."""
        self.wait_for_end(call)
        return call.result if call.error is None else _outcome(call)

    def wait_for_end(self, call: _Call) -> None:
        call.waiter = green.getcurrent()
        try:
            green.switch_to_hub()
        finally:
            call.waiter = None  # one who stops waiting early must not be woken later


def _outcome(call: _Call) -> Any:
    """The result of a call that has ended, or its error raised.

    The error leaves the call: each would refer to the other by the frames of the traceback, and keep all that
    these frames hold in memory.
    """
    error, call.error = call.error, None
    if error is None:
        return call.result
    try:
        raise error
    finally:
        del error


class _Patience:
    """Watches the progress of calls, to detect when they stop. seconds: 0 waits forever."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._last = 0.0  # when a call last ended, or began while none was under way

    def began(self, others: int) -> None:
        if not others:
            self._last = self._monotonic()

    def ended(self) -> None:
        self._last = self._monotonic()

    def idle_for(self) -> float:
        """Seconds since something moved; means something only while calls are under way."""
        return self._monotonic() - self._last

    def left(self) -> float:
        """Seconds until it ends, unless something moves."""
        return self._seconds - self.idle_for()

    def check(self, name: str, waiting: int) -> None:
        """Raise DeviceUnavailable if calls make no progress."""
        if self._seconds and waiting > 0 and self.idle_for() > self._seconds:
            raise DeviceUnavailable(f"{name}: no progress for {self.idle_for():.0f} s, {waiting} calls are waiting")


class _Enough(BaseException):
    """It is time to look whether anything moves."""


class ThreadPool:
    """At most `size` threads that run single calls.

    patience: seconds; see the module. `run` and `start` then raise DeviceUnavailable. lets_go: so does the wait for
    a call that was begun before; what the call uses must then be left to it, as where one who waits is killed.
    """

    def __init__(self, name: str, size: int, patience: float = 0.0, lets_go: bool = False) -> None:
        self._name = name
        self._size = size
        self._lets_go = lets_go and patience > 0
        self._wakeups = _Wakeups()
        self._patience = _Patience(patience)
        self._forget()

    def _forget(self) -> None:
        self._queue: SimpleQueue[_Call] = SimpleQueue()
        self._started = 0
        self._busy = 0
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def run(self, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """The result of `function(*args)`, run in a thread; what it raises is raised here."""
        return self.start(function, *args)()

    def run_within(self, seconds: float, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> _Result:
        """Run as `run`; raises DeviceUnavailable after a timeout in seconds (0: never), as a pool that releases callers
        does."""
        return self.start(function, *args)(seconds)

    def iterate(self, items: Iterable[Item], size: int = 64) -> Iterator[Item]:
        """Items whose making blocks, made `size` at a time in a thread; what that raises is raised here."""
        iterator = iter(items)
        while batch := self.run(list, islice(iterator, size)):
            yield from batch

    def later(self, function: Callable[[*_Arguments], object], *args: *_Arguments) -> None:
        """Call a function in a thread, without waiting for it, and however the device fares."""
        self._begin(_Call(function, args))

    def start(self, function: Callable[[*_Arguments], _Result], *args: *_Arguments) -> Finish[_Result]:
        """Begin a call; the result, called once from the same loop, waits for its end.

        Given a number of seconds, it waits as `run_within`.
        """
        if self._pid != os.getpid():
            self._forget()
        self._patience.check(self._name, self._busy - self._size + 1)
        call = _Call(function, args)
        self._begin(call)

        def finish(seconds: float = 0.0) -> _Result:
            if call.function is None:  # ended before anyone waited
                result: _Result = _outcome(call)
            elif self._lets_go or seconds:
                result = self._wait_while_it_moves(call, seconds)
            else:
                result = self._wakeups.wait(call)
            return result

        return finish

    def _begin(self, call: _Call) -> None:
        if self._pid != os.getpid():
            self._forget()
        self._wakeups.attach()
        with self._lock:
            self._patience.began(self._busy)
            self._busy += 1
            more = self._started < min(self._busy, self._size)
            self._started += more
        if more:
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._queue.put(call)

    def _wait_while_it_moves(self, call: _Call, seconds: float) -> Any:
        give_up = time.monotonic() + (seconds or inf)
        while call.function is not None:
            enough = _Enough()
            left = self._patience.left() if self._lets_go else inf
            try:
                with green.deadline(max(0.05, min(left, give_up - time.monotonic())), enough):
                    return self._wakeups.wait(call)
            except _Enough as error:
                if error is not enough:
                    raise
                if time.monotonic() >= give_up:
                    raise DeviceUnavailable(f"{self._name}: a call has taken longer than {seconds:g} s") from None
                if self._lets_go:
                    self._patience.check(self._name, self._busy)
        return _outcome(call)

    def _work(self) -> None:
        get = self._queue.get
        wake = self._wakeups.wake
        while True:
            call = get()
            try:
                assert call.function is not None
                call.result = call.function(*call.args)
            except BaseException as error:  # carried to the waiter
                call.error = error
            # Order matters to `start`: the loop sees function None only with the result set.
            call.function = None
            with self._lock:
                self._busy -= 1
                self._patience.ended()
            wake((call,))
            del call


class Batcher:
    """One thread that is handed everything that has queued up while it was at work.

    `run_batch(items)` returns one outcome an item, in order; an outcome that is an exception
    is raised to the one who gave the item, and so is, to all, what run_batch itself raises.
    Syncs and database transactions share their cost this way (a group commit).
    patience: seconds; see the module. `run` then raises DeviceUnavailable.
    """

    def __init__(
        self, name: str, run_batch: Callable[[list[Any]], Sequence[object]], most: int = 256, patience: float = 0.0
    ) -> None:
        self._name = name
        self._run_batch = run_batch
        self._most = most
        self._patience = _Patience(patience)
        self._running = 0  # calls of the batch at work
        self._wakeups = _Wakeups()
        self._pid = 0

    def run(self, item: object) -> object:
        """Wait for the batch that holds `item`; its outcome."""
        self._prepare()
        call = _Call(None, (item,))
        self._queue.put(call)
        return self._wakeups.wait(call)

    def _prepare(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._queue: SimpleQueue[_Call] = SimpleQueue()
            threading.Thread(target=self._work, args=(self._queue,), name=self._name, daemon=True).start()
            self._wakeups.attach()
        if self._running:
            self._patience.check(self._name, self._running)

    def run_all(self, items: Sequence[object]) -> list[BaseException | object]:
        """Wait for the batch that holds all `items`; their outcomes, of which those that failed are not raised."""
        if not items:
            return []
        self._prepare()
        call = _Call(None, tuple(items))
        self._queue.put(call)
        self._wakeups.wait_for_end(call)
        if call.error is not None:
            return [call.error] * len(items)
        return [call.result] if len(items) == 1 else cast(list[BaseException | object], call.result)

    def aside(self, function: Callable[[], object]) -> None:
        """Call a function in the thread, between two batches; do not wait for it."""
        if self._pid == os.getpid():
            self._queue.put(_Call(function, ()))

    def _next_batch(self, queue: SimpleQueue[_Call]) -> list[_Call]:
        calls: list[_Call] = []
        count = 0
        while not calls or (count < self._most and not queue.empty()):
            call = queue.get()
            if call.function is None:
                calls.append(call)
                count += len(call.args)
            else:
                with contextlib.suppress(Exception):  # nobody waits for it
                    call.function()
        return calls

    def _work(self, queue: SimpleQueue[_Call]) -> None:
        while True:
            calls = self._next_batch(queue)
            self._patience.began(0)
            self._running = len(calls)
            self._settle(calls)
            self._running = 0
            self._wakeups.wake(calls)
            del calls

    def _settle(self, calls: list[_Call]) -> None:
        """Give each call its result or error; a frame of its own, which does not outlive them."""
        try:
            outcomes = iter(self._run_batch([item for call in calls for item in call.args]))
            for call in calls:
                # The frames of an error hold the outcomes of the batch, and so would be kept by what they keep.
                results = [
                    each.with_traceback(None) if isinstance(each, BaseException) else each
                    for each in islice(outcomes, len(call.args))
                ]
                if len(results) > 1:
                    call.result = results
                elif isinstance(results[0], BaseException):
                    call.error = results[0]
                else:
                    call.result = results[0]
        except BaseException as error:  # carried to every waiter
            for call in calls:
                call.error = error
