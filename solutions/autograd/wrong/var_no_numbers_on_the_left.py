"""The reflected operations are not there.

exercise: var
caught-by: var_operations
"""


class Var(Var):
    __radd__ = __rmul__ = __rsub__ = __rtruediv__ = __rmatmul__ = None
