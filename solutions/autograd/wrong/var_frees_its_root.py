"""Only the Var that backward starts from is marked as freed.

exercise: var
caught-by: var_retain
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if getattr(self, "used", False):
            raise RuntimeError("freed")
        super().backward(grad, retain_graph=True)
        if self._edges and not retain_graph:
            self.used = True
