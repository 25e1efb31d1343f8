"""detach returns a leaf that requires grad.

exercise: var
caught-by: var_constants, var_errors
"""


class Var(Var):
    def detach(self):
        return Var(self.data, requires_grad=self.requires_grad)
