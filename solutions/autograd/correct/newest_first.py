"""Var whose topological order is the order of creation: a heap gives the newest first."""

import heapq
import itertools


class Var(Var):
    _clock = itertools.count()

    def __init__(self, data, requires_grad=False):
        super().__init__(data, requires_grad)
        self.born = next(Var._clock)

    def backward(self, grad=None, retain_graph=False):
        if not self.requires_grad:
            raise RuntimeError("does not require grad")
        if grad is None:
            if self.data.numel() > 1:
                raise RuntimeError("not a scalar")
            grad = torch.ones(self.data.shape, dtype=self.data.dtype)
        waiting, heap, found, order = {}, [(-self.born, self)], {self}, []
        while heap:
            _, var = heapq.heappop(heap)
            order.append(var)
            if var._edges is None:
                raise RuntimeError("freed")
            for operand, _ in var._edges:
                if operand not in found:
                    found.add(operand)
                    heapq.heappush(heap, (-operand.born, operand))
        waiting[self] = grad
        for var in order:
            g = waiting.pop(var)
            if var._edges:
                for operand, pull_back in var._edges:
                    share = pull_back(g).sum_to_size(operand.data.shape)
                    waiting[operand] = waiting[operand] + share if operand in waiting else share
                var._edges = var._edges if retain_graph else None
            else:
                var.grad = g.clone() if var.grad is None else var.grad + g
