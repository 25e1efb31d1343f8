# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tiny assignment

# %%
import torch


# %% exercise="scale" nbgrader={"grade": false, "grade_id": "scale", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scale(x, factor):
    """x times factor."""
    ### BEGIN SOLUTION
    # ruff: noqa: E402, E501, F401 (a notebook)
    return x * factor
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-scale", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
from grader.student import check

check("scale")


# %% exercise="total" nbgrader={"grade": false, "grade_id": "total", "locked": false, "schema_version": 3, "solution": true, "task": false}
def total(numbers):
    """The sum of a list of numbers; ValueError when it is empty."""
    ### BEGIN SOLUTION
    if not numbers:
        raise ValueError("there is nothing to add")
    return sum(numbers)
    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-total", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
# total is checked when your notebook is marked.


# %% exercise="counter" nbgrader={"grade": false, "grade_id": "counter", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Counter:
    """Counts how often it was asked to."""

    ### BEGIN SOLUTION
    def __init__(self):
        self.calls = 0

    def count(self):
        self.calls += 1

    ### END SOLUTION


# %% tags=["check"] nbgrader={"grade": true, "grade_id": "check-counter", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
# Counter is checked when your notebook is marked.

# %% [markdown] exercise="why" nbgrader={"grade": true, "grade_id": "why", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Because.
# ### END SOLUTION
