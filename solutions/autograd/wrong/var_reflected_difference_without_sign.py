"""The value of 1 − a is right, its gradient has the wrong sign.

exercise: var
caught-by: var_sides
"""


class Var(Var):
    def __rsub__(self, other):
        return self._result(self._operand(other).data - self.data, (self, lambda g: g))
