# ruff: noqa: D100, D101, D103, B018 - the text explains, and naming a thing shows it
# %% [markdown]
# # Lesson 4: gradient checks, and how they lie
#
# **Goal:** design a gradient check that finds every mistake and accuses nobody; read its report.
#
# A gradient can be compared with finite differences: move one number a little, and see how much the
# output changes. That sounds like proof. This lesson shows five ways in which it lies, and mends
# them one by one. At the end you write an op of your own, and check it with one line.
#
# ## Predict first
#
# Write down your answers before you run anything. The lesson will give you its own.
#
# 1. The backward of a softmax returns nothing but zeros. `y.sum().backward()` is compared with
#    differences. Is the mistake found?
# 2. A smaller step h is nearer to the derivative. Which is best in float64: 1e-2, 1e-5, 1e-10?
# 3. relu has slope 0 on the left of 0, and slope 1 on the right. What do differences say at 0?
# 4. A gradient is 0.1 % too large. Can a check in float32 notice?

# %%
import os
from pathlib import Path

import numba
import numpy as np
from matplotlib.figure import Figure

from minicnn import Op, Tensor, grad, gradcheck, ops
from minicnn.testing import assert_grads
from minicnn.visualize import BLUE, GREY, INK, PALE, VERMILION, Picture

FAST = os.environ.get("MINICNN_FAST") == "1"  # the tests of minicnn set this: fewer mistakes
FOLDER = Path("lesson-4")  # for the pictures and the report
FOLDER.mkdir(exist_ok=True)
numba.set_num_threads(
    1
)  # thousands of tiny convolutions: to share them takes longer than to do them
rng = np.random.default_rng(4)

# %% [markdown]
# ## The check that everybody writes
#
# Weight the outputs y with numbers g and add them up. That is a single number, and its gradient is
#
#     dx[k] = sum over o of g[o] * dy[o]/dx[k]
#
# g is the upstream gradient: what a backward is given. The same by differences:
#
#     n[k]  = sum over o of g[o] * (y[o](x + h e[k]) - y[o](x - h e[k])) / (2 h)
#
# where e[k] moves only element k. Most checks write `y.sum().backward()`, so their g is all ones.


# %%
def by_backward(f, x, g):
    leaf = Tensor(x, requires_grad=True)
    return grad(f(leaf), [leaf], Tensor(g))[0].numpy()


def by_differences(f, x, g, h):
    n = np.zeros_like(x)
    for k in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[k] = h
        change = f(Tensor(x + e)).numpy() - f(Tensor(x - e)).numpy()
        n[k] = (g * change).sum() / (2 * h)  # subtracted before adding up: less rounding
    return n


def passes(f, x, upstream, h=1e-5, tolerance=1e-6):
    g = upstream(f(Tensor(x)).shape).astype(x.dtype)
    dx, n = by_backward(f, x, g), by_differences(f, x, g, h)
    return bool(np.abs(dx - n).max() <= tolerance * np.abs(n).max() + 1e-9)


x = rng.normal(size=(4, 4))
leaf = Tensor(x, requires_grad=True)
ops.tanh(leaf).sum().backward()
ones_are_meant = np.array_equal(leaf.grad.numpy(), by_backward(ops.tanh, x, np.ones((4, 4))))
print("a right tanh passes with ones:", passes(ops.tanh, x, np.ones))

# %% tags=["check"]
assert ones_are_meant and passes(ops.tanh, x, np.ones)

# %% [markdown]
# ## The first lie: ones hide mistakes
#
# Here are three wrong ops. **Question 1:** all of them pass.
#
# - The probabilities of a softmax add up to 1, whatever x is. So the *sum* of its outputs never
#   moves, its gradient is 0, and a backward that returns 0 is right for ones, and for nothing else.
# - Ones that are transposed, reversed or shuffled are ones. Whoever uses g in the wrong order is
#   never found out.


# %%
class SoftmaxWithoutGradient(Op):
    def forward(self, x):
        y = np.exp(x - x.max(axis=1, keepdims=True))
        return y / y.sum(axis=1, keepdims=True)

    def backward(self, dy):
        return dy * 0.0


class TransposeThatForgets(Op):
    def forward(self, x):
        return x.T

    def backward(self, dy):
        return dy  # it should be transposed back; x is square, so nobody sees a wrong shape


