"""1 − a gives a − 1.

exercise: var
caught-by: var_operations
"""


class Var(Var):
    def __rsub__(self, other):
        return self - other
