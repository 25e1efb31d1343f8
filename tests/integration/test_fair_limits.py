"""Wall time is a backstop: a guest that stands in line for a core is not out of time, one that sleeps is."""

import os
import subprocess
import sys
import time

import pytest

from grader.sandbox.base import Limits
from grader.sandbox.zygotes import pid_of
from grader.wall.faults import OutOfTime
from grader.wall.host import Student, Wall
from grader.wall.session import Budget, CodeCell, Session

COMPUTES = "import time\nwhile time.process_time() < start + 0.4:\n    pass\ndone = 'computed'"
RIVALS = 12


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


class Slow:
    """A sandbox whose guests take a while to come."""

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def spawn(self, limits):
        time.sleep(0.6)
        return self.sandbox.spawn(limits)


NAP = "import time\ndef nap(seconds):\n    time.sleep(seconds)"
THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"


def session_of(sandbox, *sources):
    """A notebook of these cells, loaded, with one second for the whole submission."""
    session = Session(sandbox=sandbox, limits=Limits(wall_s=120), budget=Budget(submission_s=1.0))
    session.load([CodeCell(index=index, source=source) for index, source in enumerate(sources)])
    return session


def test_the_wait_for_a_guest_is_not_the_students(sandbox):
    """A notebook with a thread is loaded anew for each check: that its guests come late costs it nothing."""
    with session_of(Slow(sandbox), NAP, THREAD) as session:
        for number in range(4):
            wall = session.for_check(number)
            Student(wall).nap(0.01)
        assert session.remarks == ["the notebook started threads, so it was loaded anew for each check"]


def test_what_checks_wait_for_the_student_adds_up(sandbox):
    """Whoever sleeps in every check has used up the time of the submission at last."""
    with session_of(sandbox, NAP) as session:
        for number in range(2):
            Student(session.for_check(number)).nap(0.6)
        with pytest.raises(OutOfTime, match="All the time that a submission may take was used up"):
            session.for_check(2)


def test_what_cells_sleep_adds_up(sandbox):
    """Cells that sleep use no computing time, and yet not all of them are run."""
    session = Session(sandbox=sandbox, limits=Limits(wall_s=120), budget=Budget(submission_s=1.0))
    with session:
        cells = [CodeCell(index=index, source="import time\ntime.sleep(0.6)") for index in range(4)]
        statuses = [result.status for result in session.load(cells).values()]
    assert statuses == ["ok", "ok", "not-run", "not-run"]
