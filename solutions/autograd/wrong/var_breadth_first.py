"""Vars are visited level by level: one with a long and a short way to it passes its gradient on too early.

exercise: var
caught-by: var_reuse
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("does not require grad")
        if grad is None:
            if self.data.numel() != 1:
                raise RuntimeError("no scalar")
            grad = torch.ones_like(self.data)
        order, seen = [self], {self}
        for var in order:
            if var._edges is None:
                raise RuntimeError("freed")
            for operand, _ in var._edges:
                if operand not in seen:
                    seen.add(operand)
                    order.append(operand)
        grads = {self: grad}
        for var in order:
            g = grads[var]
            for operand, pull_back in var._edges:
                share = pull_back(g).sum_to_size(operand.data.shape)
                grads[operand] = grads[operand] + share if operand in grads else share
            if var._edges and not retain_graph:
                var._edges = None
            elif not var._edges:
                pass
        for var in order:
            if var._edges == ():
                var.grad = grads[var].clone() if var.grad is None else var.grad + grads[var]
