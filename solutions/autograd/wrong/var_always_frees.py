"""retain_graph is ignored.

exercise: var
caught-by: var_retain
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        super().backward(grad)
