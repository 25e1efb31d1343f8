"""A single entry must have no dimension to be a scalar.

exercise: var
caught-by: var_errors, var_deep, var_work, var_accumulation
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if grad is None and self.data.ndim:
            raise RuntimeError("no scalar")
        super().backward(grad, retain_graph)
