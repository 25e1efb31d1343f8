"""The gradient of a / b with respect to b lacks its square.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def __truediv__(self, other):
        other = self._operand(other)
        edges = (self, lambda g: g / other.data), (other, lambda g: -g * self.data / other.data)
        return self._result(self.data / other.data, *edges)
