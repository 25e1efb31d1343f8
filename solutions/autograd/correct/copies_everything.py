"""A Var that copies what comes in, subtracts and divides directly, and detaches a copy."""


class Var(Var):
    def __init__(self, data, requires_grad=False):
        super().__init__(data.detach().clone(), bool(requires_grad))

    def _operand(self, other):
        if isinstance(other, Var):
            return other
        return Var(other if isinstance(other, Tensor) else torch.tensor(other, dtype=self.data.dtype))

    def __sub__(self, other):
        other = self._operand(other)
        return self._result(self.data - other.data, (self, lambda g: g), (other, lambda g: -g))

    def __rsub__(self, other):
        return self._operand(other) - self

    def __truediv__(self, other):
        other = self._operand(other)
        edges = (self, lambda g: g / other.data), (other, lambda g: -g * self.data / other.data**2)
        return self._result(self.data / other.data, *edges)

    def __rtruediv__(self, other):
        return self._operand(other) / self

    def __neg__(self):
        return self._result(-self.data, (self, torch.neg))

    def relu(self):
        mask = (self.data > 0).to(self.data.dtype)
        return self._result(self.data * mask, (self, lambda g: g * mask))

    def sum(self, dim=None, keepdim=False):
        total = self.data.sum() if dim is None and not keepdim else self.data.sum(dim, keepdim=keepdim)
        kept = [1] * self.data.ndim
        if dim is not None:
            dims = [d % self.data.ndim for d in ([dim] if isinstance(dim, int) else dim)]
            kept = [1 if d in dims else size for d, size in enumerate(self.data.shape)]
        return self._result(total, (self, lambda g: g.reshape(kept) * torch.ones_like(self.data)))
