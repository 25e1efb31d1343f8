"""A second use of a Var overwrites the gradient of the first.

exercise: var
caught-by: var_reuse
told: the second use of a Var overwrote the gradient of the first; they add up
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("does not require grad")
        if grad is None:
            if self.data.numel() != 1:
                raise RuntimeError("no scalar")
            grad = torch.ones_like(self.data)
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            var, finished = stack.pop()
            if finished:
                order.append(var)
            elif var not in seen:
                if var._edges is None:
                    raise RuntimeError("freed")
                seen.add(var)
                stack.append((var, True))
                stack.extend((operand, False) for operand, _ in var._edges)
        grads = {self: grad}
        for var in reversed(order):
            g = grads.pop(var)
            for operand, pull_back in var._edges:
                grads[operand] = pull_back(g).sum_to_size(operand.data.shape)
            if not var._edges:
                var.grad = g.clone() if var.grad is None else var.grad + g
            elif not retain_graph:
                var._edges = None
