"""The proof that an assignment is fair: right answers get everything, wrong ones what they deserve.

Theory of operation. An audit makes notebooks (``subject``): the solution; the solution with a right or wrong variant
behind it (``variants``); with every function of an exercise wrapped in something wrong whatever the exercise is
(``generic``); with one small change in its own code (``mutants``); and the released starter. All are marked like a
class, by a marker process in the sandbox (``trials``), and the records are judged (``findings``).
"""

from __future__ import annotations

from grader.audit.findings import Report, judge
from grader.audit.page import audit_page
from grader.audit.subject import Subject
from grader.audit.trials import Trial, planned, run

__all__ = ["Report", "Subject", "Trial", "audit_page", "judge", "planned", "run"]
