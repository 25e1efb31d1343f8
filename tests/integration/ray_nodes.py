"""A Ray cluster of several nodes on this machine, in a process of its own: ``python ray_nodes.py NODES``.

Prints the address when all nodes are up. A line ``kill`` on stdin kills the last node that lives, with everything on
it, as a machine that loses its power; the end of stdin ends the cluster.
"""

import contextlib
import os
import sys
import warnings

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
warnings.simplefilter("ignore")  # Ray's own

from ray.cluster_utils import Cluster  # noqa: E402

ROOM = 80 << 20
TRIES = 6


def started(cluster: Cluster, **settings: object) -> object:
    """A node. Ray gives each 30 s to start, which a busy machine may need more than once."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(Exception):
            return cluster.add_node(object_store_memory=ROOM, **settings)
    return cluster.add_node(object_store_memory=ROOM, **settings)


def main() -> None:
    cluster = Cluster()
    started(cluster, num_cpus=0, include_dashboard=False)  # the head marks nothing
    nodes = [started(cluster, num_cpus=1) for _ in range(int(sys.argv[1]))]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            sys.stdout.write("killed\n")
            sys.stdout.flush()
    cluster.shutdown()


main()
