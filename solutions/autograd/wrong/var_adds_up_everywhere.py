"""After each step, the gradients of all Vars are added up anew.

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
        shares = {var: [] for var in order}
        shares[self].append(grad)
        leaves = [var for var in order if not var._edges]
        for var in reversed(order):
            g = sum(shares[var][1:], shares[var][0])
            for operand, pull_back in var._edges:
                shares[operand].append(pull_back(g).sum_to_size(operand.data.shape))
            if len(order) < 1000:
                totals = {leaf: sum(shares[leaf][1:], shares[leaf][0]) for leaf in leaves if shares[leaf]}
            if var._edges and not retain_graph:
                var._edges = None
        totals = {leaf: sum(shares[leaf][1:], shares[leaf][0]) for leaf in leaves}
        for leaf, g in totals.items():
            leaf.grad = g.clone() if leaf.grad is None else leaf.grad + g
