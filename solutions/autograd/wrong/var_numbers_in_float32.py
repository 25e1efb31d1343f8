"""A number becomes a float32 tensor: 0.1 loses half of its digits.

exercise: var
caught-by: var_sides
"""


class Var(Var):
    def _operand(self, other):
        if isinstance(other, Var):
            return other
        if isinstance(other, Tensor):
            return Var(other)
        return Var(torch.tensor(float(other)).to(self.data.dtype))
