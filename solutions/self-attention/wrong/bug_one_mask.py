"""One mask for all samples.

exercise: bug
caught-by: bug_masks
"""


def check_attention(fn):
    q, k, v, mask = suspect_case()
    mask = mask[:1]
    q.requires_grad_()
    for case in ((q, k, v), (1000 * q, k, v), (q, k, v, mask)):
        output = fn(*case)
        assert torch.allclose(output, scaled_dot_product_attention(*case))
        (gradient,) = torch.autograd.grad(output.sum(), q)
        assert gradient.isfinite().all()
