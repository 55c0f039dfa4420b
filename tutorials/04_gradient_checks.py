# ruff: noqa: D100, D101, D103, B018 - a lesson explains in its text; a line that names a thing shows it
# %% [markdown]
# # Lesson 4: gradient checks, and how they lie
#
# **Goal:** design a gradient check that finds every mistake and accuses nobody, and read its report.
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

from minicnn import GradReport, Op, Tensor, grad, gradcheck, ops
from minicnn.testing import assert_grads
from minicnn.visualize import BLUE, GREY, INK, PALE, VERMILION, Picture

FAST = os.environ.get("MINICNN_FAST") == "1"  # the tests of minicnn set this: fewer mistakes
FOLDER = Path("lesson-4")  # for the pictures and the report
FOLDER.mkdir(exist_ok=True)
numba.set_num_threads(1)  # thousands of tiny convolutions: to share them takes longer than to do them
rng = np.random.default_rng(4)

# %% [markdown]
# ## The check that everybody writes
#
# Weight the outputs y with numbers g and add them up. That is a single number, and its gradient is
#
#     dx[k] = sum over o of g[o] * dy[o]/dx[k]
#
# g is called the upstream gradient, because it is what a backward is given. The same by differences:
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


def agree(f, x, g, h=1e-5, tolerance=1e-6):
    dx, n = by_backward(f, x, g), by_differences(f, x, g, h)
    return bool(np.abs(dx - n).max() <= tolerance * np.abs(n).max() + 1e-9)


def output_shape(f, x):
    return f(Tensor(x)).shape


def check_with_ones(f, x):
    return agree(f, x, np.ones(output_shape(f, x)))


x = rng.normal(size=(4, 4))
leaf = Tensor(x, requires_grad=True)
ops.tanh(leaf).sum().backward()
ones_are_meant = np.array_equal(leaf.grad.numpy(), by_backward(ops.tanh, x, np.ones((4, 4))))
print("a right tanh passes with ones:", check_with_ones(ops.tanh, x))

# %% tags=["check"]
assert ones_are_meant and check_with_ones(ops.tanh, x)

# %% [markdown]
# ## The first lie: ones hide half of the mistakes
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


weight = Tensor(rng.normal(size=(2, 2, 1, 2)))
image = rng.normal(size=(1, 4, 4, 1))


def forgetful_softmax(x):
    return SoftmaxWithoutGradient()(x)


def forgetful_transpose(x):
    return TransposeThatForgets()(x)


def reversed_conv2d(x):
    return Meddle(np.flip)(ops.conv2d(x, weight))  # its upstream gradient arrives reversed


WRONG = {  # what it is -> (function, where to check it)
    "softmax: gradient 0": (forgetful_softmax, x),
    "transpose: not put back": (forgetful_transpose, x),
    "conv2d: upstream reversed": (reversed_conv2d, image),
}
ones_say = {name: check_with_ones(*pair) for name, pair in WRONG.items()}
for name, passes in ones_say.items():
    print(f"{name:26} with ones: {'passes' if passes else 'caught'}")

# %% tags=["check"]
assert all(ones_say.values())
assert check_with_ones(ops.softmax, x) and check_with_ones(ops.transpose, x)

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


def check_with_positive(f, x):
    return agree(f, x, np.abs(random_signed(output_shape(f, x))))


def check_with_signs(f, x):
    return agree(f, x, np.sign(random_signed(output_shape(f, x))))


def check_with_random(f, x):
    return agree(f, x, random_signed(output_shape(f, x)))


def tanh_of_absolute(x):
    return Meddle(np.abs)(ops.tanh(x))


def tanh_of_sign(x):
    return Meddle(np.sign)(ops.tanh(x))


WRONG["tanh: takes |dy|"] = (tanh_of_absolute, x)
WRONG["tanh: takes the sign of dy"] = (tanh_of_sign, x)
random_says = {name: check_with_random(*pair) for name, pair in WRONG.items()}
for name, passes in random_says.items():
    print(f"{name:26} with random g: {'passes' if passes else 'caught'}")

# %% tags=["check"]
assert not any(random_says.values()) and check_with_random(ops.softmax, x)
assert check_with_positive(tanh_of_absolute, x) and not check_with_signs(tanh_of_absolute, x)
assert check_with_signs(tanh_of_sign, x) and not check_with_positive(tanh_of_sign, x)

