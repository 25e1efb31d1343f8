"""What looks odd and is right: full marks, in the same class as all the attacks."""

from __future__ import annotations

from attack import HONEST, Attack

__all__ = ["FAIR"]

RIGHT = """\
import torch


def logsumexp(x, dim, keepdim=False):
    peak = x.detach().amax(dim, keepdim=True)
    peak = torch.where(peak.isfinite(), peak, torch.zeros_like(peak))
    total = (x - peak).exp().sum(dim, keepdim=True).log() + peak
    return total if keepdim else total.squeeze(dim)"""

FAIR = [
    Attack(number=60, name="warnings", about="honest warnings and prints on stderr",
           answers=(("logsumexp", RIGHT.replace("    peak =", "    import sys, warnings\n    warnings.warn('slow')\n"
                                                "    print('here', file=sys.stderr)\n    peak =", 1)),)),
    Attack(number=60, name="try-except", about="try and except, used well",
           answers=(("logsumexp", RIGHT + "\n\n\ntry:\n    import nonexistent\nexcept ImportError:\n    nonexistent = None"),)),
    Attack(number=60, name="slower", about="correct and slower, within the limit",
           answers=(("logsumexp", RIGHT.replace("    peak =", "    import time\n    time.sleep(0.01)\n    peak =", 1)),)),
    Attack(number=60, name="equivalent", about="a different formulation, equal up to rounding",
           answers=(("logsumexp", RIGHT.replace("(x - peak).exp().sum(dim, keepdim=True).log() + peak",
                                                "peak + (torch.exp(x - peak) / 2).sum(dim, keepdim=True).log() + 2 ** 0.5 * 0"
                                                " + torch.log(torch.tensor(2.0, dtype=torch.float64)).to(x.dtype)")),)),
    Attack(number=60, name="extra-cells", about="extra helper cells, prints and plots",
           before="import math\nnotes = ['todo']\nprint('hello')", after="print(one_hot(torch.tensor([1]), 3))\nnotes",
           answers=(("logsumexp", RIGHT),)),
    Attack(number=60, name="float64-inside", about="float64 where float32 was not demanded",
           answers=(("logsumexp", RIGHT.replace("def logsumexp(x, dim, keepdim=False):\n",
                                                "def logsumexp(x, dim, keepdim=False):\n    given, x = x.dtype, x.double()\n")
                     .replace("return total if keepdim else total.squeeze(dim)",
                              "return (total if keepdim else total.squeeze(dim)).to(given)")),)),
]  # fmt: skip
"""Each answers three exercises rightly: logsumexp, softmax and one_hot, 30 points."""

assert set(HONEST) == {"logsumexp", "softmax", "one_hot"}
