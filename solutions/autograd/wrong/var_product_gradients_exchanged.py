"""The gradients of a matrix product are multiplied from the wrong side.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def __matmul__(self, other):
        other = self._operand(other)
        edges = (self, lambda g: other.data.mT @ g), (other, lambda g: g @ self.data.mT)
        return self._result(self.data @ other.data, *edges)
