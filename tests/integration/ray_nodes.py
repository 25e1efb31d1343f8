"""A Ray cluster of several nodes on this machine, in a process of its own: ``python ray_nodes.py NODES``.

Prints the address when all nodes are up. A line ``kill`` on stdin kills the last node that lives, with everything on
it, as a machine that loses its power; the end of stdin ends the cluster, and every process of it.
"""

import contextlib
import ctypes
import os
import signal
import sys
import warnings

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
warnings.simplefilter("ignore")  # Ray's own

from ray.cluster_utils import Cluster  # noqa: E402

from grader.sandbox.conformance.bench import descendants  # noqa: E402

ROOM = 80 << 20
TRIES = 3
SUBREAPER = 36
"""Whatever a node that failed to start leaves behind becomes our child."""


def started(cluster: Cluster, **settings: object) -> object:
    """A node. Ray gives each 30 s to start, which a busy machine may need more than once."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(Exception):
            return cluster.add_node(object_store_memory=ROOM, num_cpus=1, **settings)
    return cluster.add_node(object_store_memory=ROOM, num_cpus=1, **settings)


def serve() -> None:
    cluster = Cluster()
    started(cluster, include_dashboard=False)
    nodes = [started(cluster) for _ in range(int(sys.argv[1]) - 1)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
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
