"""backward of a constant does nothing, in silence.

exercise: var
caught-by: var_errors
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if self.requires_grad:
            super().backward(grad, retain_graph)
