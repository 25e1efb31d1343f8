"""PyTorch's autograd inside.

exercise: var
caught-by: var_graph
"""


class Var:
    def __init__(self, data, requires_grad=False):
        self.data = data.detach().requires_grad_(requires_grad)

    def __mul__(self, other):
        return Var._of(self.data * (other.data if isinstance(other, Var) else other))

    def __add__(self, other):
        return Var._of(self.data + (other.data if isinstance(other, Var) else other))

    @staticmethod
    def _of(data):
        result = Var.__new__(Var)
        result.data = data
        return result

    @property
    def grad(self):
        return self.data.grad

    def backward(self, grad=None, retain_graph=False):
        self.data.backward(grad, retain_graph=retain_graph)
