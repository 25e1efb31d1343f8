"""Every path is gone down on its own: 2⁴⁰ of them after forty doublings.

exercise: var
caught-by: var_work
"""


class Var(Var):
    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("does not require grad")
        if grad is None:
            if self.data.numel() != 1:
                raise RuntimeError("no scalar")
            grad = torch.ones_like(self.data)
        stack, visited = [(self, grad)], {}
        while stack:
            var, g = stack.pop()
            if var._edges is None:
                raise RuntimeError("freed")
            visited[var] = None
            if len(stack) > 38:
                raise MemoryError("too many paths")
            if not var._edges:
                var.grad = g.clone() if var.grad is None else var.grad + g
            for operand, pull_back in var._edges:
                stack.append((operand, pull_back(g).sum_to_size(operand.data.shape)))
        for var in visited:
            if var._edges and not retain_graph:
                var._edges = None
