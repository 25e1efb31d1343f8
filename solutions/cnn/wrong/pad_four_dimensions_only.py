"""Written for (N, C, H, W) and nothing else.

exercise: pad
caught-by: pad_shapes
"""


def pad2d(x, padding, value=0.0):
    ph, pw = pair(padding)
    n, c, h, w = x.shape
    padded = x.new_full((n, c, h + 2 * ph, w + 2 * pw), value)
    padded[:, :, ph : ph + h, pw : pw + w] = x
    return padded
