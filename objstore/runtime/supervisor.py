"""Pre-forked processes and the supervisor that keeps them running.

A *role* is a kind of process, of which there are `count`; a *slot* is the place of one of them, with its own listening
sockets that outlive it: the parent holds them, so connections that wait for a dead worker are served by its successor.
The parent does nothing else, and uses no event loop: a bug of a worker cannot break it.

Signals to the parent: SIGTERM and SIGINT close the listening sockets, drain all processes and end (SIGINT a second time
kills them); SIGHUP starts a new process in each slot and, when all are ready, drains the old ones, so that settings are
reloaded and no connection is refused.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NoReturn

from objstore.runtime import green
from objstore.runtime.listeners import Address, bind, take_no_more
from objstore.runtime.signals import no_handler, wakeup_pipe
from objstore.runtime.workers import Role, Worker

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
# Threads that hash or sync must hand the interpreter back quickly to the event loop.
_SWITCH_SECONDS = 0.0005
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 30.0
_LIVED_WELL = 10.0


@dataclass(frozen=True, eq=False)
class _Slot:
    role: Role
    index: int
    sockets: list[socket.socket]


class _Process:
    """One child, from its fork to its end."""

    def __init__(self, slot: _Slot, pid: int, ready_fd: int) -> None:
        self.slot = slot
        self.pid = pid
        self.ready_fd = ready_fd
        self.started = monotonic()
        self.ready = False
        self.ending = False  # told to end: its death is no failure
        self.kill_at: float | None = None
        self.replaces: _Process | None = None

    def __str__(self) -> str:
        return f"{self.slot.role.name} {self.slot.index} (pid {self.pid})"


class Supervisor:
    """Runs roles until told to end."""

    def __init__(
        self,
        roles: Sequence[Role],
        logger: logging.Logger,
        *,
        graceful_timeout: float = 35.0,
        backlog: int = 4096,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """Binds all sockets; ConfigError when an address cannot be had.

        graceful_timeout: seconds that a draining process has before it is killed.
        on_ready: called in the parent, once, when all processes have become ready.
        """
        self._logger = logger
        self._grace = graceful_timeout
        self._on_ready = on_ready
        self.addresses: dict[str, list[Address]] = {}
        self._slots: list[_Slot] = []
        for role in roles:
            bound = [bind(address, role.count, backlog) for address in role.addresses]
            self.addresses[role.name] = [sockets[0].getsockname()[:2] for sockets in bound]
            self._slots += [_Slot(role, index, [sockets[index] for sockets in bound]) for index in range(role.count)]
        self._processes: dict[int, _Process] = {}
        self._restarts: list[tuple[float, _Slot]] = []  # when, on the monotonic clock
        self._delays: dict[int, float] = {}  # of each slot, by its place in _slots
        self._up = False
        self._stopping = False
        self._reload_wanted = False
        self._exit_code = 0

    def run(self) -> int:
        """Start all processes and look after them until told to end; the exit code. For the main thread."""
        self._life_read, self._life_write = os.pipe()  # its end tells children that the parent has died
        self._wake_read, wake_write = wakeup_pipe()
        self._wake_write = wake_write
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        before = [(number, signal.signal(number, no_handler)) for number in _SIGNALS]
        old_wakeup = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        try:
            for slot in self._slots:
                self._start(slot)
            while self._processes or self._restarts:
                self._step()
        finally:
            for pid in self._processes:
                _kill(pid, signal.SIGKILL)
            signal.set_wakeup_fd(old_wakeup)
            for number, handler in before:
                signal.signal(number, handler)
            self._selector.close()
            for fd in (self._life_read, self._life_write, self._wake_read, wake_write):
                os.close(fd)
            for slot in self._slots:
                for sock in slot.sockets:
                    sock.close()
        return self._exit_code

    def _step(self) -> None:
        """Wait for something to happen, and do what it asks for."""
        for key, _ in self._selector.select(self._until_next()):
            if key.data is None:
                self._take_signals(os.read(self._wake_read, 512))
            else:
                self._take_report(key.data)
        self._reap()
        now = monotonic()
        due = [slot for when, slot in self._restarts if when <= now]
        self._restarts = [item for item in self._restarts if item[0] > now]
        for slot in due:
            self._start(slot)
        self._kill_late(now)
        if self._reload_wanted and self._up and not self._stopping and not self._reloading():
            self._reload()

    def _until_next(self) -> float | None:
        times = [when for when, _ in self._restarts]
        times += [process.kill_at for process in self._processes.values() if process.kill_at is not None]
        return max(0.0, min(times) - monotonic()) if times else None

    def _take_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                if self._stopping and number == signal.SIGINT:
                    for process in self._processes.values():
                        process.kill_at = 0.0
                self._stop()
            elif number == signal.SIGHUP:
                self._reload_wanted = True

    # Starting

    def _start(self, slot: _Slot) -> _Process:
        read_fd, write_fd = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the child has handlers of its own
        try:
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if not pid:
                os.close(read_fd)
                self._be_child(slot, write_fd)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(write_fd)
        process = self._processes[pid] = _Process(slot, pid, read_fd)
        self._selector.register(read_fd, selectors.EVENT_READ, process)
        return process

    def _be_child(self, slot: _Slot, ready_fd: int) -> NoReturn:
        """In the child: run the role, and never return to the parent's code."""
        code = 1
        try:
            code = self._run_role(slot, ready_fd)
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        except BaseException:
            self._logger.critical("%s %d failed\n%s", slot.role.name, slot.index, traceback.format_exc())
        finally:
            try:
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def _run_role(self, slot: _Slot, ready_fd: int) -> int:
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for fd in (self._life_write, self._wake_read, self._wake_write):
            os.close(fd)
        for process in self._processes.values():
            if process.ready_fd >= 0:
                os.close(process.ready_fd)
        for other in self._slots:
            if other is not slot:
                for sock in other.sockets:
                    sock.close()
        sys.setswitchinterval(_SWITCH_SECONDS)
        green.after_fork()
        worker = Worker(slot.role.name, slot.index, slot.sockets, ready_fd, self._grace)
        wake_read, wake_write = wakeup_pipe()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the terminal sends them to all; the parent decides
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, no_handler)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)

        def on_signal(fd: int) -> None:
            if signal.SIGTERM in os.read(fd, 512):
                worker.start_drain()

        def on_orphaned(fd: int) -> None:
            green.unwatch(life)  # it stays readable
            take_no_more(slot.sockets)
            worker.start_drain()

        green.watch(wake_read, on_signal)
        life: object = green.watch(self._life_read, on_orphaned)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        slot.role.run(worker)
        return 0

    # Following what children do

    def _take_report(self, process: _Process) -> None:
        if process.ready_fd < 0:
            return
        if os.read(process.ready_fd, 16):
            process.ready = True
            self._logger.debug("%s is ready", process)
        self._forget_pipe(process)
        if process.ready:
            self._became_ready()

    def _forget_pipe(self, process: _Process) -> None:
        if process.ready_fd >= 0:
            self._selector.unregister(process.ready_fd)
            os.close(process.ready_fd)
            process.ready_fd = -1

    def _became_ready(self) -> None:
        if self._stopping or self._restarts:
            return
        if not all(process.ready or process.ending for process in self._processes.values()):
            return
        if self._reloading():
            self._end([process.replaces for process in self._processes.values() if process.replaces is not None])
            for process in self._processes.values():
                process.replaces = None
        if not self._up:
            self._up = True
            if self._on_ready is not None:
                self._on_ready()

    def _reap(self) -> None:
        for process in list(self._processes.values()):
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                self._take_report(process)  # it may have become ready and died
                self._forget_pipe(process)
                del self._processes[pid]
                self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: _Process, code: int) -> None:
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        if process.ending or self._stopping:
            self._logger.debug("%s ended %s", process, how)
            if code < 0 and -code != signal.SIGTERM:
                self._logger.warning("%s had to be killed %s", process, how)
            return
        self._logger.error("%s ended %s", process, how)
        if not self._up:
            self._logger.critical("%s failed to start", process)
            self._exit_code = 1
            self._stop()
        elif process.replaces is not None and not process.ready:
            self._give_up_reload(process)
        elif not any(other.slot is process.slot and not other.ending for other in self._processes.values()):
            self._restart(process)  # unless its successor is there already

    def _restart(self, process: _Process) -> None:
        place = self._slots.index(process.slot)
        delay = restart_delay(self._delays.get(place, 0.0), monotonic() - process.started)
        self._delays[place] = delay
        if delay:
            self._logger.error("%s will be restarted in %.1f s", process, delay)
        self._restarts.append((monotonic() + delay, process.slot))

    # Ending and reloading

    def _stop(self) -> None:
        if not self._stopping:
            self._logger.info("shutting down: waiting up to %.0f s for requests under way", self._grace)
            take_no_more(sock for slot in self._slots for sock in slot.sockets)
        self._stopping = True
        self._restarts.clear()
        self._end(list(self._processes.values()))
        for slot in self._slots:  # the workers close theirs when they have accepted what has come
            for sock in slot.sockets:
                sock.close()

    def _end(self, processes: Sequence[_Process]) -> None:
        for process in processes:
            if process.pid in self._processes and not process.ending:
                process.ending = True
                process.kill_at = monotonic() + self._grace
                _kill(process.pid, signal.SIGTERM)

    def _kill_late(self, now: float) -> None:
        for process in self._processes.values():
            if process.kill_at is not None and process.kill_at <= now:
                process.kill_at = None
                _kill(process.pid, signal.SIGKILL)

    def _reloading(self) -> bool:
        return any(process.replaces is not None for process in self._processes.values())

    def _reload(self) -> None:
        self._reload_wanted = False
        self._logger.info("reloading: starting new processes")
        self._restarts.clear()  # of slots that get a new process now
        running = {id(process.slot): process for process in self._processes.values() if not process.ending}
        for slot in self._slots:
            old = running.get(id(slot))
            self._start(slot).replaces = old

    def _give_up_reload(self, failed: _Process) -> None:
        """A new process failed to start: keep the old ones."""
        self._logger.error("the reload failed; the old processes continue")
        new = [failed, *(process for process in self._processes.values() if process.replaces is not None)]
        alive = [process.slot for process in self._processes.values() if process not in new]
        for process in new:
            process.replaces = None
            if process.slot not in alive:  # its old one has died meanwhile
                self._restarts.append((monotonic(), process.slot))
        self._end(new)


def restart_delay(previous: float, lived: float) -> float:
    """Seconds to wait before a dead process is started again.

    At once the first time; longer and longer for one that keeps dying young.
    previous: the delay before it was started last; lived: for how many seconds it ran.
    """
    if lived >= _LIVED_WELL or (previous == 0.0 and lived >= 1.0):
        return 0.0
    return min(_LONGEST_DELAY, max(_FIRST_DELAY, previous * 2))


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
