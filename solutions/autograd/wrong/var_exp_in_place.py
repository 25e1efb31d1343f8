"""exp writes into its operand, and into the graph of everything else.

exercise: var
caught-by: var_operations
"""


class Var(Var):
    def exp(self):
        y = self.data.exp_()
        return self._result(y, (self, lambda g: g * y))
