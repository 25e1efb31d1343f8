"""Each pull-back is a call of torch.func.vjp.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def log(self):
        def back(g):
            return torch.func.vjp(torch.log, self.data)[1](g)[0]

        return self._result(self.data.log(), (self, back))
