"""The argument value is ignored.

exercise: pad
caught-by: pad_value, pad_dtype
also-breaks: pooling
"""


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    h, w = x.shape[-2:]
    padded = x.new_zeros(*x.shape[:-2], h + 2 * ph, w + 2 * pw)
    padded[..., ph : ph + h, pw : pw + w] = x
    return padded
