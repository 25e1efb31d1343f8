"""Sums along several dimensions are not thought of.

exercise: var
caught-by: var_sum
"""


class Var(Var):
    def sum(self, dim=None, keepdim=False):
        if dim is None:
            return super().sum(None, keepdim)
        data = self.data.sum(dim, keepdim=keepdim)

        def back(g):
            return (g if keepdim else g.unsqueeze(dim)).expand(self.data.shape)

        return self._result(data, (self, back))
