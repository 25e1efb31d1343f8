"""Each pull-back is a call of torch.autograd.grad.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def exp(self):
        def back(g):
            leaf = torch.tensor(self.data.tolist(), dtype=self.data.dtype, requires_grad=True)
            return torch.autograd.grad(leaf.exp(), leaf, g)[0]

        return self._result(self.data.exp(), (self, back))
