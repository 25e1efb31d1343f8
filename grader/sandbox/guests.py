"""The host's side of one guest: watch it, judge it, end it.

A ``ZygoteGuest`` holds four things: the wall; the *channel* to its keeper (``grader.guest.zygote``), on which the
guest's end is reported and whose closing ends the guest; a pidfd of the guest's pid 1, so that a signal can never hit
another process; and a meter, a control group or a watch over ``/proc``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from grader.guest.confine import cpu_limit_s
from grader.sandbox.base import Exit, ExitCause, Limits, Usage
from grader.sandbox.gpu_watch import LOOK_EVERY_S
from grader.sandbox.watch import machine_oom_kills, pid_of, tree_of, waited_s

if TYPE_CHECKING:
    from grader.sandbox.gpu_watch import GpuWatch

__all__ = ["Channel", "Meter", "ZygoteGuest", "readable"]

_SAMPLE_EVERY_S = 0.02
_END_S = 10.0
"""How long a killed guest may take to be gone (freeing gigabytes takes a while); then it counts as lost."""


class Meter(Protocol):
    """What counts a guest's use of the machine: ``cgroups.Group`` or ``watch.TreeWatch``."""

    def sample(self) -> Usage:
        """Use so far."""

    def close(self) -> None:
        """Release what the meter holds."""


def readable(fd: int, timeout_s: float) -> bool:
    """Wait until a descriptor can be read (or a pidfd's process has ended); whether it can."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


@dataclass(slots=True)
class Channel:
    """The connection to a guest's keeper: one JSON object a message."""

    socket: socket.socket

    def receive(self, timeout_s: float) -> tuple[dict[str, Any], list[int]] | None:
        """The next message with its descriptors. None when none came in time; an ``end`` event at the end."""
        if timeout_s > 0:
            readable(self.socket.fileno(), timeout_s)
        try:
            # Not socket.recv_fds: it ignores its flags.
            message, extra, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(4), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionError:
            return {"event": "end"}, []
        fds = [fd for _, kind, data in extra if kind == socket.SCM_RIGHTS for fd in array("i", data)]
        return (json.loads(message) if message else {"event": "end"}), fds


