"""Every backend against the conformance suite. ``integration/test_sandbox_ordinary_user.py`` runs this without root."""

import dataclasses
import functools
from dataclasses import dataclass

import pytest

from grader.sandbox import bubblewrap, cgroups, conformance, gpus
from grader.sandbox.bubblewrap import BubblewrapSandbox
from grader.sandbox.unsandboxed import UnsandboxedSandbox


@dataclass
class Backend:
    make: object
    obstacle: object = lambda: None
    """Says why it cannot run here."""


def no_groups():
    return bubblewrap.obstacle() or ("no control groups can be had here" if cgroups.find() is None else None)


def no_gpu(otherwise=lambda: None):
    found = gpus.find()
    return found.what if isinstance(found, gpus.NoGpu) else otherwise()


def with_gpu(backend, **settings):
    return backend(gpu=gpus.find(), **settings)


BACKENDS = {
    "bubblewrap": Backend(BubblewrapSandbox, no_groups),
    "bubblewrap, watched": Backend(functools.partial(BubblewrapSandbox, use_cgroups=False), bubblewrap.obstacle),
    "none": Backend(UnsandboxedSandbox),
    "bubblewrap with a GPU": Backend(
        functools.partial(with_gpu, BubblewrapSandbox), functools.partial(no_gpu, bubblewrap.obstacle)
    ),
    "none with a GPU": Backend(functools.partial(with_gpu, UnsandboxedSandbox), no_gpu),
}
PARAMETERS = [
    pytest.param(backend, id=name, marks=[pytest.mark.gpu] if "GPU" in name else [])
    for name, backend in BACKENDS.items()
]


@pytest.fixture(scope="module", params=PARAMETERS)
def bench(request):
    obstacle = request.param.obstacle()
    if obstacle is not None:
        pytest.skip(f"cannot run here: {obstacle}")
    with conformance.Bench(request.param.make) as made:
        yield made


@pytest.mark.parametrize("case", conformance.CASES, ids=str)
def test_the_backend_conforms(case, bench):
    """What is true of one sandbox is true of all, unless it says itself that it is not."""
    case.check(bench)


class Boaster(UnsandboxedSandbox):
    """Has no walls, and says that it has all of them."""

    def capabilities(self):
        return tuple(dataclasses.replace(line, holds=line.id != "gpu") for line in super().capabilities())


EXPOSED = [
    *("no_files_of_the_host", "no_network", "namespaces_of_its_own", "only_its_own_processes", "guests_share_nothing"),
    *("no_privileges", "the_disk_is_bounded", "inodes_are_bounded"),
]


def test_a_backend_that_claims_too_much_is_found_out():
    """Each claim that does not hold fails the case about it, and what does hold still passes."""
    results = conformance.run(Boaster, only=[*EXPOSED, "a_crash_is_a_signal"])
    outcomes = {result.case: str(result.outcome) for result in results}
    assert outcomes == {**dict.fromkeys(EXPOSED, "failed"), "a_crash_is_a_signal": "passed"}


def test_an_unknown_case_is_an_error():
    """A misspelt name does not pass by running nothing."""
    with pytest.raises(ValueError, match="there is no case called no_netwrok"):
        conformance.run(Boaster, only=["no_netwrok"])
