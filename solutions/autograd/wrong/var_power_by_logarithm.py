"""a ** p as exp(p log a): not for negative numbers.

exercise: var
caught-by: var_gradients
"""


class Var(Var):
    def __pow__(self, p):
        return (self.log() * p).exp()
