"""The gradient of a − b with respect to b lacks its minus.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def __sub__(self, other):
        other = self._operand(other)
        return self._result(self.data - other.data, (self, lambda g: g), (other, lambda g: g))
