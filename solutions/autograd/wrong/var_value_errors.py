"""ValueError where RuntimeError is due.

exercise: var
caught-by: var_errors
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad or (grad is None and self.data.numel() != 1):
            raise ValueError("cannot start here")
        super().backward(grad, retain_graph)
