"""Only tensors without a batch.

exercise: bug
caught-by: bug_shown
"""


def check_attention(fn):
    q, k, v, mask = suspect_case()
    q, k, v, mask = (q[0, 0].clone(), k[0, 0], v[0, 0], mask[0, 0])
    q.requires_grad_()
    for case in ((q, k, v), (1000 * q, k, v), (q, k, v, mask)):
        output = fn(*case)
        assert torch.allclose(output, scaled_dot_product_attention(*case))
        (gradient,) = torch.autograd.grad(output.sum(), q)
        assert gradient.isfinite().all()
