"""Compares to the last bit.

exercise: bug
caught-by: bug_right
"""


def check_attention(fn):
    q, k, v, mask = suspect_case()
    q.requires_grad_()
    for case in ((q, k, v), (1000 * q, k, v), (q, k, v, mask)):
        output = fn(*case)
        assert torch.equal(output, scaled_dot_product_attention(*case))
        (gradient,) = torch.autograd.grad(output.sum(), q)
        assert gradient.isfinite().all()
