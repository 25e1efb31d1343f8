"""The three checks of the light assignment that students see, line for line as in light.ipynb.

A cell of nbgrader's earns all of its points or none, so the public half of a cell is a gate without points and the
hidden half carries them: the same five checks give the same scores.
"""

import torch

from grader.checks import check


@check("log_softmax", points=0, gate=True)
def test_log_softmax(student):
    """log_softmax is right for ordinary numbers."""
    x = torch.randn(4, 5)
    assert torch.allclose(student.log_softmax(x), torch.log_softmax(x, -1), atol=1e-5)


@check("cross_entropy", points=0, gate=True)
def test_cross_entropy(student):
    """cross_entropy is right for four samples."""
    x = torch.randn(4, 5)
    y = torch.tensor([0, 1, 2, 3])
    assert torch.allclose(student.cross_entropy(x, y), torch.nn.functional.cross_entropy(x, y), atol=1e-5)


@check("sgd_train", points=5, gate=True)
def test_sgd_train(student):
    """sgd_train learns three linear classes."""
    g = torch.Generator().manual_seed(0)
    X = torch.randn(300, 8, generator=g)
    T = torch.randn(8, 3, generator=g)
    y = (X @ T).argmax(1)
    W, b = student.sgd_train(X, y, 3)
    assert ((X @ W + b).argmax(1) == y).float().mean() > 0.9
