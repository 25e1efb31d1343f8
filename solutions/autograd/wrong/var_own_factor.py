"""Each factor gets itself as its gradient.

exercise: var
caught-by: var_graph
told: each factor got its own value; the gradient of a product is the other factor
"""


class Var(Var):
    def __mul__(self, other):
        other = self._operand(other)
        edges = (self, lambda g: g * self.data), (other, lambda g: g * other.data)
        return self._result(self.data * other.data, *edges)