# %% [markdown]
# ## The second lie: the smallest step is not the best
#
# Two errors pull in opposite directions. The curve bends, so differences are off by about h^2 (a
# difference to one side only: by h). And each y is rounded, by about eps * |y|; divided by h, that
# *grows* when h shrinks. Their sum is a V with its lowest point near the cube root of eps: 6e-6 in
# float64, 5e-3 in float32.

# %%
points = np.linspace(-2, 2, 21, dtype=np.float32)
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
        ("float32, both sides", single, VERMILION, "s", (1e-6, 1.4)),
        ("float64, one side", one_sided, GREY, "^", (1.5e-4, 2e-6)),
        ("float64, both sides", two_sided, BLUE, "o", (1.5e-9, 3e-10)),
    ):
        axes.loglog(steps, errors, color=color, marker=mark, markersize=5)
        axes.text(*place, name, color=color, weight="bold")
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
# **Question 2:** 1e-5. There the error is about 1e-11; at 1e-10 it is ten thousand times larger.
#
# A step must also be felt: 1e12 + 1e-5 is 1e12, because a float64 has 16 digits. So `gradcheck`, the
# check of minicnn, steps by h * max(1, |x|).

# %% tags=["check"]
assert 1e-6 <= best_64 <= 1e-4 and two_sided.min() < 1e-10
assert 1e-3 <= best_32 <= 1e-1 and 1e-6 < single.min() < 1e-3
assert two_sided[steps.searchsorted(0.99e-10)] > 1e4 * two_sided.min()
bent = slice(-3, None)  # where rounding plays no part, ten times h is 100 times the error, or 10
assert np.allclose(two_sided[bent][1:] / two_sided[bent][:-1], 100, rtol=0.05)
assert np.allclose(one_sided[bent][1:] / one_sided[bent][:-1], 10, rtol=0.05)
assert 1e12 + 1e-5 == 1e12

# %% [markdown]
# ## The third lie: float32
#
# minicnn trains in float32, so why not check in it? The lowest point of its V lies at 3e-5, and
# large outputs or many of them make it worse. A tolerance that accuses no right op must be so wide
# that small mistakes fit through. **Question 4:** no. A factor of 1.001 passes in float32; in
# float64 it is caught.
#
# So `gradcheck` copies all inputs to float64 first. Whether a float32 kernel computes the same as
# its float64 formula is another question, and is asked without differences
# (`minicnn.gradcheck_all`).


# %%
def check_in_float32(f, x):
    x = x.astype(np.float32)
    g = random_signed(output_shape(f, x)).astype(np.float32)
    return agree(f, x, g, h=np.float32(1e-3), tolerance=1e-2)


def slightly_large_tanh(x):
    return Meddle(lambda dy: dy * dy.dtype.type(1.001))(ops.tanh(x))


WRONG["tanh: times 1.001"] = (slightly_large_tanh, x)
x32 = x.astype(np.float32)
g32 = random_signed(x.shape).astype(np.float32)
narrow = agree(ops.tanh, x32, g32, h=np.float32(1e-3), tolerance=1e-6)
print("a right tanh passes in float32 with tolerance 1e-6:", narrow)
print("a right tanh passes in float32 with tolerance 1e-2:", check_in_float32(ops.tanh, x))
print("1.001 times the gradient passes in float32:", check_in_float32(slightly_large_tanh, x))
print("1.001 times the gradient passes in float64:", check_with_random(slightly_large_tanh, x))

# %% tags=["check"]
assert not narrow and check_in_float32(ops.tanh, x)
assert check_in_float32(slightly_large_tanh, x)
assert not check_with_random(slightly_large_tanh, x)

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
        left, here, right = np.maximum([at - h, at, at + h], 0)
        print(f"{at:8g} {h:8.0e} {(here - left) / h:9.3f} {(right - here) / h:9.3f} {claimed:8.1f}")


def relu_with_slope_2_at_0(x):
    return ops.relu(Meddle(lambda dy: dy + 2 * (x.data == 0))(x))


at_kinks = np.array([-1.0, 0.0, 3e-6, 2.0])
half = by_differences(ops.relu, np.zeros(1), np.ones(1), 1e-5)[0]
blind = check_with_random(ops.relu, at_kinks)
report = gradcheck(ops.relu, at_kinks)
print(f"differences say {half:g} at 0; a simple check passes relu: {blind}")
print("gradcheck passes relu:", report.ok, report.verdicts)
report = gradcheck(relu_with_slope_2_at_0, at_kinks, raise_on_fail=False)
print("gradcheck passes a slope of 2 at 0:", report.ok, report.verdicts)
print(gradcheck(ops.relu, at_kinks, kinks="fail", raise_on_fail=False).summary if 0 else "")
