"""The result of an operation requires grad whatever its operands do.

exercise: var
caught-by: var_constants, var_errors
"""


class Var(Var):
    def _result(self, data, *edges):
        result = super()._result(data, *edges)
        result.requires_grad = True
        return result
