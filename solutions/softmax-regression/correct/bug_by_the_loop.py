"""The slow loop defines what is due; losses row by row in plain numbers.

exercise: bug
"""

import math


def check_cross_entropy(fn):
    rows = [[0.5, -1.0, 2.0], [900.0, 903.0, 901.0], [-3.0, -30.0, 4.0], [1.0, 30.0, 0.0], [0.0, -2500.0, 3.0]]
    labels = [1, 1, 2, 1, 1]
    for eps in (0.0, 0.1):
        due, slopes = [], []
        for row, label in zip(rows, labels, strict=True):
            peak = max(row)
            exps = [math.exp(v - peak) for v in row]
            rest = sum(e for k, e in enumerate(exps) if k != row.index(peak))
            total = peak + math.log1p(rest)
            share = [eps / 3 + (1 - eps) * (k == label) for k in range(3)]
            due.append(sum(w * ((peak - v) + math.log1p(rest)) for w, v in zip(share, row, strict=True)))
            slopes.append([math.exp(v - total) - w for w, v in zip(share, row, strict=True)])
        for how in ("none", "sum", "mean"):
            logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
            loss = fn(logits, torch.tensor(labels), reduction=how, label_smoothing=eps)
            expected = torch.tensor(due, dtype=torch.float64)
            expected = expected if how == "none" else expected.sum() / (5 if how == "mean" else 1)
            if loss.shape != expected.shape or loss.dtype != expected.dtype or not loss.requires_grad:
                raise AssertionError("shape, dtype or graph")
            if not torch.allclose(loss, expected, rtol=2e-9, atol=2e-9):
                raise AssertionError("value")
            loss.sum().backward()
            slope = torch.tensor(slopes, dtype=torch.float64) / (5 if how == "mean" else 1)
            if not torch.allclose(logits.grad, slope, rtol=2e-9, atol=2e-9):
                raise AssertionError("gradient")
