"""Wall time is a backstop: a guest that stands in line for a core is not out of time, one that sleeps is."""

import os
import subprocess
import sys

import pytest

from grader.sandbox.base import Limits
from grader.sandbox.bubblewrap import BubblewrapSandbox, obstacle
from grader.sandbox.zygotes import pid_of
from grader.wall.faults import OutOfTime
from grader.wall.host import Wall

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=f"no bubblewrap sandbox here: {obstacle()}")

COMPUTES = "import time\nwhile time.process_time() < start + 0.4:\n    pass\ndone = 'computed'"
RIVALS = 12


@pytest.fixture(scope="module")
def sandbox():
    with BubblewrapSandbox() as sandbox:
        sandbox.start()
        yield sandbox


@pytest.fixture
def guest(sandbox):
    guest = sandbox.spawn(Limits(wall_s=120))
    yield guest
    guest.close()


@pytest.fixture
def crowded(guest):
    """The guest on one core, together with a dozen processes that never rest."""
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(pid_of(guest._pidfd), {core})
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nprint(flush=True)\nwhile True:\n    pass"
    rivals = [
        subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE)
        for _ in range(RIVALS)
    ]
    for rival in rivals:
        rival.stdout.readline()
    yield
    for rival in rivals:
        rival.kill()
        rival.wait()
        rival.stdout.close()


def test_a_guest_that_waits_for_a_core_is_not_out_of_time(guest, crowded):
    """It needs 0.4 s of computing and gets a thirteenth of a core: half a second of wall time does not end it."""
    wall = Wall(guest.wall, guest=guest)
    wall.request("cell", [0, "import time\nstart = time.process_time()"], options={"output_bytes": 100})
    wall.extend(0.5, 5.0)
    answer, _ = wall.request("cell", [1, COMPUTES], options={"output_bytes": 100})
    assert (answer["status"], wall.fault) == ("ok", None)
    assert guest.waited_s() > 0.5


def test_a_guest_that_sleeps_is_out_of_time(guest):
    """Whoever does not want a core has no excuse: the backstop ends it."""
    wall = Wall(guest.wall, guest=guest)
    wall.extend(1.0, 5.0)
    with pytest.raises(OutOfTime, match="still running after 1 s"):
        wall.request("cell", [0, "import time\ntime.sleep(60)"], options={"output_bytes": 100})
