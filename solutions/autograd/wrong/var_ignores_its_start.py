"""backward starts from ones, whatever it is given.

exercise: var
caught-by: var_graph
told: backward ignored the gradient that it was given to start from
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        super().backward(None if grad is None else torch.ones_like(grad), retain_graph)
