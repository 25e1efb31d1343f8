"""B @ a gives a @ B.

exercise: var
caught-by: var_operations
"""


class Var(Var):
    def __rmatmul__(self, other):
        return self @ other
