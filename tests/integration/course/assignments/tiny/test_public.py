"""Public checks of the tiny assignment."""

import torch

from grader.checks import check, close


@check("scale", points=2, gate=True, hint="Multiply.")
def test_scale_values(student):
    """scale multiplies every entry by the factor."""
    x = torch.tensor([1.0, -2.0, 3.0])
    close(student.scale(x, 2.0), torch.tensor([2.0, -4.0, 6.0]), misconceptions={"the factor was added": x + 2.0})
