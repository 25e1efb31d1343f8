"""Hidden checks of the tiny assignment."""

import pytest
import torch

from grader.checks import check, close, contract


@check("scale", points=1, hint="Leave the arguments alone.")
def test_scale_contract(student, rng):
    """scale only returns: it changes nothing."""
    x = torch.randn(3, 4, generator=rng, dtype=torch.float64)
    close(contract(student.scale, x, -1.5), -1.5 * x)


@check("scale", points=1)
def test_scale_gradient(student, rng):
    """Gradients flow through scale."""
    x = torch.randn(5, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: student.scale(x, 3.0), x)


@check("total", points=2, gate=True, hint="Add them up.")
def test_total_values(student):
    """total adds up a list of numbers."""
    close(student.total([1.0, 2.0, 4.5]), 7.5)


@check("total", points=1)
def test_total_empty(student):
    """total raises ValueError when there is nothing to add."""
    with pytest.raises(ValueError):
        student.total([])


@check("counter", points=2, gate=True)
def test_counter(student):
    """A Counter counts its calls."""
    counter = student.Counter()
    counter.count()
    counter.count()
    close(counter.calls, 2)
