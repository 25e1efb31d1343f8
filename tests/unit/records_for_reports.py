"""Records as a class of softmax regression leaves them behind: all right, half done, held, unreadable, hostile."""
# ruff: noqa: E501 - what students hand in is easier to read unbroken

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from dataclasses import replace
from functools import cache

from grader.model import (
    CellResult,
    Change,
    CheckResult,
    CheckSpec,
    ExerciseScore,
    ExerciseSpec,
    Flag,
    Measurement,
    Output,
    Record,
    RecordStatus,
    Revision,
    ScoreStep,
    SubmissionRef,
    Timing,
    Verdict,
    Visibility,
)

EXERCISES = (
    ExerciseSpec(id="logsumexp", title="Log-sum-exp", points=12),
    ExerciseSpec(id="softmax", title="Softmax and log-softmax", points=12),
    ExerciseSpec(id="one_hot", title="One-hot labels", points=6),
    ExerciseSpec(id="cross_entropy", title="Cross-entropy from logits", points=22),
    ExerciseSpec(id="gradients", title="Gradients by hand", points=16),
    ExerciseSpec(id="information", title="Entropy and KL divergence", points=12, manual_points=4),
    ExerciseSpec(id="batches", title="Accuracy and mini-batches", points=8),
    ExerciseSpec(id="model", title="The whole model", points=12),
)


def _spec(identity: str, exercise: str, points: float, line: str, hint: str | None = None, **more: object) -> CheckSpec:
    return CheckSpec(id=identity, exercise=exercise, points=points, line=line, hint=hint, **more)  # type: ignore[arg-type]


CHECKS = (
    _spec("logsumexp_example", "logsumexp", 2, "logsumexp of [0, 0] is log 2.", visibility=Visibility.PUBLIC),
    _spec("logsumexp_values", "logsumexp", 6, "logsumexp gives log Σ exp(x) along the dimension that is asked for.",
          "Move the maximum out of the sum before you exponentiate.", gate=True),
    _spec("logsumexp_infinities", "logsumexp", 4, "logsumexp of a row of −∞ is −∞, and of a row with +∞ is +∞.",
          "What is −∞ − (−∞)? Replace the maximum by 0 where it is not finite.", depends=("logsumexp_values",)),
    _spec("softmax_values", "softmax", 5, "softmax gives exp(x) / Σ exp(x) along the dimension that is asked for.",
          "Each row of probabilities sums to one: divide by the sum along dim.", gate=True),
    _spec("softmax_large_logits", "softmax", 4, "softmax stays finite and right for logits as large as 10 000.",
          "Subtract the row's maximum before exp.", depends=("softmax_values",)),
    _spec("log_softmax_values", "softmax", 3, "log_softmax stays exact where softmax itself underflows to zero.",
          "x − logsumexp(x) never takes the logarithm of a tiny number.", depends=("softmax_values",)),
    _spec("one_hot_values", "one_hot", 4, "one_hot puts a single 1 in each row, for targets of any shape.",
          "Start from zeros of shape (*y.shape, q) and scatter.", gate=True),
    _spec("one_hot_range", "one_hot", 2, "one_hot raises ValueError or IndexError for a label outside 0 … q − 1.",
          "Negative labels index from the end: look for them yourself.", depends=("one_hot_values",)),
    _spec("cross_entropy_example", "cross_entropy", 2, "A model that knows nothing has a loss of log C.",
          visibility=Visibility.PUBLIC),
    _spec("cross_entropy_values", "cross_entropy", 8, "cross_entropy is the mean negative log-probability of the target.",
          "Pick one entry in each row of log_softmax(logits).", gate=True),
    _spec("cross_entropy_smoothing", "cross_entropy", 6,
          "Label smoothing mixes the loss with the mean over all classes, as PyTorch does.",
          "(1 − ε) · nll + ε · mean over all q classes: the target's own class included.",
          depends=("cross_entropy_values",)),
    _spec("cross_entropy_cost", "cross_entropy", 6, "cross_entropy runs a constant number of operations for any batch.",
          "No Python loop over the rows: gather does all rows at once.", depends=("cross_entropy_values",)),
    _spec("gradients_values", "gradients", 10, "The gradients equal those of autograd to 1e-9.",
          "dL/dlogits = (p − y) / n; then the chain rule through X @ W + b.", gate=True),
    _spec("gradients_contract", "gradients", 6, "softmax_regression_grads leaves its arguments as they were.",
          "W.grad is the caller's: work on a detached copy.", depends=("gradients_values",)),
    _spec("entropy_values", "information", 4, "The entropy of a certain outcome is 0, and of C equal ones log C.",
          "torch.xlogy takes care of 0 · log 0.", gate=True),
    _spec("kl_corner_cases", "information", 4, "The KL divergence is ∞ where q is 0 and p is not.",
          None, depends=("entropy_values",)),
    _spec("minibatches_epoch", "batches", 5, "Each epoch visits each example exactly once.",
          "Permute the indices once an epoch, then cut.", gate=True),
    _spec("accuracy_value", "batches", 3, "accuracy returns a plain Python float.", "Call .item() at the end.",
          depends=("minibatches_epoch",)),
    _spec("model_learns", "model", 7, "SoftmaxRegression reaches 92 % on the digits with the settings of the text.",
          "A loss that does not fall: look at the sign of the update first.", gate=True),
    _spec("model_history", "model", 5, "fit returns the mean loss of each epoch, weighted by batch size.",
          "The last batch may be shorter: weigh each batch by its number of examples.", depends=("model_learns",)),
)  # fmt: skip
BY_ID = {check.id: check for check in CHECKS}


