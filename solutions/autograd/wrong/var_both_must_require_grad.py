"""A result requires grad only if all its operands do.

exercise: var
caught-by: var_graph
"""


class Var(Var):
    def _result(self, data, *edges):
        if all(var.requires_grad for var, _ in edges):
            return super()._result(data, *edges)
        return Var(data)
