"""A second backward overwrites .grad.

exercise: var
caught-by: var_accumulation, var_retain
told: the second backward overwrote the gradient of the first; they add up
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        found, todo = {self}, [self]
        while todo:
            for operand, _ in todo.pop()._edges or ():
                if operand not in found:
                    found.add(operand)
                    todo.append(operand)
        before = {var: var.grad for var in found if var._edges == ()}
        for var in before:
            var.grad = None
        try:
            super().backward(grad, retain_graph)
        except RuntimeError:
            for var, g in before.items():
                var.grad = g
            raise