class Meddle(Op):
    """y = x;   dx = what `change` makes of dy. It plants a mistake before or behind any op."""

    def __init__(self, change):
        self.change = change

    def forward(self, x):
        return x.copy()

    def backward(self, dy):
        return Tensor(self.change(dy.data))


weight, image = rng.normal(size=(2, 2, 1, 2)), rng.normal(size=(1, 4, 4, 1))


def conv2d(x):
    return ops.conv2d(x, Tensor(weight.astype(x.dtype)))


WRONG = {  # what it is -> (function, where to check it)
    "softmax: gradient 0": (lambda x: SoftmaxWithoutGradient()(x), x),
    "transpose: not put back": (lambda x: TransposeThatForgets()(x), x),
    "conv2d: upstream reversed": (lambda x: Meddle(np.flip)(conv2d(x)), image),
}
ones_say = {name: passes(f, x, np.ones) for name, (f, x) in WRONG.items()}
for name, passed in ones_say.items():
    print(f"{name:26} with ones: {'passes' if passed else 'caught'}")

# %% tags=["check"]
assert all(ones_say.values())
assert all(passes(f, x, np.ones) for f in (ops.softmax, ops.transpose))

# %% [markdown]
# ## Mend it: random numbers of both signs
#
# With a random g each output has a weight of its own, so nothing cancels and every place counts.
# Not every kind of random number will do:
#
# - All positive: a backward that takes |dy| passes.
# - Only +1 and -1: a backward that takes the sign of dy passes.
# - Near 0: the mistakes in that output count for nothing.
#
# So we take numbers of both signs, with sizes from 0.5 to 1.5.


