"""The blurred picture is added.

exercise: filters
caught-by: blur_and_sharpen
told: the blurred picture was added; it is subtracted
"""


def sharpen():
    kernel = blur()
    kernel[1, 1] += 2
    return kernel
