"""The tests that every sandbox must pass: run them on a backend of your own.

Five lines in a test file are enough (the same object does for pytest, ``run`` does without it)::

    @pytest.fixture(scope="module")
    def bench():
        with conformance.Bench(MySandbox) as bench:
            yield bench

    @pytest.mark.parametrize("case", conformance.CASES, ids=str)
    def test_my_sandbox_conforms(case, bench):
        case.check(bench)

``MySandbox`` is whatever makes a sandbox when it is called with ``worker=`` and ``worker_folder=`` (a class, or
``functools.partial(MySandbox, image=…)``): in its guests it must run ``serve(wall, limits)`` of the module ``worker``,
which lies in ``worker_folder``, in place of ``grader.guest.worker``. The suite's own worker executes lines of Python
that a case sends it, so that each case shows what the hostile code does.

Theory of operation. Everything is judged from outside, through the protocol (``grader.sandbox.base``) and the host's
``/proc``; nothing of a backend's inside is touched. A case that ``needs`` a capability runs when the backend says that
it holds, and must then pass. Only when the backend says itself that it does not hold here is a case *not applicable*;
to say nothing about it is a failure. While a bench is open, ``TMPDIR`` is a folder of the bench's own, in which the
backend may leave nothing.

**Not covered**: a flaw in the kernel; what a GPU's driver lets through; how fast guests are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.sandbox.conformance import ends, leftovers, limits, reach
from grader.sandbox.conformance.bench import Bench
from grader.sandbox.conformance.case import Case, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Collection

    from grader.sandbox.conformance.bench import Make

__all__ = ["CASES", "Bench", "Case", "Outcome", "Result", "run"]

CASES: tuple[Case, ...] = (*reach.CASES, *limits.CASES, *ends.CASES, *leftovers.CASES)
"""All cases, in an order that begins with the simplest."""


def run(make: Make, only: Collection[str] | None = None) -> list[Result]:
    """Run the cases on the sandbox that ``make`` makes, and tell what became of each.

    Args:
        make: called with ``worker=`` and ``worker_folder=``; gives a sandbox that has not been started.
        only: names of cases; all if None.

    Raises:
        SandboxUnavailable: the sandbox cannot be started here.
        ValueError: ``only`` names a case that does not exist.
    """
    unknown = sorted(set(only or ()) - {case.name for case in CASES})
    if unknown:
        raise ValueError(f"there is no case called {', '.join(unknown)}")
    with Bench(make) as bench:
        return [case.result(bench) for case in CASES if only is None or case.name in only]
