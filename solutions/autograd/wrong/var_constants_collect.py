"""Constants collect gradients too.

exercise: var
caught-by: var_constants
"""


class Var(Var):
    def _result(self, data, *edges):
        result = super()._result(data, *edges)
        if result._edges:
            constants = [var for var, _ in edges if not var.requires_grad]
            for constant in constants:
                constant.grad = torch.zeros_like(constant.data)
        return result