def png(width: int = 240, height: int = 150) -> bytes:
    """A small picture of a falling curve, drawn here."""
    rows = []
    for y in range(height):
        row = bytearray()
        for x in range(width):
            curve = int(height * (0.12 + 0.76 * (1 - 2.718 ** (-4 * x / width))))
            near = abs(y - curve)
            row += bytes((56, 80, 196)) if near < 2 else bytes((235, 238, 246)) if y % 30 == 0 else b"\xff\xff\xff"
        rows.append(b"\x00" + bytes(row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"tEXt", b"Comment\x00<script>"),
        (b"IDAT", zlib.compress(b"".join(rows))),
        (b"IEND", b""),
    )
    with io.BytesIO() as out:
        out.write(b"\x89PNG\r\n\x1a\n")
        for name, body in parts:
            out.write(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
        return out.getvalue()


@cache
def png_base64() -> str:
    """The curve as a notebook keeps it."""
    return base64.b64encode(png()).decode("ascii")


INTRO = r"""# Softmax regression

A linear model gives a score for each class, the **logits** $o = XW + b$; softmax turns them into probabilities:

$$
\mathrm{softmax}(o)_j = \frac{\exp(o_j)}{\sum_k \exp(o_k)}
$$

Taken literally this overflows as soon as a logit passes 88 (in `float32`). *Subtract the maximum first*:

1. the result does not change, because numerator and denominator shrink alike,
2. the largest exponent is $e^0 = 1$.

| name | shape | what it is |
|---|---|---|
| `X` | `(n, d)` | inputs |
| `W` | `(d, q)` | weights |

> Read [the documentation](https://pytorch.org/docs/stable/) if a name is new to you.
"""

LOGSUMEXP = '''def logsumexp(x, dim, keepdim=False):
    """The logarithm of the sum of exponentials along dim, without overflow."""
    peak = x.amax(dim, keepdim=True)
    peak = torch.where(torch.isfinite(peak), peak, torch.zeros_like(peak))
    total = (x - peak).exp().sum(dim, keepdim=True).log() + peak
    return total if keepdim else total.squeeze(dim)
'''
SOFTMAX = """def softmax(x, dim=-1):
    e = torch.exp(x - x.max())   # one maximum for everything
    return e / e.sum(dim, keepdim=True)


def log_softmax(x, dim=-1):
    return x - logsumexp(x, dim, keepdim=True)
"""
ONE_HOT = """def one_hot(y, q, dtype=torch.float32):
    if y.min() < 0 or y.max() >= q:
        raise ValueError(f"labels must lie in [0, {q})")
    return torch.zeros(*y.shape, q, dtype=dtype).scatter_(-1, y.unsqueeze(-1), 1)
"""
CROSS_ENTROPY = """def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):
    losses = []
    for row, label in zip(logits, target):
        losses.append(logsumexp(row, 0) - row[label])
    losses = torch.stack(losses)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()
"""
TRAIN = """torch.manual_seed(0)
model = SoftmaxRegression(64, 10)
history = model.fit(X_train, y_train, epochs=20, lr=0.5)
for epoch, loss in enumerate(history):
    print(f"epoch {epoch:2d}  loss {loss:.4f}")
plt.plot(history)
"""


def _cells(*, right: bool) -> tuple[CellResult, ...]:
    ticks = "".join(f"\r{n:3d} %|{'█' * (n // 10):10s}|" for n in range(0, 101, 10))
    losses = "\n".join(f"epoch {epoch:2d}  loss {2.3026 * 0.85**epoch:.4f}" for epoch in range(20)) + "\n"
    softmax = (
        SOFTMAX.replace("x.max())   # one maximum for everything", "x.amax(dim, keepdim=True))") if right else SOFTMAX
    )
    loss = CROSS_ENTROPY
    if right:
        loss = 'def cross_entropy(logits, target, reduction="mean", label_smoothing=0.0):\n    logp = log_softmax(logits, -1)\n'
        loss += "    nll = -logp.gather(-1, target.unsqueeze(-1)).squeeze(-1)\n    return nll.mean()\n"
    return (
        CellResult(index=0, cell_type="markdown", source=INTRO, status="text"),
        CellResult(index=1, cell_type="code", source="import matplotlib.pyplot as plt\nimport torch\nfrom torch import nn\n",
                   seconds=0.01),
        CellResult(index=2, cell_type="code", source=LOGSUMEXP, seconds=0.002, exercise="logsumexp"),
        CellResult(index=3, cell_type="code", source="logsumexp(torch.zeros(2), 0)", exercise=None,
                   outputs=(Output(kind="display", text="tensor(0.6931)"),)),
        CellResult(index=4, cell_type="code", source=softmax, seconds=0.001, exercise="softmax"),
        CellResult(index=5, cell_type="code", source="check('softmax')", status="skipped"),
        CellResult(index=6, cell_type="code", source=ONE_HOT, exercise="one_hot"),
        CellResult(index=7, cell_type="code", source=loss, exercise="cross_entropy"),
        CellResult(index=8, cell_type="markdown", status="text",
                   source="### Question\nWhy does the loss start near $\\log 10$?\n\n*Because all ten classes get the same probability.*"),
        CellResult(index=9, cell_type="code", source=TRAIN, seconds=1.4, exercise="model", outputs=(
            Output(kind="stream", name="stderr", text=f"\x1b[32mtraining\x1b[0m{ticks}\n"),
            Output(kind="stream", name="stdout", text=losses),
            Output(kind="display", text="<Figure size 240x150 with 1 Axes>", png_base64=png_base64()),
        )),
    )  # fmt: skip


def _result(identity: str, verdict: Verdict = Verdict.PASS, **more: object) -> CheckResult:
    check = BY_ID[identity]
    earned = check.points if verdict is Verdict.PASS else 0.0
    return CheckResult(check=check, verdict=verdict, earned=earned, seconds=0.01, **more)  # type: ignore[arg-type]


def record(
    student: str = "ada",
    name: str = "Ada Lovelace",
    *,
    results: dict[str, CheckResult] | None = None,
    cells: tuple[CellResult, ...] | None = None,
    flags: tuple[Flag, ...] = (),
    penalty: float = 0.0,
    **more: object,
) -> Record:
    """A record in which each check passes but those in ``results``; points follow from the results."""
    checks = tuple((results or {}).get(check.id, _result(check.id)) for check in CHECKS)
    scores = tuple(
        ExerciseScore(exercise=exercise, pending=exercise.manual_points,
                      earned=sum(result.earned for result in checks if result.check.exercise == exercise.id))
        for exercise in EXERCISES
    )  # fmt: skip
    total = sum(score.earned for score in scores)
    steps = [ScoreStep(text=score.exercise.title, points=score.earned) for score in scores]
    if penalty:
        steps.append(ScoreStep(text="Handed in 1 day late: 10 % off", points=-penalty * total))
    made = Record(
        submission=SubmissionRef(student=student, name=name, assignment="softmax-regression",
                                 path=f"submitted/{student}/softmax-regression/softmax-regression.ipynb",
                                 sha256="3f5ac0de" * 8, received_at="2025-05-03T14:02:10+02:00"),
        status=RecordStatus.FINAL, score=total * (1 - penalty), max_score=100, checks=checks, exercises=scores,
        steps=tuple(steps), cells=_cells(right=True) if cells is None else cells, flags=flags, seed=20250504,
        sandbox="bubblewrap", marked_at="2025-05-04T09:30:00+00:00",
        timing=Timing(start_s=0.03, cells_s=1.5, checks_s=0.6, total_s=2.2, guest_peak_bytes=310 << 20),
    )  # fmt: skip
    return replace(made, **more)  # type: ignore[arg-type]


RACE = Measurement(
    kind="time", of="cross_entropy", unit="× the reference", value=61.0, low=55.0, high=70.5, limits=((20.0, 1.0),),
    share=0.0, pairs=17, own_s=0.061, reference_s=0.001, hints=(("aten::select", 4096), ("aten::stack", 1)),
)  # fmt: skip
GROWTH = Measurement(
    kind="growth", of="cross_entropy", unit="exponent", value=0.98, low=0.9, high=1.1, limits=((1.5, 1.0),), pairs=9,
    curve=((512.0, 0.004), (1024.0, 0.008), (2048.0, 0.016)),
)  # fmt: skip


def full_marks() -> Record:
    """Everything passes; the free-text question is open."""
    return record()


def partial() -> Record:
    """Some of everything: wrong values, an error, a time-out, checks that wait, late, repaired."""
    results = {
        "softmax_large_logits": _result(
            "softmax_large_logits", Verdict.FAIL, kind="value", rationale="The values differ: some entries are NaN.",
            misconception="the maximum was taken over the whole tensor, not over each row",
            evidence="EVIDENCE expected tensor([[1., 0., 0.]])"),
        "one_hot_range": _result(
            "one_hot_range", Verdict.RAISED, kind="error", rationale="Your code raised RuntimeError: index 7 is out of bounds.",
            student_cell=6, student_line=4, evidence="EVIDENCE traceback",
            student_source="    return torch.zeros(*y.shape, q, dtype=dtype).scatter_(-1, y.unsqueeze(-1), 1)"),
        "cross_entropy_smoothing": _result("cross_entropy_smoothing", Verdict.FAIL, kind="value",
                                           rationale="The result is a tensor of the right shape with wrong values."),
        "cross_entropy_cost": _result("cross_entropy_cost", Verdict.FAIL, kind="time", measurements=(RACE, GROWTH),
                                      rationale="Your code takes 61 times as long as what it is compared with."),
        "gradients_values": _result("gradients_values", Verdict.RAISED, kind="not-implemented",
                                    student_cell=7, rationale="softmax_regression_grads is not written yet."),
        "gradients_contract": _result("gradients_contract", Verdict.SKIPPED, kind="dependency"),
        "kl_corner_cases": _result("kl_corner_cases", Verdict.MISSING, kind="missing",
                                   rationale="The notebook does not define kl_divergence."),
        "model_history": _result("model_history", Verdict.MEMORY, kind="memory"),
    }  # fmt: skip
    flags = (
        Flag(id="late", text="Handed in 5 hours after the deadline: 10 % are taken off."),
        Flag(id="repaired", text="Two cells had lost their exercise numbers; we found them again by their content."),
        Flag(id="similar", text="INSTRUCTOR similar to grace", instructor_only=True),
    )
    cells = _cells(right=False)
    slow = CellResult(
        index=10, cell_type="code", source="while True:\n    model.fit(X_train, y_train, epochs=1, lr=0.5)\n", status="timeout",
        note="This cell ran longer than 20 s and was stopped.", seconds=20.0,
        outputs=(Output(kind="stream", name="stdout", text="".join(f"step {n}\n" for n in range(5000))),),
    )  # fmt: skip
    failed = CellResult(
        index=11, cell_type="code", source="softmax_regression_grads(X, y, W, b)", status="raised",
        outputs=(Output(kind="error", name="NameError", text="name 'softmax_regression_grads' is not defined"),),
    )  # fmt: skip
    return record("grace", "Grace Hopper", results=results, flags=flags, penalty=0.1, cells=(*cells, slow, failed))


def revised() -> Record:
    """Some of everything, and the mark has changed three times: the due date, an instructor's word, an edited check."""
    one = Change(check="kl_corner_cases", before=Verdict.PASS, after=Verdict.MISSING, earned_before=4.0)
    history = (
        Revision(at="2025-05-05T08:00:00+00:00", reason="due date or rubric changed", score_before=38.2, score_after=39.7,
                 changes=()),
        Revision(at="2025-05-06T10:15:00+00:00", reason="The limit on time was too tight for the machines in the lab.",
                 score_before=39.7, score_after=51.3, changes=(
            Change(check="softmax_values", before=Verdict.TIMEOUT, after=Verdict.PASS, earned_after=5.0),
            Change(check="gradients_values", before=Verdict.TIMEOUT, after=Verdict.RAISED),
            Change(check="secret_id_of_a_check", before=Verdict.FAIL, after=None))),
        Revision(at="2025-05-07T09:30:00+00:00", reason="checks changed", score_before=51.3, score_after=47.7,
                 changes=(one,)),
    )  # fmt: skip
    return replace(partial(), revisions=history, marked_at=history[-1].at)


def held() -> Record:
    """A check of ours broke."""
    results = {
        "entropy_values": _result(
            "entropy_values", Verdict.BROKEN, evidence="EVIDENCE KeyError in the check", attempts=3
        )
    }
    made = record("alan", "Alan Turing", results=results)
    return replace(made, status=RecordStatus.HELD, score=None)


def broken_file() -> Record:
    """A file that is no notebook: nothing ran."""
    results = {
        check.id: _result(check.id, Verdict.MISSING, kind="missing", rationale="There is no notebook to look in.")
        for check in CHECKS
    }
    message = "The file is not a notebook: it ends in the middle of line 1. Save it again in Jupyter and hand it in once more."
    flags = (Flag(id="unreadable", text=message, instructor_only=True),)
    return record("emmy", "Emmy Noether", results=results, cells=(), flags=flags, message=message)


def nothing_written() -> Record:
    """The notebook as it was handed out."""
    results = {
        check.id: _result(check.id, Verdict.SKIPPED if check.depends else Verdict.RAISED,
                          kind="dependency" if check.depends else "not-implemented")
        for check in CHECKS
    }  # fmt: skip
    return record("kurt", "Kurt Gödel", results=results)


def hostile(server: str = "http://127.0.0.1:9") -> Record:
    """Every field that a student controls tries to run a script, call ``server``, or break the page's structure."""
    evil = f"</code></pre></style></script><script src={server}/s.js></script><img src={server}/i.png onerror=document.title='PWNED'>"
    css = f"<style>@import '{server}/c.css'; body {{ background: url({server}/b.png) }}</style><link rel=stylesheet href={server}/l.css>"
    frame = f"<iframe src={server}/f></iframe><object data={server}/o></object><meta http-equiv=refresh content='0;url={server}/m'>"
    svg = f"<svg onload=\"document.title='PWNED'\"><image href='{server}/svg.png'/></svg>"
    markdown = "\n\n".join((
        f"# Hi {evil}", css, frame, svg, f'![remote]({server}/md.png "t")', "[click](javascript:document.title='PWNED')",
        "[data](data:text/html;base64,PHNjcmlwdD4=)", f"[ok]({server}/link)", "![svg](data:image/svg+xml;base64,PHN2Zz4=)",
        f"![png](data:image/png;base64,{png_base64()})", f"![liar](data:image/png;base64,{base64.b64encode(evil.encode()).decode()})",
        f"$\\href{{javascript:alert(1)}}{{x}} {evil}$", f"$${evil}$$", f"<{server}/auto>", f"`{evil}`", f"```html\n{evil}\n```",
        f"[ref]: {server}/ref.css", "{{ 7 * 191 }} {% raw %}", "|a|b|\n|---:|---|\n|" + evil.replace("|", "") + "|x|", "> " * 500 + "deep",
    ))  # fmt: skip
    unseen = "a\x1b[31mred\x1b[0m\x1b]8;;http://x\x07link\x07 \u202egnp.exe\u202c \u2066x\u2069 zero\u200bwidth \x00null \x08back \ud800 lone \x9b31m"
    results = {
        "softmax_values": _result("softmax_values", Verdict.FAIL, kind="value", rationale=f"Wrong type: {evil} {unseen}",
                                  misconception=f"{evil}", evidence="EVIDENCE"),
        "one_hot_values": _result("one_hot_values", Verdict.RAISED, rationale=svg, student_cell=1, student_line=1,
                                  student_source=f"{evil} {unseen}", evidence="EVIDENCE"),
        "gradients_values": _result("gradients_values", Verdict.RAISED, student_cell=-5, student_line=-3, student_source="x"),
    }  # fmt: skip
    cells = (
        CellResult(index=0, cell_type="markdown", source=markdown, status="text"),
        CellResult(index=1, cell_type="code", source=f"x = '''{evil}'''  # {unseen}", status="raised", note=f"Note {evil}", outputs=(
            Output(kind="stream", name="stdout", text=f"{evil}\n{unseen}\n"),
            Output(kind="stream", name="stdout", text="x" * 50_000),
            Output(kind="error", name=f"Bad{evil}", text=f"{evil}"),
            Output(kind="display", text=f"{evil}", png_base64="bm90IGEgcG5n"),
            Output(kind="display", png_base64=base64.b64encode(png() + evil.encode()).decode()),
        )),
        CellResult(index=2, cell_type="raw", source=f"{evil} {unseen}", status="text"),
        CellResult(index=3, cell_type=f"{evil}", source=evil, status=f"{evil}"),
    )  # fmt: skip
    name = f"\u202eevE {evil}\x00 " + "e\u0301\u0302\u0303" * 200
    change = Change(check=evil, before=None, after=Verdict.FAIL)
    again = Revision(at=evil, reason=f"{evil} {unseen}", score_before=None, score_after=1.0, changes=(change,) * 9)
    made = record(f"../{evil}", name, results=results, cells=cells, flags=(Flag(id=f"f{evil}", text=f"{evil} {unseen}"),),
                  message=f"{evil} {unseen}", revisions=(again,))  # fmt: skip
    return replace(made, submission=replace(made.submission, received_at=evil))


def a_class(size: int, seed: int = 7) -> list[Record]:
    """So many students, good and less good, with what a term brings."""
    random_ = random.Random(seed)
    first = [
        "Ada", "Alan", "Amara", "Bao", "Chen", "Dana", "Elif", "Emmy", "Farid", "Grace", "Hana", "Ines",
        "Ivan", "Jun", "Kofi", "Lena", "Mei", "Nadia", "Omar", "Priya", "Rosa", "Sven", "Tariq", "Yuki",
    ]  # fmt: skip
    last = [
        "Abadi", "Berg", "Costa", "Diaz", "Eriksen", "Fontaine", "Gupta", "Haddad", "Ito", "Jansen", "Kowalski", "Li",
        "Moreau", "Nkosi", "Okafor", "Petrov", "Quispe", "Rossi", "Sato", "Tran",
    ]  # fmt: skip
    records = []
    for number in range(size):
        talent = random_.betavariate(5, 1.6)
        results = {}
        for check in CHECKS:
            gate_down = any(results.get(name) is not None for name in check.depends)
            if gate_down:
                results[check.id] = _result(check.id, Verdict.SKIPPED, kind="dependency")
            elif random_.random() > talent ** (0.35 if check.gate else 0.9):
                verdict = random_.choices(
                    (Verdict.FAIL, Verdict.RAISED, Verdict.TIMEOUT, Verdict.MISSING), weights=(6, 3, 0.5, 1)
                )[0]
                misconception = (
                    "the maximum was taken over the whole tensor" if check.id == "softmax_large_logits" else None
                )
                rationale = random_.choice(
                    ("The values differ.", "The shape is (5,), it should be (4, 5).", "The result is NaN.")
                )
                results[check.id] = _result(check.id, verdict, rationale=rationale, misconception=misconception)
        flags = []
        if random_.random() < 0.08:
            flags.append(Flag(id="late", text="Handed in 1 day late."))
        if random_.random() < 0.06:
            flags.append(Flag(id="repaired", text="A duplicated cell was put aside."))
        if random_.random() < 0.01:
            flags.append(
                Flag(id="violation", text="The process tried to open a network connection.", instructor_only=True)
            )
        seconds = random_.lognormvariate(0.7, 0.6)
        made = record(
            f"s{1000 + number}", f"{random_.choice(first)} {random_.choice(last)}", results=results, flags=tuple(flags), cells=(),
            timing=Timing(cells_s=seconds * 0.7, checks_s=seconds * 0.3, total_s=seconds, guest_peak_bytes=int(3e8)),
        )  # fmt: skip
        if random_.random() < 0.012:
            broken = tuple(replace(result, verdict=Verdict.BROKEN, earned=0.0) if result.check.id == "model_learns" else result
                           for result in made.checks)  # fmt: skip
            made = replace(made, status=RecordStatus.HELD, score=None, checks=broken)
        records.append(made)
    return records
