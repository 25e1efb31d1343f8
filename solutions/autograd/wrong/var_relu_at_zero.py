"""The gradient of relu passes at 0.

exercise: var
caught-by: var_relu_at_zero
"""


class Var(Var):
    def relu(self):
        return self._result(self.data.clamp(min=0), (self, lambda g: g * (self.data >= 0)))
