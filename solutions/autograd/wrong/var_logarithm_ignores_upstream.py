"""The gradient of log is 1 / a, whatever comes in.

exercise: var
caught-by: var_gradients
told: the gradient that comes in was ignored
"""


class Var(Var):
    def log(self):
        return self._result(self.data.log(), (self, lambda g: 1 / self.data))
