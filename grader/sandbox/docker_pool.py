"""The pool of warm containers: ``python -m grader.sandbox.docker_pool '{…}'``, one process a run.

Theory of operation. To the grader this process is a zygote: it speaks the protocol of ``grader.guest.zygote`` on the
same kind of socket, so that every process forked from the grader can ask it for guests. Behind that it keeps a few
containers warm (``grader.guest.contained``), each made for one submission and never used for a second.

* **Warmers**, one thread for each container to keep, make containers with all that Docker can take away taken away,
  wait until torch is imported, and set the limit on memory to what the container then holds plus what a submission
  may use. A container can reach one thing of ours: the socket in a folder of its own, gone once it has connected.
* A **keeper**, one thread for each guest, hands a warm container the guest's end of the wall, tells the asker the
  pidfd of its first process, passes *ready* and *go* on, and waits: for the guest's end, which it reports; for the end
  of the asker or its connection, upon which it kills the guest. Then it removes the container.

The figures a container has to be made with (size of its disk, processes) are known when the first guest is asked
for, at the latest: containers made for other limits are thrown away.

How a guest ended comes from the engine. An exit status of 137 may be a kill by the engine itself (it is being shut
down, somebody typed ``docker kill``): the engine's own log of events tells, and that end is reported as lost. With
an engine that no longer answers it is lost as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from docker.errors import DockerException, NotFound
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit
from requests.exceptions import RequestException

from grader.errors import SandboxUnavailable
from grader.guest.confine import HOME, NOBODY
from grader.guest.contained import CHANNEL
from grader.guest.newborn import send
from grader.sandbox import cgroups
from grader.sandbox.docker_engine import connect, owner_labels, said, sweep
from grader.sandbox.gpus import VISIBLE
from grader.sandbox.guests import readable
from grader.sandbox.zygotes import guest_environment, pid_of

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["main"]

_WARM_S = 300.0
_END_S = 20
_AGAIN_S = 1.0
_GRACE_S = 10.0
"""How long after the host's own limit on wall time a keeper stops waiting for the host to act."""
_WARMING_BYTES = 4 << 30
"""Room for importing; the limit proper is set when that is done."""
_FAULTS = (DockerException, RequestException, OSError)
_MOUNT_OPTIONS = f"nosuid,nodev,noexec,uid={NOBODY},gid={NOBODY}"


