"""Kernel launches: counted on a GPU, and none anywhere else. ``scripts/gpu_check.sh`` runs this file on a GPU."""

import pytest
import torch
from in_process import notebook

from grader.checks import counts, watch
from grader.guest import gpu, meters
from grader.wall.faults import Mismatch
from grader.wall.host import Student

SINES = """
def sines(times, device):
    x = torch.ones(8, device=device)
    for _ in range(times):
        x = x.sin()
    return x.cpu()
"""


def test_a_cpu_launches_nothing():
    """So a limit on launches costs nobody anything where there is no GPU, and is counted for those who ask only."""
    with notebook(SINES) as wall:
        student = Student(wall)
        assert watch(student.sines, 3, "cpu", launches=True).launches == 0
        assert watch(student.sines, 3, "cpu").launches is None
        counts(student.sines, lambda: (3, "cpu"), at_most=0, of="kernel launches")
        (measured,) = wall.measurements
    assert (measured.kind, measured.value, measured.share) == ("kernel launches", 0.0, 1.0)


def test_a_gpu_that_cannot_be_traced_breaks_the_check_and_not_the_mark(monkeypatch):
    """No count is not a count of nothing: the check's author is told, and no points are lost or given."""
    monkeypatch.setattr(gpu, "is_handed_over", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.profiler, "supported_activities", set)
    with notebook(SINES) as wall, pytest.raises(RuntimeError, match="it needs CUPTI"):
        counts(Student(wall).sines, lambda: (3, "cpu"), at_most=9, of="kernel launches")


def test_what_is_traced_is_what_launches(monkeypatch):
    """Of all that a trace holds, calls that launch count; copies and waiting do not."""
    profile, activity = torch.profiler.profile, torch.profiler.ProfilerActivity
    monkeypatch.setattr(gpu, "is_handed_over", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.profiler, "supported_activities", lambda: {activity.CUDA})
    monkeypatch.setattr(torch.profiler, "profile", lambda activities: profile(activities=[activity.CPU]))
    with meters.Launches() as launches:
        for name in ("cudaLaunchKernel", "cudaMemcpyAsync", "cudaStreamSynchronize", "cuLaunchKernelEx"):
            with torch.profiler.record_function(name):
                pass
    assert launches.count == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: torch sees none")
def test_each_call_launches_a_kernel():
    """Ten calls more are ten launches more, and a limit below that is exceeded."""
    with notebook(SINES) as wall:
        student = Student(wall)
        few, many = (watch(student.sines, times, "cuda", launches=True).launches for times in (3, 13))
        assert few >= 3
        assert many - few == 10
        with pytest.raises(Mismatch, match="kernel launches"):
            counts(student.sines, lambda: (13, "cuda"), at_most=9, of="kernel launches")