# %%
def random_signed(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def positive(shape):
    return np.abs(random_signed(shape))


def only_signs(shape):
    return np.sign(random_signed(shape))


absolute, signs = (
    lambda x: Meddle(np.abs)(ops.tanh(x)),
    lambda x: Meddle(np.sign)(ops.tanh(x)),
)
WRONG |= {"tanh: takes |dy|": (absolute, x), "tanh: takes the sign of dy": (signs, x)}
random_says = {name: passes(f, x, random_signed) for name, (f, x) in WRONG.items()}
for name, passed in random_says.items():
    print(f"{name:26} with random g: {'passes' if passed else 'caught'}")

# %% tags=["check"]
assert not any(random_says.values()) and passes(ops.softmax, x, random_signed)
first = np.arange(16).reshape(4, 4) == 0
assert passes(lambda x: Meddle(lambda dy: dy * (1 + first))(x), x, lambda _: 1 - first * 1.0)
assert passes(absolute, x, positive) and not passes(absolute, x, only_signs)
assert passes(signs, x, only_signs) and not passes(signs, x, positive)

# %% [markdown]
# ## The second lie: the smallest step is not the best
#
# Two errors pull in opposite directions. The curve bends, so differences are off by about h^2 (a
# difference to one side only: by h). And each y is rounded, by about eps * |y|; divided by h, that
# *grows* when h shrinks. Their sum is a V with its lowest point near the cube root of eps: 6e-6 in
# float64, 5e-3 in float32.

# %%
points = np.linspace(-2, 2, 201, dtype=np.float32)
slope = 1 - np.tanh(points.astype(np.float64)) ** 2
steps = 10.0 ** np.arange(-13, 0)


def errors_by_step(dtype, one_sided=False):
    x, found = points.astype(dtype), []
    for h in steps.astype(dtype):
        back = 0 * h if one_sided else h
        change = ops.tanh(Tensor(x + h)).numpy() - ops.tanh(Tensor(x - back)).numpy()
        found.append(np.abs(change / (h + back) - slope).max())
    return np.array(found)


two_sided, one_sided = errors_by_step(np.float64), errors_by_step(np.float64, one_sided=True)
single = errors_by_step(np.float32)


def draw_errors():
    figure = Figure(figsize=(7.5, 4.2), dpi=100, layout="constrained", facecolor="white")
    axes = figure.subplots()
    for name, errors, color, mark, place in (
        ("float32, both sides", single, VERMILION, "s", (2e-6, 4.0)),
        ("float64, one side", one_sided, GREY, "^", (2e-6, 4e-6)),
        ("float64, both sides", two_sided, BLUE, "o", (2e-7, 1e-11)),
    ):
        axes.loglog(steps, errors, color=color, marker=mark, markersize=5)
        axes.text(*place, name, color=color, weight="bold", ha="right")
    axes.set_xlabel("step h")
    axes.set_ylabel("largest error of the slope of tanh")
    axes.set_ylim(1e-13, 1e2)
    axes.set_title("Error against h: rounding on the left, bending on the right", color=INK)
    axes.grid(color=PALE)
    axes.spines[["top", "right"]].set_visible(False)
    return Picture(figure, FOLDER / "error_against_h.png")


picture = draw_errors()
best_64, best_32 = steps[two_sided.argmin()], steps[single.argmin()]
print(f"best step in float64: {best_64:.0e}, error {two_sided.min():.0e}")
print(f"best step in float32: {best_32:.0e}, error {single.min():.0e}")
picture

# %% [markdown]
# **Question 2:** 1e-5. There the error is 3e-11; at 1e-10 it is ten thousand times larger.
#
# A step must also be felt: 1e12 + 1e-5 is 1e12, because a float64 has 16 digits. So `gradcheck`,
# the check of minicnn, steps by h * max(1, |x|).

# %% tags=["check"]
assert f"{best_64:.0e}" == "1e-05" and f"{two_sided.min():.0e}" == "3e-11"
assert 1e-3 <= best_32 <= 1e-1 and f"{single.min():.0e}" == "3e-05"
assert two_sided[steps.searchsorted(0.99e-10)] > 1e4 * two_sided.min()
bent = slice(-3, None)  # where rounding plays no part, ten times h is 100 times the error, or 10
assert np.allclose(two_sided[bent][1:] / two_sided[bent][:-1], 100, rtol=0.05)
assert np.allclose(one_sided[bent][1:] / one_sided[bent][:-1], 10, rtol=0.05)
assert 1e12 + 1e-5 == 1e12

# %% [markdown]
# ## The third lie: float32
#
# minicnn trains in float32, so why not check in it? The lowest point of its V lies at 3e-5.
# A tolerance that accuses no right op must be so wide
# that small mistakes fit through. **Question 4:** no. A factor of 1.001 passes in float32; in
# float64 it is caught.
#
# So `gradcheck` copies all inputs to float64 first. Whether a float32 kernel computes the same as
# its float64 formula is another question, and is asked without differences
# (`minicnn.gradcheck_all`).


# %%
def passes_in_float32(f, x, tolerance=1e-2):
    return passes(f, x.astype(np.float32), random_signed, np.float32(1e-3), tolerance)


def large_tanh(x):
    return Meddle(lambda dy: dy * dy.dtype.type(1.001))(ops.tanh(x))


WRONG["tanh: times 1.001"] = (large_tanh, x)
narrow = passes_in_float32(ops.tanh, x, tolerance=1e-6)
print("a right tanh passes in float32 with tolerance 1e-6:", narrow)
print("a right tanh passes in float32 with tolerance 1e-2:", passes_in_float32(ops.tanh, x))
print("1.001 times the gradient passes in float32:", passes_in_float32(large_tanh, x))
print("1.001 times the gradient passes in float64:", passes(large_tanh, x, random_signed))

# %% tags=["check"]
assert not narrow and passes_in_float32(ops.tanh, x) and passes_in_float32(large_tanh, x)
assert not passes(large_tanh, x, random_signed)

# %% [markdown]
# ## The fourth lie: kinks
#
# **Question 3:** differences say 0.5, half of the way. minicnn says 0. It is right, as any number
# from 0 to 1 would be, and yet it is accused. Near a kink, h = 1e-5 reaches across it.
#
# What tells a kink from a mistake? Take the slopes to the left and to the right, and let h shrink:
#
# - At a kink they stay apart. Then backward may claim anything between them.
# - Near a kink they come together, at what backward claims.
# - Of a mistake nothing changes: they agree with each other, and not with backward.

# %%
print("       x        h      left     right   backward")
for at in (0.0, 3e-6, 1.0):
    claimed = by_backward(ops.relu, np.array([at]), np.ones(1))[0]
    for h in (1e-5, 1e-7):
        left, here, right = ops.relu(Tensor(np.array([at - h, at, at + h]))).numpy()
        print(
            f"{at:8g} {h:8.0e} {(here - left) / h:9.2f} {(right - here) / h:9.2f} {claimed:10.1f}"
        )


# %%
class RectifySteeply(Op):
    def forward(self, x):
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * np.heaviside(self.inputs[0].data, 2.0)  # 2 where x is 0


class TakeLargestTwice(Op):
    def forward(self, x):
        return x.max(axis=1, keepdims=True)

    def backward(self, dy):
        return dy * (self.inputs[0].data == self.output.data)  # each of several winners gets all


def steep_relu(x):
    return RectifySteeply()(x)


def generous_max(x):
    return TakeLargestTwice()(x)


at_kinks, with_ties = np.array([-1.0, 0.0, 3e-6, 2.0]), np.array([[1.0, 1.0, 0.0]])
at_0 = passes(ops.relu, at_kinks, random_signed)
half = by_differences(ops.relu, np.zeros(1), np.ones(1), 1e-5)[0]
print(f"differences say {half:g} at 0; relu passes my check: {at_0}")
right = gradcheck(ops.relu, at_kinks)
print("gradcheck, relu:            ", right.verdicts)
steep = gradcheck(steep_relu, at_kinks, raise_on_fail=False)
print("gradcheck, slope of 2 at 0: ", steep.verdicts)
generous = gradcheck(generous_max, with_ties, raise_on_fail=False)
print("gradcheck, two winners of 1:", generous.verdicts, generous.structural["conservation"])

# %% [markdown]
# The last one is clever: 1 lies between the slopes of each winner, so no element is wrong. But to
# raise all of x by 1 raises the maximum by 1, so the gradient must add up to 1 times g, not 2. Such
# tests need no single elements. `gradcheck` makes seven, among them: does the gradient double when
# g does, are inputs left alone, is it the same in every run?

# %% tags=["check"]
assert half == 0.5 and by_backward(ops.relu, np.zeros(1), np.ones(1)) == 0
assert not at_0
assert right.ok and right.verdicts == {"pass": 2, "kink_ok": 2, "kink_wrong": 0, "fail": 0}
assert not steep.ok and steep.verdicts["kink_wrong"] == 1
assert not generous.ok and generous.verdicts["kink_wrong"] == generous.verdicts["fail"] == 0
assert generous.structural["conservation"] and len(generous.structural) == 7
assert gradcheck(lambda x: ops.max(x, axis=1), with_ties)

# %% [markdown]
# ## The fifth lie: nothing was checked
#
# If a function does not depend on x, every check passes, and has shown nothing; `gradcheck` says
# so. If it draws new random numbers in each run, differences measure noise; `gradcheck` refuses.

# %%
nothing = gradcheck(lambda x: x * 0.0, x)
print(nothing)
noisy = gradcheck(lambda x: x * rng.normal(size=x.shape), x, raise_on_fail=False)
print(noisy)

# %% tags=["check"]
assert nothing.ok and nothing.vacuous == ["x"] and "proved nothing about x" in str(nothing)
assert not noisy.ok and noisy.nondeterministic

# %% [markdown]
# ## All checks and all mistakes
#
# Blue is right: a mistake is caught, or a right op is let through. Only the last column is all
# blue.

# %%
WRONG |= {
    "tanh: upstream ignored": (lambda x: Meddle(np.ones_like)(ops.tanh(x)), x),
    "relu: slope 2 at 0": (steep_relu, at_kinks),
    "max: two winners get all": (generous_max, with_ties),
}
RIGHT = {
    "softmax (right)": (ops.softmax, x),
    "conv2d (right)": (conv2d, image),
    "relu at 0 (right)": (ops.relu, at_kinks),
    "max of equals (right)": (lambda x: ops.max(x, axis=1), with_ties),
}
CHECKS = {
    "g = 1": lambda f, x: passes(f, x, np.ones),
    "g > 0": lambda f, x: passes(f, x, positive),
    "g = 1 or -1": lambda f, x: passes(f, x, only_signs),
    "float32": passes_in_float32,
    "random g": lambda f, x: passes(f, x, random_signed),
    "gradcheck": lambda f, x: gradcheck(f, x, raise_on_fail=False).ok,
}
wrong_rows, right_rows = (
    np.array([[check(f, x) for check in CHECKS.values()] for f, x in some.values()])
    for some in (WRONG, RIGHT)
)
good = np.vstack([~wrong_rows, right_rows])


def draw_table():
    figure = Figure(figsize=(8.5, 5), dpi=100, layout="constrained", facecolor="white")
    axes = figure.subplots()
    for (row, column), fine in np.ndenumerate(good):
        words = ("✗ missed", "✓ caught") if row < len(WRONG) else ("✗ accused", "✓ passes")
        color = BLUE if fine else VERMILION
        axes.text(column, row, words[int(fine)], color=color, ha="center", va="center")
    axes.axhline(len(WRONG) - 0.5, color=GREY, linewidth=1)
    axes.set(xlim=(-0.6, len(CHECKS) - 0.4), ylim=(len(good) - 0.4, -0.6))
    axes.set_yticks(range(len(good)), [*WRONG, *RIGHT])
    axes.set_xticks(range(len(CHECKS)), CHECKS)
    axes.tick_params(length=0, labelcolor=INK, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    return Picture(figure, FOLDER / "mistakes_and_checks.png")


picture = draw_table()
for name, count in zip(CHECKS, (~good).sum(axis=0), strict=True):
    print(f"{name:12} is mistaken about {count:2} of {len(good)}")
picture

# %% tags=["check"]
assert good[:, -1].all() and not good[:, :-1].all(axis=0).any()

# %% [markdown]
# ## Read a report
#
# `subtract_mean` takes the mean of each column away. All of x moves the mean, so a term is missing
# in its backward: dx = dy - mean of dy. The report says where it is wrong, that it is no kink, what
# the mistake looks like, and in which lines of which file it stands. `to_html` draws the gradients.


# %%
class SubtractMean(Op):
    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, dy):
        return dy


report = gradcheck(lambda x: SubtractMean()(x), x, raise_on_fail=False)
print(report)
report.to_html(FOLDER / "report.html")
print()
reports = {name: gradcheck(f, at, raise_on_fail=False) for name, (f, at) in WRONG.items()}
for name, one in reports.items():
    print(f"{name:26} -> {one.hints[0]}")

# %% tags=["check"]
assert report.cause == "term missing" and "(no kink)" in str(report)
assert "mean or a sum over it" in report.hints[0] and "SubtractMean.backward" in report.source
assert not reports["conv2d: upstream reversed"].ones_would_see
assert (FOLDER / "report.html").stat().st_size < 300_000

# %% [markdown]
# ## Your own op, and one line that checks it
#
# An op is a class with two methods: `forward` gets arrays and computes numbers, `backward` gets a
# tensor and returns one gradient per input. If it is written with ops, it has a gradient in its
# turn, and `order=2` checks that too. `assert_grads` is made for tests: it prints the report.


# %%
class Hypotenuse(Op):
    """y = sqrt(a^2 + b^2);   da = dy * a / y,   db = dy * b / y."""

    def forward(self, a, b):
        return np.hypot(a, b)

    def backward(self, dy):
        a, b = self.inputs
        return dy * a / self.output, dy * b / self.output


def hypotenuse(a, b):
    return Hypotenuse()(a, b)


a, b = rng.normal(size=(2, 5))
assert_grads(hypotenuse, a, b, order=2)
print("the gradients of hypotenuse are right, and so are theirs")

# %% [markdown]
# ## Exercise: write a check that is never mistaken
#
# `my_gradcheck(f, x)` returns whether the gradient of f is right at x. The judge makes mistakes by
# chance: a right function, and behind or before it something that spoils what flows back. It also
# shows you right functions, some at kinks. Use what you have learnt, but not `gradcheck` itself.


# %%
def my_gradcheck(f, x):
    # your check goes here
    return passes(f, x, np.ones)


SMOOTH = {
    "tanh": (ops.tanh, (3, 4)),
    "softmax": (ops.softmax, (3, 4)),
    "mean": (lambda x: ops.mean(x, axis=0), (3, 4)),
    "matmul": (lambda x: ops.matmul(x, Tensor(weight.reshape(4, 2))), (3, 4)),
    "conv2d": (conv2d, (1, 3, 3, 1)),
}
SPOILERS = {  # each makes an array of the same shape
    "times a number": lambda a, rng: a * rng.choice([-1, 0, 0.5, 0.999, 1.001, 2]),
    "in another order": lambda a, rng: rng.permutation(a.ravel()).reshape(a.shape),
    "some left out": lambda a, rng: a * (rng.random(a.shape) < rng.uniform(0.3, 0.9)),
    "all made equal": lambda a, rng: np.full_like(a, a.mean()),
    "mean taken away": lambda a, rng: a - a.mean(rng.integers(a.ndim), keepdims=True),
    "made absolute": lambda a, rng: np.abs(a),
    "made 1 or -1": lambda a, rng: np.sign(a),
    "something added": lambda a, rng: a + rng.normal() / 10,
}


def spoiled(seed):
    """Make a wrong function by chance: its name, the function, and a point where it is wrong."""
    rng = np.random.default_rng(seed)
    name, spoiler = rng.choice(list(SMOOTH)), rng.choice(list(SPOILERS))
    place, (right, shape) = rng.choice(["before", "behind"]), SMOOTH[name]

    def meddle(x):  # the same in each call
        return Meddle(lambda dy: SPOILERS[spoiler](dy, np.random.default_rng(seed)))(x)

    def wrong(x):
        return right(meddle(x)) if place == "before" else meddle(right(x))

    x = rng.normal(size=shape)
    g = random_signed(right(Tensor(x)).shape, seed)
    dx = by_backward(right, x, g)
    harmless = np.allclose(by_backward(wrong, x, g), dx, rtol=0, atol=1e-4 * np.abs(dx).max())
    return spoiled(seed + 1_000_000) if harmless else (f"{spoiler}, {place} {name}", wrong, x)


def judge(check, seed, count):
    """Which mistakes a check misses, and which right functions it accuses."""
    cases = [*map(spoiled, range(1_000 * seed, 1_000 * seed + count))]
    cases.append(("slope 2 at 0, relu", *WRONG["relu: slope 2 at 0"]))
    missed = [name for name, f, x in cases if check(f, x)]
    right = RIGHT | {name: (f, rng.normal(size=shape)) for name, (f, shape) in SMOOTH.items()}
    accused = [name for name, (f, x) in right.items() if not check(f, x)]
    print(f"caught {len(cases) - len(missed)} of {len(cases)}, accused {len(accused)} right ones")
    return missed, accused


MISTAKES = 8 if FAST else 20
missed, accused = judge(my_gradcheck, seed=0, count=MISTAKES)
for name in missed[:5]:
    print("  missed:", name)
for name in accused:
    print("  accused:", name)
print("Passed: never mistaken." if not missed and not accused else "Not there yet: go on.")

# %% tags=["check"]
assert judge(CHECKS["gradcheck"], seed=0, count=MISTAKES) == ([], [])
assert "relu at 0 (right)" in judge(CHECKS["random g"], seed=0, count=MISTAKES)[1]

# %% [markdown]
# ## Break it
#
# The commonest mistake in an op of two inputs: the gradients are returned in the wrong order. The
# shapes are the same, so nothing crashes.


# %%
class SwappedHypotenuse(Hypotenuse):
    def backward(self, dy):
        da, db = super().backward(dy)
        return db, da


try:
    assert_grads(lambda a, b: SwappedHypotenuse()(a, b), a, b)
except AssertionError as error:
    message = str(error)
    print(message)

# %% tags=["check"]
assert "gradcheck: a gradient is wrong." in message
assert "gradient for a: it is the gradient for b (the two are swapped)" in message

# %% [markdown]
# ## Summary
#
# 1. `y.sum().backward()` weights all outputs alike, and so hides many mistakes. Weight them at
#    random, with both signs and several sizes.
# 2. Check in float64, with a step near 1e-5: below it rounding grows, above it the curve bends.
# 3. At a kink every slope between left and right is a gradient. Shrink the step to see which it is.
# 4. A check that passes may have checked nothing: constant functions and random ones say so.
# 5. It only proves that backward fits forward. A wrong forward with its own gradient passes.
#
# ## What to read next
#
# - `minicnn/gradcheck/kinks.py`: the rule for kinks. `structure.py` beside it: the other tests.
# - `minicnn/gradcheck/diagnosis.py`: how the report guesses what a mistake looks like.
# - `tests/planted_gradients.py`: mistakes planted into every op of minicnn, and what is found.
# - `minicnn.gradcheck_all`: every op and kernel, in a table.

# %% tags=["check"]
assert gradcheck(lambda x: ops.tanh(x) + 1, x)  # whoever calls this tanh is not contradicted
