"""The first gradient of a leaf is not copied, and later ones are added in place.

exercise: var
caught-by: var_own_memory
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
                share = pull_back(g).sum_to_size(operand.data.shape)
                grads[operand] = grads[operand] + share if operand in grads else share
            if not var._edges:
                var.grad = g if var.grad is None else var.grad + g
            elif not retain_graph:
                var._edges = None