def main() -> NoReturn:
    """Run the pool with the settings in ``sys.argv[1]``, until its owner closes it or is gone."""
    settings = json.loads(sys.argv[1])
    owner = socket.socket(fileno=settings["owner_fd"])
    listener = socket.socket(fileno=settings["listen_fd"])
    for inherited in (owner.fileno(), listener.fileno(), settings["owner_pidfd"]):
        os.set_inheritable(inherited, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's business, who then closes us
    pool: Pool | None = None
    try:
        client = connect()
        sweep(client)
        pool = Pool(client, settings)
        pool.begin()
        send(owner, {"event": "ready", **pool.first()})
    except (SandboxUnavailable, *_FAULTS) as error:
        with contextlib.suppress(OSError):
            send(owner, {"event": "failed", "what": _why(error)})
        if pool is not None:
            pool.end()
        os._exit(1)
    poller = select.poll()
    poller.register(owner, 0)  # hang-up only
    poller.register(settings["owner_pidfd"], select.POLLIN)
    poller.register(listener, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd != listener.fileno():
                pool.end()
                os._exit(0)
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=pool.keep, args=(connection,), daemon=True).start()


class Pool:
    """Keeps containers warm and looks after those in use."""

    def __init__(self, client: APIClient, settings: dict[str, Any]) -> None:
        self._client = client
        self._settings = settings
        self._limits = _Shape.of(settings["limits"])
        self._changed = threading.Condition()
        self._warm: list[_Container] = []
        self._alive: set[_Container] = set()
        self._fault: str | None = None
        self._ending = False
        self._made = 0
        self._making = 0
        self._warmers: list[threading.Thread] = []
        self._report: dict[str, Any] = {}

    def begin(self) -> None:
        """Start the warmers."""
        for _ in range(self._settings["warm"]):
            warmer = threading.Thread(target=self._keep_warm, daemon=True)
            warmer.start()
            self._warmers.append(warmer)

    def first(self) -> dict[str, Any]:
        """Wait for the first warm container; what it said. Raises SandboxUnavailable."""
        with self._changed:
            self._changed.wait_for(lambda: self._report or self._fault, _WARM_S)
            if not self._report:
                raise SandboxUnavailable(self._fault or "no container was ready in time")
            return self._report

    def keep(self, connection: socket.socket) -> None:
        """Serve one asker, from its request to the removal of its container."""
        container: _Container | None = None
        fds: list[int] = []
        try:
            message, fds, _, _ = socket.recv_fds(connection, 1 << 16, 2)
            if len(fds) != 2:
                return
            limits = json.loads(message)["limits"]
            container = self._take(_Shape.of(limits))
            socket.send_fds(container.channel, [message], [fds[0]])
            os.close(fds.pop(0))  # the wall: the guest has its own copy now
            socket.send_fds(connection, [b'{"event": "born"}'], [container.pidfd])
            self._watch(container, connection, fds[0], over_s=limits["wall_s"] + _GRACE_S)
        except (SandboxUnavailable, *_FAULTS) as error:
            with contextlib.suppress(OSError):
                send(connection, {"event": "failed", "what": _why(error)})
        finally:
            for fd in fds:
                os.close(fd)
            connection.close()
            if container is not None:
                self._remove(container)

    def end(self) -> None:
        """Remove every container."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            left = list(self._alive)
        removers = [threading.Thread(target=self._remove, args=(each,)) for each in left]
        for thread in removers:
            thread.start()
        for thread in removers + self._warmers:  # these remove what they were just making
            thread.join(_END_S)

    # -- warm containers -----------------------------------------------------------------------------------------------

    def _keep_warm(self) -> None:
        """Make containers for ever, one whenever one is missing."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or len(self._warm) + self._making < self._settings["warm"])
                if self._ending:
                    return
                self._making += 1
                limits = self._limits
                self._made += 1
                container = _Container(Path(self._settings["folder"]) / f"c{self._made}", limits)
                self._alive.add(container)
            try:
                report = container.make(self._client, self._settings)
            except (SandboxUnavailable, *_FAULTS) as error:
                self._remove(container)
                with self._changed:
                    self._making -= 1
                    self._fault = _why(error)
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._ending, _AGAIN_S)
                continue
            with self._changed:
                self._making -= 1
                self._fault = None
                self._report = self._report or report
                self._warm.append(container)
                wrong = [each for each in self._warm if each.limits != self._limits]
                self._warm = [each for each in self._warm if each.limits == self._limits]
                self._changed.notify_all()
            for each in wrong if not self._ending else [container]:
                self._remove(each)

    def _take(self, limits: _Shape) -> _Container:
        """A warm container for these limits. Raises SandboxUnavailable."""
        deadline = time.monotonic() + _WARM_S
        while True:
            with self._changed:
                if self._limits != limits:
                    self._limits = limits
                    wrong, self._warm = self._warm, []
                    self._changed.notify_all()
                else:
                    wrong = []
                if not wrong:
                    left_s = deadline - time.monotonic()
                    self._changed.wait_for(lambda: self._warm or self._fault or self._limits != limits, left_s)
                    if self._warm and self._limits == limits:
                        container = self._warm.pop(0)
                        self._changed.notify_all()
                        if container.is_alive():
                            return container
                        wrong = [container]
                    elif self._fault or left_s <= 0:
                        raise SandboxUnavailable(self._fault or "no container was ready in time")
            for each in wrong:
                self._remove(each)

    def _remove(self, container: _Container) -> None:
        container.remove(self._client)
        with self._changed:
            self._alive.discard(container)

    # -- guests --------------------------------------------------------------------------------------------------------

    def _watch(self, container: _Container, connection: socket.socket, asker: int, *, over_s: float) -> None:
        """Pass on what asker and guest say until one of them is gone; report the guest's end."""
        poller = select.poll()
        for fd in (container.pidfd, asker, connection.fileno(), container.channel.fileno()):
            poller.register(fd, select.POLLIN)
        is_killed = False
        deadline = time.monotonic() + min(over_s, 1e6)
        while (left_s := deadline - time.monotonic()) > 0:
            ready = {fd for fd, _ in poller.poll(left_s * 1000)}
            if container.channel.fileno() in ready:
                message = _received(container.channel)
                if message:
                    connection.send(message)
                else:  # it serves now, or is gone
                    poller.unregister(container.channel.fileno())
            if container.pidfd in ready:
                report = {"event": "exit", "status": signal.SIGKILL} if is_killed else self._autopsy(container)
                with contextlib.suppress(OSError):
                    send(connection, {**report, "cpu_s": 0.0, "cpu_limit_s": 0.0})
                return
            if asker in ready:
                return
            if connection.fileno() in ready:
                order = _received(connection)
                if order == b"go":
                    container.channel.send(order)
                elif order == b"kill":
                    is_killed = True
                    container.signal(self._client, signal.SIGKILL)
                elif order == b"interrupt":
                    container.signal(self._client, signal.SIGINT)
                else:
                    return

    def _autopsy(self, container: _Container) -> dict[str, Any]:
        """How a guest ended that we did not kill: its own doing, its limits', or the engine's."""
        try:
            code = self._client.wait(container.id, timeout=_END_S)["StatusCode"]
            events = self._client.events(  # type: ignore[call-overload] # fractions of a second are taken
                since=f"{container.since:.6f}",
                until=f"{time.time():.6f}",
                filters={"container": container.id, "event": ["kill", "oom"]},
                decode=True,
            )
            happened = [(each["Action"], each["Actor"]["Attributes"].get("signal")) for each in events]
            oom = bool(self._client.inspect_container(container.id)["State"]["OOMKilled"])
        except _FAULTS:
            return {"event": "lost"}
        if any(action == "kill" and number != str(signal.SIGINT.value) for action, number in happened):
            return {"event": "lost"}
        oom = oom or any(action == "oom" for action, _ in happened)
        number = code - 128
        is_signal = 0 < number < signal.NSIG
        return {"event": "exit", "status": number if is_signal else (code & 0xFF) << 8, "oom": oom}


