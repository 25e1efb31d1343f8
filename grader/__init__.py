"""A deep-learning course in PyTorch and the machine that marks it."""

__version__ = "0.1.0"
