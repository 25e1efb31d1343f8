"""The gradient of a ** p lacks the factor p.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def __pow__(self, p):
        return self._result(self.data**p, (self, lambda g: g * self.data ** (p - 1)))
