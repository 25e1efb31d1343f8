"""All dimensions are transposed, also those of a batch.

exercise: var
caught-by: var_matmul
"""


class Var(Var):
    def __matmul__(self, other):
        other = self._operand(other)
        if self.data.ndim > 2 or other.data.ndim > 2:
            raise ValueError("matrices only")
        edges = (self, lambda g: g @ other.data.T), (other, lambda g: self.data.T @ g)
        return self._result(self.data @ other.data, *edges)
