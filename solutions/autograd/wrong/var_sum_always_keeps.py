"""keepdim is ignored when it is False and there is more than one dimension.

exercise: var
caught-by: var_operations
"""


class Var(Var):
    def sum(self, dim=None, keepdim=False):
        return super().sum(dim, keepdim=dim is not None)
