"""relu writes into its operand.

exercise: var
caught-by: var_plain_tensors
"""


class Var(Var):
    def relu(self):
        mask = self.data > 0
        return self._result(self.data.clamp_(min=0), (self, lambda g: g * mask))
