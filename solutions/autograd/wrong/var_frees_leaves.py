"""Leaves are marked as freed too, and cannot be used again.

exercise: var
caught-by: var_accumulation, var_retain
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        found, todo = {self}, [self]
        while todo:
            var = todo.pop()
            if getattr(var, "used", False):
                raise RuntimeError("freed")
            for operand, _ in var._edges or ():
                if operand not in found:
                    found.add(operand)
                    todo.append(operand)
        super().backward(grad, retain_graph)
        for var in found:
            var.used = not retain_graph
