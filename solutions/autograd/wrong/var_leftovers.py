"""Gradients of intermediate Vars are kept, and passed on again by the next backward.

exercise: var
caught-by: var_retain
told: what was left in intermediate Vars by the first backward was passed on again
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
        self.kept = grad
        for var in reversed(order):
            for operand, pull_back in var._edges:
                share = pull_back(var.kept).sum_to_size(operand.data.shape)
                earlier = getattr(operand, "kept", None)
                if not operand._edges:
                    operand.grad = share.clone() if operand.grad is None else operand.grad + share
                operand.kept = share if earlier is None else earlier + share
            if not var._edges and var is self:
                var.grad = grad.clone() if var.grad is None else var.grad + grad
            elif var._edges and not retain_graph:
                var._edges = None
