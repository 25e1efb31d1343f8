"""The same number of queries and keys, and one width for all.

exercise: bug
caught-by: bug_formulas
"""


def check_attention(fn):
    q, k, v, mask = suspect_case()
    k, v, mask = (k[..., :4, :], v[..., :4, :4], mask[..., :4])
    q, mask = (q[..., :4, :].clone(), mask[..., :4, :])
    q.requires_grad_()
    for case in ((q, k, v), (1000 * q, k, v), (q, k, v, mask)):
        output = fn(*case)
        assert torch.allclose(output, scaled_dot_product_attention(*case))
        (gradient,) = torch.autograd.grad(output.sum(), q)
        assert gradient.isfinite().all()
