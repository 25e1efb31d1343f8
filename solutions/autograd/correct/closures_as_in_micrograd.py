"""Var in the style of micrograd: every result carries a closure that adds to the gradients of its operands."""


class Var:
    def __init__(self, data, requires_grad=False, operands=(), spread=None):
        self.data = data
        self.requires_grad = requires_grad
        self.grad = None
        self.operands = [v for v in operands if v.requires_grad]
        self.spread = spread
        self.freed = False

    def _wrap(self, other):
        if isinstance(other, Var):
            return other
        if not isinstance(other, torch.Tensor):
            other = torch.full((), other, dtype=self.data.dtype)
        return Var(other)

    @staticmethod
    def _shrunk(g, shape):
        while g.ndim > len(shape):
            g = g.sum(0)
        for dim, size in enumerate(shape):
            if size == 1 and g.shape[dim] != 1:
                g = g.sum(dim, keepdim=True)
        return g

    def _new(self, data, operands, back):
        tracked = any(v.requires_grad for v in operands)

        def spread(g, collected):
            for v, share in zip(operands, back(g)):
                if v.requires_grad:
                    share = Var._shrunk(share, v.data.shape)
                    collected[id(v)] = collected[id(v)] + share if id(v) in collected else share

        return Var(data, tracked, operands, spread if tracked else None)

    def __add__(self, other):
        other = self._wrap(other)
        return self._new(self.data + other.data, (self, other), lambda g: (g, g))

    __radd__ = __add__

    def __sub__(self, other):
        other = self._wrap(other)
        return self._new(self.data - other.data, (self, other), lambda g: (g, -g))

    def __rsub__(self, other):
        return self._wrap(other) - self

    def __mul__(self, other):
        other = self._wrap(other)
        return self._new(self.data * other.data, (self, other), lambda g: (g * other.data, g * self.data))

    __rmul__ = __mul__

    def __truediv__(self, other):
        other = self._wrap(other)
        quotient = self.data / other.data
        return self._new(quotient, (self, other), lambda g: (g / other.data, -g * quotient / other.data))

    def __rtruediv__(self, other):
        return self._wrap(other) / self

    def __neg__(self):
        return self._new(-self.data, (self,), lambda g: (-g,))

    def __pow__(self, p):
        return self._new(torch.pow(self.data, p), (self,), lambda g: (p * torch.pow(self.data, p - 1) * g,))

    def __matmul__(self, other):
        other = self._wrap(other)
        return self._new(
            self.data @ other.data,
            (self, other),
            lambda g: (g @ other.data.transpose(-1, -2), self.data.transpose(-1, -2) @ g),
        )

    def __rmatmul__(self, other):
        return self._wrap(other) @ self

    def exp(self):
        result = torch.exp(self.data)
        return self._new(result, (self,), lambda g: (result * g,))

    def log(self):
        return self._new(torch.log(self.data), (self,), lambda g: (g / self.data,))

    def relu(self):
        return self._new(
            torch.relu(self.data), (self,), lambda g: (torch.where(self.data > 0, g, torch.zeros_like(g)),)
        )

    def sum(self, dim=None, keepdim=False):
        shape = self.data.shape
        dims = tuple(range(len(shape))) if dim is None else (dim,) if isinstance(dim, int) else dim
        dims = sorted(d % len(shape) for d in dims)
        total = self.data.sum(dims, keepdim=keepdim) if dims else self.data.clone()

        def back(g):
            if not keepdim:
                for d in dims:
                    g = g.unsqueeze(d)
            return (g.expand(shape),)

        return self._new(total, (self,), back)

    def detach(self):
        return Var(self.data.clone())

    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("nothing requires grad here")
        if grad is None and self.data.numel() > 1:
            raise RuntimeError("which gradient should I start from?")
        order, visited, path = [], {id(self)}, [(self, iter(self.operands))]
        while path:
            v, rest = path[-1]
            if v.freed:
                raise RuntimeError("the graph was freed")
            following = next((w for w in rest if id(w) not in visited), None)
            if following is None:
                path.pop()
                order.append(v)
            else:
                visited.add(id(following))
                path.append((following, iter(following.operands)))
        collected = {id(self): torch.ones_like(self.data) if grad is None else grad}
        for v in reversed(order):
            g = collected.pop(id(v))
            if v.spread is not None:
                v.spread(g, collected)
                if not retain_graph:
                    v.freed, v.spread, v.operands = True, None, []
            elif v.grad is None:
                v.grad = torch.empty_like(v.data).copy_(g)
            else:
                v.grad += g
