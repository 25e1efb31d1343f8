"""The gradient of a sum along a dimension is expanded as it is: right for the first dimension only.

exercise: var
caught-by: var_sum
"""


class Var(Var):
    def sum(self, dim=None, keepdim=False):
        data = self.data.sum(dim, keepdim=keepdim)
        return self._result(data, (self, lambda g: g.expand(self.data.shape)))
