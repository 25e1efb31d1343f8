"""A whole number becomes a whole-number tensor, and its negative power an error.

exercise: var
caught-by: var_sides
"""


class Var(Var):
    def _operand(self, other):
        return other if isinstance(other, Var) else Var(torch.as_tensor(other))
