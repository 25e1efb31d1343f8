"""The gradient of exp is multiplied by the input, not the output.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def exp(self):
        return self._result(self.data.exp(), (self, lambda g: g * self.data))