class ZygoteGuest:
    """A guest forked from a zygote. See ``grader.sandbox.base.Guest`` for the contract."""

    def __init__(
        self, *, wall: socket.socket, channel: Channel, pidfd: int, limits: Limits, meter: Meter, confined: bool
    ) -> None:
        self._wall = wall
        self._confined = confined
        self._channel = channel
        self._pidfd = pidfd
        self._limits = limits
        self._meter = meter
        self._cause: ExitCause | None = None
        self._exit: Exit | None = None
        self._closed = False
        self._last = Usage(cpu_s=0.0, memory_bytes=0, peak_memory_bytes=0, processes=1)
        self._machine_oom_kills = machine_oom_kills()
        started = time.monotonic()
        self._deadline = started + limits.wall_s
        self._next_sample = started + _SAMPLE_EVERY_S
        self._next_look = started
        self.gpu_watch: GpuWatch | None = None
        """Tells what processes hold on the GPU; set where guests get one."""

    @property
    def wall(self) -> socket.socket:
        """The host's end of the wall."""
        return self._wall

    @property
    def pid(self) -> int:
        """Its first process, as the host numbers it."""
        return pid_of(self._pidfd)

    def poll(self) -> Exit | None:
        """Sample and enforce; None while the guest lives."""
        if self._exit is not None:
            return self._exit
        if (exit_ := self._listen(0)) is not None:
            return exit_
        now = time.monotonic()
        if now >= self._deadline:
            return self._end(ExitCause.WALL_TIME)
        if now >= self._next_sample:
            self._next_sample = now + _SAMPLE_EVERY_S
            usage = self._sample()
            if usage.cpu_s > self._limits.cpu_s:
                return self._end(ExitCause.CPU_TIME)
            # A control group or the kernel's own limit has stopped it before; this is for where neither is had.
            if usage.processes > self._limits.processes + 1:
                return self._end(ExitCause.SIGNALLED)
        if self.gpu_watch is not None and now >= self._next_look:
            self._next_look = now + LOOK_EVERY_S
            with contextlib.suppress(OSError):
                if self.gpu_watch.is_over(tree_of(pid_of(self._pidfd)), self._limits.gpu_memory_bytes):
                    return self._end(ExitCause.GPU_MEMORY)
        return None

    def usage(self) -> Usage:
        """What the tree has used so far."""
        return self._last if self._exit is not None else self._sample()

    def waited_s(self) -> float:
        """How long its living threads were ready to run and had no core."""
        with contextlib.suppress(OSError):
            return waited_s(pid_of(self._pidfd))
        return 0.0

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the guest's main thread."""
        if self._exit is None:
            self._signal(signal.SIGINT)

    def kill(self) -> Exit:
        """End the guest and wait until nothing of it is left."""
        if self._exit is None and self._listen(0) is None:
            self._end(ExitCause.KILLED)
        return self._exit or Exit(cause=ExitCause.LOST)

    def close(self) -> None:
        """End the guest and release everything."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        self._wall.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _sample(self) -> Usage:
        self._last = self._meter.sample()
        return self._last

    def _end(self, cause: ExitCause) -> Exit:
        self._cause = cause
        with contextlib.suppress(OSError):
            self._sample()  # an engine may remove a dead guest's control group before we have read it
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + _END_S
        while (left_s := deadline - time.monotonic()) > 0:
            if (exit_ := self._listen(left_s)) is not None:
                return exit_
        return self._finish(Exit(cause=ExitCause.LOST))

    def _listen(self, timeout_s: float) -> Exit | None:
        """Take the keeper's report if there is one."""
        received = self._channel.receive(timeout_s)
        if received is None:
            return None
        message, _ = received
        if message["event"] != "exit":  # the keeper is gone without a word: the outer sandbox has ended
            lost = self._cause or ExitCause.LOST
            return self._finish(Exit(cause=lost))
        with contextlib.suppress(OSError):
            self._sample()
        return self._finish(self._judge(message), cpu_s=message["cpu_s"])

    def _judge(self, report: dict[str, Any]) -> Exit:
        """Whose doing the end was."""
        status = report["status"]
        if os.WIFEXITED(status):
            return Exit(cause=ExitCause.EXITED, code=os.WEXITSTATUS(status))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            return Exit(cause=ExitCause.SIGNALLED, code=number)
        if report.get("oom") and self._last.oom_kills == 0:  # its control group went before the last sample
            self._last = replace(self._last, oom_kills=1)
        if self._last.oom_kills > 0 and self._cause is None:
            return Exit(cause=ExitCause.OUT_OF_MEMORY)
        if self._cause is not None:
            return Exit(cause=self._cause, code=number if self._cause is ExitCause.SIGNALLED else None)
        if self._last.cpu_s >= self._limits.cpu_s:  # the kernel's own limit was faster than we
            return Exit(cause=ExitCause.CPU_TIME)
        if time.monotonic() >= self._deadline:  # nobody polled, and the keeper's clock was first
            return Exit(cause=ExitCause.WALL_TIME)
        # A guest can bring SIGKILL upon itself, by lowering its own limit on CPU time: its own doing. How much it then
        # used does not tell: the clock of that limit counts ticks, and goes wrong by a tenth and more under load.
        limit_s = report["cpu_limit_s"]
        lowered = limit_s is not None and limit_s < cpu_limit_s(self._limits.cpu_s)
        spent = lowered or (limit_s is not None and report["cpu_s"] >= 0.75 * limit_s)
        # By no other means: the kernel lets nobody inside kill pid 1 of a namespace. So somebody outside did, as a
        # daemon that frees memory does, or the kernel for memory that other groups took.
        if not spent and (self._confined or machine_oom_kills() > self._machine_oom_kills):
            return Exit(cause=ExitCause.LOST)
        return Exit(cause=ExitCause.SIGNALLED, code=number)

    def _finish(self, exit_: Exit, *, cpu_s: float = 0.0) -> Exit:
        self._exit = exit_
        self._last = replace(self._last, cpu_s=max(self._last.cpu_s, cpu_s), memory_bytes=0, processes=0)
        self._channel.socket.close()
        os.close(self._pidfd)
        self._meter.close()
        return exit_
