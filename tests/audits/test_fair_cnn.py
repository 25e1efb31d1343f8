"""The assignment cnn is fair."""

import pytest
from fairness import audit


@pytest.mark.slow
def test_cnn_is_fair():
    """Its checks are proven by right answers, wrong ones, and mutants of its solution."""
    audit("cnn")
