"""The same plan on a Ray cluster: ``Cluster`` marks like ``grader.jobs.MarkerProcess``, with every node it can have.

Theory of operation. The driver (``grader grade --cluster``) keeps the queue and the one journal. On each node of the
cluster it starts one actor, which takes the node's cores (and a share of its GPUs for each submission), lays out the
course in a private folder, and starts a marker process there: own sandbox, own warm zygote, the reference marked once
more. Submissions travel as data and records come back as data; a node needs nothing but the same version of the grader.

A node that goes away, or an actor or marker that dies, costs what it had in flight: that goes to the others. A
submission that was lost so with three nodes stops the run, for it may be what kills them. Nodes that join are used.
When the driver ends, however it ends, Ray ends its actors, and they their markers and guests.

Not defended: whoever may talk to the cluster's ports may do anything on it (that is Ray's own rule); hidden tests lie
in the actors' private folders while a run lasts. Guests have no network and reach none of it.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
import zipfile
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from grader import __version__
from grader.errors import CourseError, GraderError, InternalError, SandboxUnavailable, UsageError
from grader.jobs import AHEAD, Gone, MarkerProcess
from grader.lanes import FORK_BYTES
from grader.marker import Step

if TYPE_CHECKING:
    from grader.config import Assignment, Course
    from grader.model import Record
    from grader.submissions import Submission

__all__ = ["Cluster", "Node"]

LEFT_OUT = {"class", "correct", "wrong", "__pycache__"}
"""Folders of a solution that marking does not need."""
FOLDER = "grader-node-"
LOOK_EVERY_S = 2.0
PATIENCE_S = 120.0
"""How long a run without a single node waits for one."""
LOSSES = 3
STARTS = 2
"""How often a marker is started on a node that has one dying."""


class Node:
    """What runs on a node of the cluster, as a Ray actor: one marker process and its guests."""

    def __init__(self, version: str, files: bytes, order: dict[str, Any]) -> None:
        self._version = version
        self._files = files
        self._order = order
        self._results: dict[int, Future[Record]] = {}
        self._lock = threading.Lock()
        self._gone = False

    def ready(self) -> str:
        """Start the marker and wait until the reference has passed here; the sandbox's name.

        Not in ``__init__``: what is raised there comes to the driver as the actor's death, without its class.

        Raises:
            UsageError: the node has another version of the grader.
        """
        if self._version != __version__:
            raise UsageError(
                f"the node {os.uname().nodename} has version {__version__} of the grader, not {self._version}",
                remedy="install the same version on all of them",
            )
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's: the marker decides itself
        for old in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):  # of actors that were killed
            if not Path(f"/proc/{old.name.removeprefix(FOLDER).partition('-')[0]}").exists():
                shutil.rmtree(old, ignore_errors=True)
        self._folder = tempfile.TemporaryDirectory(prefix=f"{FOLDER}{os.getpid()}-")
        with zipfile.ZipFile(io.BytesIO(self._files)) as archive:
            archive.extractall(self._folder.name)
        self._marker = MarkerProcess(self._order | {"course": str(Path(self._folder.name) / "course.yaml")})
        self._marker.__enter__()
        sandbox = self._marker.ready()
        threading.Thread(target=self._listen, daemon=True).start()
        return sandbox

    def mark(self, number: int, submission: Submission, reason: str, more: dict[str, Any]) -> Record:
        """Mark one submission. Raises Gone when the marker process is."""
        result: Future[Record] = Future()
        with self._lock:
            if self._gone:
                raise Gone
            self._results[number] = result
            self._marker.hand(number, submission, reason, **more)
        return result.result()

    def close(self) -> None:
        """End the marker and its guests and take the course away."""
        self._folder.cleanup()
        self._marker.__exit__(None, None, None)

    def _listen(self) -> None:
        try:
            while True:
                number, news = self._marker.take()
                if not isinstance(news, Step):  # what has begun the driver says itself, and who is timed nobody
                    self._results.pop(number).set_result(news)
        except (Gone, GraderError) as error:
            with self._lock:
                self._gone = True
            for result in self._results.values():
                result.set_exception(error)


@dataclass(slots=True)
class _Member:
    """A node of the cluster as the driver sees it."""

    id: str
    name: str
    actor: Any
    lanes: int
    ready: Any
    """The reference to what ``Node.ready`` will say; None when it has."""
    flying: dict[int, Any] = field(default_factory=dict)
    """By number: the reference to its record, in the order of handing over."""


@dataclass(slots=True)
class _Task:
    submission: Submission
    reason: str
    more: dict[str, Any]
    begun: bool = False
    losses: int = 0


class _NotRays:
    """Stdout for results: what Ray's own threads print there goes to stderr."""

    def __init__(self, out: Any) -> None:
        self.out = out

    def write(self, text: str) -> int:
        """As a file's."""
        rays = threading.current_thread().name.startswith("ray_")
        return int((sys.stderr if rays else self.out).write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.out, name)


