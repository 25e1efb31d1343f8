"""detach makes a new Var with the same past.

exercise: var
caught-by: var_constants
"""


class Var(Var):
    def detach(self):
        return self * 1
