"""A Ray cluster of several nodes on this machine, in a process of its own: ``python ray_nodes.py NODES``.

Beside these nodes there is a head, which has no core to mark on. Prints the address when all are up. A line ``kill``
on stdin waits for a node that is marking and kills it, with everything on it, as a machine that loses its power; the
end of stdin ends the cluster, and every process of it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import warnings
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
warnings.simplefilter("ignore")  # Ray's own

from ray.cluster_utils import Cluster  # noqa: E402

from grader.sandbox.conformance.bench import descendants  # noqa: E402

ROOM = 80 << 20
TRIES = 3
SUBREAPER = 36
"""Whatever a node that failed to start leaves behind becomes our child."""


def started(cluster: Cluster, cores: int, **settings: object) -> object:
    """A node. Ray gives each 30 s to start, which a busy machine may need more than once."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(Exception):
            return cluster.add_node(object_store_memory=ROOM, num_cpus=cores, **settings)
    return cluster.add_node(object_store_memory=ROOM, num_cpus=cores, **settings)


def is_marking(node: object) -> bool:
    """Whether a marker on it has forked for a submission: a child with its parent's own command line."""
    root = node.all_processes["raylet"][0].process.pid
    for pid, _ in descendants(root):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if b"grader.marker" in line and line == Path(f"/proc/{parent}/cmdline").read_bytes():
                return True
    return False


def serve() -> None:
    cluster = Cluster()
    started(cluster, 0, include_dashboard=False)
    nodes = [started(cluster, 1) for _ in range(int(sys.argv[1]))]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            while not (marking := [node for node in nodes if is_marking(node)]):
                time.sleep(0.01)
            nodes.remove(marking[0])
            cluster.remove_node(marking[0], allow_graceful=False)
            sys.stdout.write("killed\n")
            sys.stdout.flush()
    cluster.shutdown()


def main() -> None:
    ctypes.CDLL(None).prctl(SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
    try:
        serve()
    finally:
        for pid, _ in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


main()