class Cluster:
    """Marks on every node of a Ray cluster.

    Args:
        order: as for a marker process; ``workers`` counts for each node.
        address: Ray's: ``auto``, ``host:6379``, ``ray://host:10001``.
        course: to be carried to the nodes.
        assignment: of it, the one that is marked.
        workers: submissions at a time on a node; as many as its cores and memory allow if None.
        gpu_share: GPUs for a submission, where the assignment wants one.
    """

    def __init__(
        self,
        order: dict[str, Any],
        *,
        address: str,
        course: Course,
        assignment: Assignment,
        workers: int | None = None,
        gpu_share: float = 1.0,
    ) -> None:
        self._ray = _ray()
        self._order = order
        self._address = address
        self._assignment = assignment
        self._files = _packed(course, assignment)
        self._workers = workers
        self._gpu_share = gpu_share if assignment.gpu != "never" else 0.0
        self._members: dict[str, _Member] = {}
        self._starts: dict[str, int] = {}
        self._tasks: dict[int, _Task] = {}
        self._waiting: deque[int] = deque()
        """Handed over, but there is no node for them now."""
        self._news: deque[int] = deque()
        self._looked = 0.0
        self._alone_since = math.inf
        self._refused: GraderError | None = None
        self._sandbox = ""
        self.notices: list[str] = []

    def __enter__(self) -> Self:
        self._stdout, sys.stdout = sys.stdout, _NotRays(sys.stdout)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        sys.stdout = sys.stderr  # whatever Ray still has to say
        try:
            if self._ray.is_initialized():
                with contextlib.suppress(Exception):
                    closing = [member.actor.close.remote() for member in self._members.values()]
                    self._ray.wait(closing, num_returns=max(1, len(closing)), timeout=5 if kind else 20)
                self._ray.shutdown()  # takes the actors along
        finally:
            sys.stdout = self._stdout

    @property
    def lanes(self) -> int:
        """Submissions at a time, on all nodes that are ready."""
        return max(1, sum(member.lanes for member in self._members.values() if member.ready is None))

    def ready(self) -> str:
        """Wait until the first node is ready; the name of its sandbox. The others join when they are."""
        try:
            _knock(self._address)
            self._ray.init(address=self._address, log_to_driver=False, logging_level="ERROR")
        except (ValueError, OSError, RuntimeError) as error:
            told = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            remedy = "see that it runs (`ray status --address …`) and that this machine reaches it"
            raise UsageError(f"there is no Ray cluster at {self._address[:100]!r}: {told}", remedy=remedy) from None
        self._packed_ref = self._ray.put(self._files)
        self._alone_since = time.monotonic()
        while not any(member.ready is None for member in self._members.values()):
            self._look()
            self._wait()
        return self._sandbox

    def hand(self, number: int, submission: Submission, reason: str, **more: Any) -> None:
        """Hand over one submission: to the node with the most room."""
        self._tasks[number] = _Task(submission, reason, more)
        self._place(number)

    def take(self) -> tuple[int, Record | Step]:
        """Wait for news of a submission: that it has begun, or its record."""
        while True:
            if self._news:
                return self._news.popleft(), Step.BEGIN
            self._look()
            found = self._wait()
            if found is not None:
                return found

    # -- nodes -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Now and then: use nodes that have joined; give up when there has been none for a while."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        for node in self._ray.nodes():
            known = node["NodeID"] in self._members or self._starts.get(node["NodeID"], 0) >= STARTS
            if node["Alive"] and not known and (lanes := self._lanes_of(node["Resources"])):
                self._start(node["NodeID"], node["NodeManagerHostname"], lanes)
        if self._members:
            self._alone_since = now
        elif self._refused is not None:
            raise self._refused
        elif now - self._alone_since > PATIENCE_S:
            raise SandboxUnavailable(
                "the cluster has no node to mark on",
                remedy="each needs a core, and memory for one submission (limits.memory); see `ray status`",
            )

    def _lanes_of(self, resources: dict[str, float]) -> int:
        """Submissions at a time that a node's resources allow."""
        each = self._assignment.limits.memory_bytes + FORK_BYTES
        lanes = min(int(resources.get("CPU", 0)), int(resources.get("memory", math.inf) // each))
        if self._gpu_share:
            lanes = min(lanes, int(resources.get("GPU", 0) / self._gpu_share))
        return lanes if self._workers is None else min(lanes, self._workers)

    def _start(self, node: str, name: str, lanes: int) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        gpus = lanes * self._gpu_share
        remote = self._ray.remote(Node).options(
            num_cpus=lanes,
            num_gpus=gpus if gpus <= 1 else math.ceil(gpus),
            max_concurrency=2 * lanes + AHEAD + 2,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        actor = remote.remote(__version__, self._packed_ref, self._order | {"workers": lanes, "most": lanes})
        self._starts[node] = self._starts.get(node, 0) + 1
        self._members[node] = _Member(node, name, actor, lanes, actor.ready.remote())

    def _joined(self, member: _Member) -> None:
        from ray.exceptions import RayError

        try:
            self._sandbox = self._ray.get(member.ready)
        except GraderError as error:  # Ray raises what is both: its own and ours
            self._lost(member, getattr(error, "cause", error))
        except RayError as error:
            self._lost(member, error)
        else:
            member.ready = None
            while self._waiting and self._room() is not None:
                self._place(self._waiting.popleft())

    def _lost(self, member: _Member, why: BaseException) -> None:
        """A node, or the actor or marker on it, is gone: what it had goes to the others."""
        self._members.pop(member.id, None)
        with contextlib.suppress(Exception):
            self._ray.kill(member.actor)
        if isinstance(why, CourseError | UsageError):
            raise why
        if isinstance(why, GraderError):
            self._refused = why
        told = why.what if isinstance(why, GraderError) else type(why).__name__
        back = f"; {len(member.flying)} submissions go to the others" if member.flying else ""
        self.notices.append(f"the node {member.name} was lost ({told}){back}.")
        for number in member.flying:
            task = self._tasks[number]
            task.losses += 1
            if task.losses >= LOSSES:
                student = task.submission.ref.student
                raise InternalError(
                    f"{student} was lost with its node {LOSSES} times; look at that submission",
                    remedy=f"mark it by itself: `grader grade --student {student}`",
                )
            self._place(number)

    # -- submissions -------------------------------------------------------------------------------------------------

    def _room(self) -> _Member | None:
        """The ready node with the fewest submissions a lane."""
        ready = [member for member in self._members.values() if member.ready is None]
        return min(ready, key=lambda member: len(member.flying) / member.lanes, default=None)

    def _place(self, number: int) -> None:
        member = self._room()
        if member is None:
            self._waiting.append(number)
            return
        task = self._tasks[number]
        member.flying[number] = member.actor.mark.remote(number, task.submission, task.reason, task.more)
        self._begin(member)

    def _begin(self, member: _Member) -> None:
        """Say of the submissions in a node's lanes that they have begun."""
        for number in list(member.flying)[: member.lanes]:
            if not self._tasks[number].begun:
                self._tasks[number].begun = True
                self._news.append(number)

    def _wait(self) -> tuple[int, Record] | None:
        """Wait a moment for a record, a node that is ready, or one that is lost."""
        starting = {member.ready: member for member in self._members.values() if member.ready is not None}
        marking = {ref: (member, n) for member in self._members.values() for n, ref in member.flying.items()}
        refs = [*starting, *marking]
        if not refs:
            time.sleep(0.2)
            return None
        done, _ = self._ray.wait(refs, num_returns=1, timeout=1.0)
        for ref in done:
            if ref in starting:
                self._joined(starting[ref])
                continue
            member, number = marking[ref]
            return self._record(member, number, ref)
        return None

    def _record(self, member: _Member, number: int, ref: Any) -> tuple[int, Record] | None:
        from ray.exceptions import RayError

        try:
            record: Record = self._ray.get(ref)
        except GraderError as error:
            self._lost(member, getattr(error, "cause", error))
        except (RayError, Gone) as error:
            self._lost(member, error)
        else:
            del member.flying[number]
            self._tasks.pop(number)
            self._begin(member)
            return number, record
        return None


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: Ray itself would wait for minutes. ``auto`` it looks up at once."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise UsageError("marking on a cluster needs Ray", remedy="pip install 'grader[cluster]'") from None
    return ray


def _packed(course: Course, assignment: Assignment) -> bytes:
    """What a node needs of the course, as a ZIP archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(course.file, "course.yaml")
        for folder in (assignment.folder, assignment.solution_folder):
            for path in sorted(folder.rglob("*")):
                inside = path.relative_to(folder)
                if path.is_file() and not path.is_symlink() and not LEFT_OUT.intersection(inside.parts):
                    archive.write(path, str(path.relative_to(course.root)))
    return packed.getvalue()
