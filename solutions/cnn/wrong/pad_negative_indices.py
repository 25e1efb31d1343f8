"""padded[..., ph:-ph, pw:-pw] is empty for a padding of 0.

exercise: pad
caught-by: pad_values
also-breaks: bug, conv2d, filters, lenet, module, pooling
"""


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    h, w = x.shape[-2:]
    padded = x.new_full((*x.shape[:-2], h + 2 * ph, w + 2 * pw), value)
    padded[..., ph:-ph, pw:-pw] = x
    return padded
