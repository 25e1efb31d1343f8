"""What several files here need."""

import pytest

from grader.sandbox.bubblewrap import BubblewrapSandbox, obstacle


@pytest.fixture(scope="module")
def sandbox():
    """A warm bubblewrap sandbox."""
    if (missing := obstacle()) is not None:
        pytest.skip(f"no bubblewrap sandbox here: {missing}")
    with BubblewrapSandbox() as sandbox:
        yield sandbox
