"""What blurring takes away, without the picture.

exercise: filters
caught-by: blur_and_sharpen
told: what blurring takes away was returned; the picture itself is still to be added
"""


def sharpen():
    kernel = -blur()
    kernel[1, 1] += 1
    return kernel
