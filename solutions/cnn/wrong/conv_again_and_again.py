"""A hundred and twenty equal results, the last of which is taken: no loop over pixels, and far too slow.

exercise: conv2d
caught-by: conv2d_operations
may-break: lenet
"""


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    n, channels = x.shape[:2]
    outputs, per_group, *size = weight.shape
    if channels != groups * per_group or outputs % groups or (bias is not None and bias.shape != (outputs,)):
        raise ValueError("channels, groups and bias do not fit together")
    windows = _windows(pad2d(x, padding), size, pair(stride), pair(dilation))
    height, width = windows.shape[2:4]
    windows = windows.permute(0, 1, 4, 5, 2, 3)
    rows = weight.reshape(groups, outputs // groups, -1)
    for _ in range(120):
        result = rows @ windows.reshape(n, groups, -1, height * width)
    result = result.reshape(n, outputs, height, width)
    return result if bias is None else result + bias.reshape(-1, 1, 1)
