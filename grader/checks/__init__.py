"""What check files import: declarations, comparison, facts about calls, probes.

A check file is plain pytest. See ``docs/writing-checks.md``.
"""

from grader.checks.compare import close, fail
from grader.checks.contract import contract
from grader.checks.declare import Forbidden, check, forbid, probe
from grader.checks.performance import Each, counts, grows, holds, race, ramp
from grader.checks.place import on
from grader.checks.watch import Observation, type_names, watch
from grader.wall.host import Spy as spy  # noqa: N813 - used like a function: spy(fn, max_calls=3)

__all__ = [
    "Each",
    "Forbidden",
    "Observation",
    "check",
    "close",
    "contract",
    "counts",
    "fail",
    "forbid",
    "grows",
    "holds",
    "on",
    "probe",
    "race",
    "ramp",
    "spy",
    "type_names",
    "watch",
]
