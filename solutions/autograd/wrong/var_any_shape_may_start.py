"""backward starts from ones for any shape.

exercise: var
caught-by: var_errors
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        super().backward(torch.ones_like(self.data) if grad is None else grad, retain_graph)