class _Container:
    """One container, from its making to its removal."""

    def __init__(self, folder: Path, limits: _Shape) -> None:
        self.folder = folder
        self.limits = limits
        self.since = time.time()
        self.id = ""
        self.pidfd = -1
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._removing = threading.Lock()
        self._removed = False

    def make(self, client: APIClient, settings: dict[str, Any]) -> dict[str, Any]:
        """Make it, start it, wait until it is warm; what it said. Raises SandboxUnavailable and the engine's errors."""
        self.folder.mkdir()
        self.folder.chmod(0o755)
        path = self.folder / Path(CHANNEL).name
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen(1)
            made = str(client.create_container(**_order(client, self.folder, self.limits, settings))["Id"])
            with self._removing:
                self.id = made
                if self._removed:
                    raise SandboxUnavailable("the run has ended")
            client.start(self.id)
            self._accept(client, listener)
        path.unlink()
        with contextlib.suppress(ProcessLookupError):  # it has ended already, and has said why
            self.pidfd = os.pidfd_open(self._pid(client, foreign=settings["runtime"] is not None))
        if not readable(self.channel.fileno(), _WARM_S):
            raise SandboxUnavailable("a container was not warm in time")
        message = _received(self.channel)
        report = json.loads(message) if message else {"event": "failed", "what": "it ended without a word"}
        if report["event"] != "warm":
            raise SandboxUnavailable(f"a container could not be made ready: {report['what']}")
        if self.pidfd < 0:
            raise SandboxUnavailable("a container ended while it was made ready")
        held = self._held_bytes(int(report["inherited_bytes"]))
        most = held + self.limits.memory_bytes
        client.update_container(self.id, mem_limit=most, memswap_limit=most)
        return {name: value for name, value in report.items() if name != "event"}

    def is_alive(self) -> bool:
        """Whether its first process still waits for us."""
        return not readable(self.pidfd, 0) and not readable(self.channel.fileno(), 0)

    def signal(self, client: APIClient, number: signal.Signals) -> None:
        """Send a signal to its first process, over the engine where we have not the right."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            with contextlib.suppress(*_FAULTS):
                client.kill(self.id, number.value)

    def remove(self, client: APIClient) -> None:
        """Kill it and remove all that is left of it. Can be repeated."""
        with self._removing:
            self._removed = True
            if self.pidfd >= 0:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)  # at once; the engine takes its time
            if self.id:
                with contextlib.suppress(NotFound, *_FAULTS):
                    client.remove_container(self.id, force=True, v=True)
            self.channel.close()
            if self.pidfd >= 0:
                fd, self.pidfd = self.pidfd, -1
                os.close(fd)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _accept(self, client: APIClient, listener: socket.socket) -> None:
        deadline = time.monotonic() + _WARM_S
        while not readable(listener.fileno(), 0.5):
            state = client.inspect_container(self.id)["State"]
            if not state["Running"]:
                raise SandboxUnavailable(f"a container ended at once, with exit status {state['ExitCode']}")
            if time.monotonic() > deadline:
                raise SandboxUnavailable("a container did not connect in time")
        self.channel, _ = listener.accept()

    def _pid(self, client: APIClient, *, foreign: bool) -> int:
        """Its first process, as the kernel names the peer of the connection; with a foreign runtime the engine's word.

        The peer waits for us, so its number cannot have passed to another process. Raises ProcessLookupError when the
        engine says that it has ended.
        """
        if foreign:
            known = int(client.inspect_container(self.id)["State"]["Pid"])
            if known == 0:
                raise ProcessLookupError
            return known
        peer = self.channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", peer)[0]
        if pid == 0:
            raise SandboxUnavailable("the Docker engine's containers cannot be seen from here (another pid namespace)")
        return pid

    def _held_bytes(self, inherited: int) -> int:
        group = cgroups.of_process(pid_of(self.pidfd))
        if group is None:
            return inherited
        group.close()
        return group.held_bytes


@dataclass(frozen=True, slots=True)
class _Shape:
    """The limits that a container is made with."""

    memory_bytes: int
    processes: int
    disk_bytes: int
    inodes: int

    @classmethod
    def of(cls, limits: dict[str, Any]) -> _Shape:
        return cls(**{field.name: limits[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class _Shares:
    """How the private file systems share one budget: Docker cannot mount one of them in two places."""

    home: int
    shared_memory: int

    @classmethod
    def of(cls, budget: int) -> _Shares:
        return cls(home=budget - budget // 4, shared_memory=budget // 4)


def _order(client: APIClient, folder: Path, limits: _Shape, settings: dict[str, Any]) -> dict[str, Any]:
    """What the engine is told to make: everything it can take away is taken away."""
    disk, inodes = _Shares.of(limits.disk_bytes), _Shares.of(limits.inodes)
    mounts = [Mount(target=str(Path(CHANNEL).parent), source=str(folder), type="bind", read_only=True)]
    python_path = "/guest"
    if settings["worker_folder"]:
        mounts.append(Mount(target="/worker", source=settings["worker_folder"], type="bind", read_only=True))
        python_path += ":/worker"
    environment = guest_environment(
        home=HOME,
        temporary="/tmp",  # noqa: S108 - inside
        path="/opt/python/bin:/usr/bin:/bin",
        python_path=python_path,
        gpu={VISIBLE: "" if settings["gpu"] is None else "0"},  # the only one that is there
    )
    warming = limits.memory_bytes + _WARMING_BYTES
    host = client.create_host_config(
        network_mode="none",
        ipc_mode="private",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs={
            "/home": f"{_MOUNT_OPTIONS},mode=0755,size={disk.home},nr_inodes={inodes.home}",
            "/dev/shm": f"{_MOUNT_OPTIONS},mode=1777,size={disk.shared_memory},nr_inodes={inodes.shared_memory}",  # noqa: S108 - inside
        },
        mounts=mounts,
        mem_limit=warming,
        memswap_limit=warming,
        pids_limit=limits.processes,
        nano_cpus=1_000_000_000,
        ulimits=[Ulimit(name="core", soft=0, hard=0), Ulimit(name="memlock", soft=0, hard=0)],
        log_config=LogConfig(type="none"),
        init=False,
        runtime=settings["runtime"],
        device_requests=_devices(settings["gpu"]),
    )
    plan = {"preload": settings["preload"], "worker": settings["worker"]}
    words = [f"{name}={value}" for name, value in environment.items()]
    return {
        "image": settings["image"],
        "entrypoint": ["/usr/bin/env", "-i", *words, "/opt/python/bin/python", "-P", "-m", "grader.guest.contained"],
        "command": [json.dumps(plan)],
        "user": f"{NOBODY}:{NOBODY}",
        "hostname": "sandbox",
        "working_dir": "/",
        "labels": owner_labels(cgroups.owner_tag()),
        "healthcheck": {"test": ["NONE"]},
        "host_config": host,
        "use_config_proxy": False,
    }


def _devices(gpu: str | None) -> list[DeviceRequest] | None:
    """The request for one GPU, by index or UUID, with the driver's libraries for computing."""
    if gpu is None:
        return None
    return [DeviceRequest(device_ids=[gpu], capabilities=[["gpu", "compute", "utility"]])]


def _why(error: BaseException) -> str:
    return error.what if isinstance(error, SandboxUnavailable) else f"Docker: {said(error)}"


def _received(channel: socket.socket) -> bytes:
    """The next message; empty at the end."""
    try:
        return channel.recv(1 << 16)
    except ConnectionError:
        return b""


if __name__ == "__main__":
    main()
