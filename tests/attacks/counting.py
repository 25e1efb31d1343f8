"""Attacks on what is counted: operators, FLOPs and calls, in the assignments whose checks count them.

The guest counts operators and FLOPs, and can say what it likes of them; the host's clock stands behind. Calls of a
function of the host's are counted where it runs, on the host. Each control answers one exercise rightly and at too high
a cost; each attack is a control's answer with a trick below it.
"""

from __future__ import annotations

from attack import Attack, solution, wrong_variant
from timing import MUTE

__all__ = ["ATTACKS", "CONTROLS", "LOSES"]

SQUARE = """\
def truncated_self_attention(q, k, v, window):
    n, d = q.shape[-2:]
    near = torch.ones(n, n, dtype=torch.bool).tril(window).triu(-window)
    scores = q / math.sqrt(d) @ k.transpose(-2, -1)
    return scores.masked_fill(~near, -math.inf).softmax(dim=-1) @ v"""

TWICE = wrong_variant("fgsm", "gradient_two_passes")
AGAIN = TWICE.replace(
    "            model(x)\n            leaf = x.detach().requires_grad_()\n            return ",
    "            for _ in range(1 if type(model) is Oracle else 50):\n"
    "                leaf = x.detach().requires_grad_()\n"
    "                result = ",
).replace("leaf)[0]", "leaf)[0]\n            return result")

DRY_RUN = wrong_variant("dropout", "mc_dry_run")

TOO_SLOW = r"Your code takes [\d.]+ times as long"
BLIND = """\
import torch.utils._python_dispatch
class Blind:
    __enter__ = lambda self: self
    __exit__ = lambda *_: None
torch.utils._python_dispatch.TorchDispatchMode = Blind"""


def control(name: str, about: str, assignment: str, exercise: str, answer: str, *needed: str) -> Attack:
    """An honest answer to one exercise of an assignment; our own to those that it needs."""
    answers = *((each, solution(assignment, each)) for each in needed), (exercise, answer)
    return Attack(number=35, name=name, folder=f"honest-{name}", about=about, assignment=assignment, answers=answers)


def improper(name: str, about: str, assignment: str, exercise: str, variant: str) -> Attack:
    """Our own class, with what a wrong variant puts in its place."""
    answer = f"{solution(assignment, exercise)}\n\n\n{wrong_variant(assignment, variant)}"
    return control(name, about, assignment, exercise, answer)


def faking(name: str, about: str, without: Attack, trick: str, *, caught: str) -> Attack:
    """A control's answer with a trick below it; ``caught`` is what the student is told."""
    *needed, (exercise, answer) = without.answers
    return Attack(
        number=35,
        name=name,
        about=about,
        assignment=without.assignment,
        answers=(*needed, (exercise, f"{answer}\n\n{trick}")),
        beside=without.student,
        record=(caught,),
    )


ALL_PAIRS = control("square", "all pairs of tokens, and a mask", "self-attention", "truncated", SQUARE)
FIFTY_TIMES = control("again", "the same gradient fifty times, the last one taken", "fgsm", "gradient", AGAIN)
TWO_PASSES = control("twice", "a call of the model that is not needed", "fgsm", "gradient", TWICE)
ONE_MORE = control("dry-run", "a call of the model to learn a shape", "dropout", "mc", DRY_RUN)
HEAD_BY_HEAD = control(
    "heads", "a loop over the heads", "self-attention", "multihead",
    wrong_variant("self-attention", "multihead_loop_over_heads"), "attention", "masks",
)  # fmt: skip
ONE_BY_ONE = control(
    "channels", "a loop over the samples", "dropout", "dropout2d", wrong_variant("dropout", "dropout2d_loop"), "mask"
)
EVERYTHING = improper("needless", "all three gradients, always", "autograd", "linear", "linear_computes_everything")
ANEW = improper("anew", "all sums anew at each step", "autograd", "var", "var_adds_up_everywhere")

CONTROLS = [ALL_PAIRS, FIFTY_TIMES, TWO_PASSES, ONE_MORE, HEAD_BY_HEAD, ONE_BY_ONE, EVERYTHING, ANEW]
LOSES = {
    ALL_PAIRS.student: {"truncated_memory", "truncated_flops"},
    FIFTY_TIMES.student: {"gradient_cost"},
    TWO_PASSES.student: {"gradient_cost"},
    ONE_MORE.student: {"mc_only_dropout"},
    HEAD_BY_HEAD.student: {"multihead_operations"},
    ONE_BY_ONE.student: {"dropout2d_generator"},
    EVERYTHING.student: {"linear_needed"},
    ANEW.student: {"var_work"},
}
"""Control → the checks that it loses, of the exercises that it answers."""

ATTACKS = [
    faking("flops-meter", "have the meters of FLOPs and live bytes say 9 for work and memory that grow like n²",
           ALL_PAIRS, MUTE, caught="The time grows like size to the power of"),
    faking("flops-ratio", "have the meter of FLOPs say 9 for fifty times the work",
           FIFTY_TIMES, MUTE, caught=TOO_SLOW),
    faking("heads-meter", "have the meter of operators say 9 for a loop over the heads",
           HEAD_BY_HEAD, MUTE, caught=TOO_SLOW),
    faking("channels-meter", "have the meter of operators say 9 for a loop over the samples",
           ONE_BY_ONE, MUTE, caught=TOO_SLOW),
    faking("products-meter", "blind the probe that looks for products in a backward",
           EVERYTHING, BLIND, caught=TOO_SLOW),
    faking("graph-meter", "blind the probe that counts the operators of a backward",
           ANEW, BLIND, caught=TOO_SLOW),
    faking("calls-of-the-host", "ask a function of the host's twice, and set back all counts within reach",
           TWO_PASSES, MUTE + """
stub = sys.modules["grader.guest.worker"].HostCallable
ask = stub.__call__
def once(self, *args, **kwargs):
    try:
        return ask(self, *args, **kwargs)
    finally:
        self.calls, self.samples = 1, len(args[0])
stub.__call__, stub.calls, stub.samples = once, 1, 6
count = Oracle.forward
def forward(self, x):
    answer = count(self, x)
    self.calls = self.function.calls = 1
    return answer
Oracle.forward = forward
""", caught="One call of the model with all samples is enough"),
    faking("calls-of-the-guest", "strike a call off the list that the given network keeps beside the student's code",
           ONE_MORE, """
predict = mc_dropout_predict
def mc_dropout_predict(model, x, n_samples):
    before = len(getattr(model, "calls", ()))
    try:
        return predict(model, x, n_samples)
    finally:
        if len(getattr(model, "calls", ())) > before + n_samples:
            del model.calls[before]
""", caught="The model was not called n_samples times"),
]  # fmt: skip
"""Each is right, and earns what its control earns."""
