"""The assignment self-attention is fair."""

import pytest
from fairness import audit


@pytest.mark.slow
def test_self_attention_is_fair():
    """Its checks are proven by right answers, wrong ones, and mutants of its solution."""
    audit("self-attention")
