"""The topological order is found by recursion.

exercise: var
caught-by: var_deep
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("does not require grad")
        if grad is None:
            if self.data.numel() != 1:
                raise RuntimeError("no scalar")
            grad = torch.ones_like(self.data)
        order, seen = [], set()

        def visit(var):
            if var in seen:
                return
            if var._edges is None:
                raise RuntimeError("freed")
            seen.add(var)
            for operand, _ in var._edges:
                visit(operand)
            order.append(var)

        visit(self)
        grads = {self: grad}
        for var in reversed(order):
            g = grads.pop(var)
            for operand, pull_back in var._edges:
                share = pull_back(g).sum_to_size(operand.data.shape)
                grads[operand] = grads[operand] + share if operand in grads else share
            if not var._edges:
                var.grad = g.clone() if var.grad is None else var.grad + g
            elif not retain_graph:
                var._edges = None
