"""Var by Kahn's algorithm: a Var is ready when all that use it have passed their gradients on."""

from collections import Counter, deque


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("does not require grad")
        if grad is None and self.data.numel() != 1:
            raise RuntimeError("give me a gradient to start from")
        uses, todo, known = Counter(), [self], {self}
        while todo:
            var = todo.pop()
            if var._edges is None:
                raise RuntimeError("the graph is gone")
            for operand, _ in var._edges:
                uses[operand] += 1
                if operand not in known:
                    known.add(operand)
                    todo.append(operand)
        total = {self: torch.ones_like(self.data) if grad is None else grad.clone()}
        ready = deque([self])
        while ready:
            var = ready.popleft()
            g = total.pop(var)
            if not var._edges:
                var.grad = g.contiguous().clone() if var.grad is None else torch.add(var.grad, g)
                continue
            for operand, pull_back in var._edges:
                share = pull_back(g).sum_to_size(operand.data.shape)
                total[operand] = share if operand not in total else total[operand] + share
                uses[operand] -= 1
                if not uses[operand]:
                    ready.append(operand)
            if not retain_graph:
                var._edges = None
