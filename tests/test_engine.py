"""The engine: what it computes, what it keeps alive, and what it says when an op is wrong."""

import gc
import weakref
from contextlib import contextmanager

import numpy as np
import pytest

from minicnn import ops
from minicnn.autograd import Op, Tensor, Watcher, grad, no_grad, watch
from minicnn.variable import Variable


class Square(Op):
    """A right op; the wrong ones below are made from it."""

    def forward(self, x):
        return x * x

    def backward(self, dy):
        (x,) = self.inputs
        return dy * x * 2


def leaf(*shape):
    return Tensor(np.ones(shape), requires_grad=True)


@contextmanager
def without_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Gradients.


def test_third_order():
    x = Tensor(2.0, requires_grad=True)
    (first,) = grad(x**4, [x], create_graph=True)
    (second,) = grad(first, [x], create_graph=True)
    (third,) = grad(second, [x])
    assert (first.data, second.data, third.data) == (32, 48, 48)


def test_a_power_runs_out_at_zero_without_nan():
    x = Tensor(0.0, requires_grad=True)
    y = x**2
    for expected in (0, 2, 0, 0):
        (y,) = grad(y, [x], create_graph=True)
        assert y.data == expected


def test_backward_adds_to_the_leaves_only():
    x = Tensor(3.0, requires_grad=True)
    square = x * x
    y = square * x
    y.backward()
    y.backward()
    assert x.grad.data == 2 * 27
    assert square.grad is None


def test_backward_takes_a_seed():
    x = leaf(2)
    (x * 3).backward(Tensor(np.array([1.0, 10])))
    assert x.grad.data.tolist() == [3, 30]


def test_a_tensor_used_twice_gets_both_gradients():
    x = Tensor(3.0, requires_grad=True)
    y = x + x * x
    assert grad(y, [x])[0].data == 7


class Treble(Op):
    """y = 3 x;   dx = 3 dy; it notes what its backward was given."""

    adds_up = True

    def forward(self, x):
        return x * 3

    def backward(self, *dys):
        self.given = [dy.item() for dy in dys]
        return sum(dys[1:], dys[0]) * 3.0


@pytest.mark.parametrize(
    ("uses", "given"),
    [(lambda y: y, [1]), (lambda y: y + y * 2, [2, 1]), (lambda y: y * y, [3, 3])],
)
def test_an_op_may_add_up_two_gradients_itself(uses, given):
    x = Tensor(1.0, requires_grad=True)
    y = Treble()(x)
    op, z = y.op, uses(y)
    assert grad(z, [x])[0].data == 3 * sum(given)
    assert sorted(op.given) == sorted(given)


def test_of_more_than_two_gradients_it_is_given_two():
    x = Tensor(1.0, requires_grad=True)
    y = Treble()(x)
    op, z = y.op, y * 1.0 + y * 2.0 + y * 3.0
    assert grad(z, [x])[0].data == 18
    assert len(op.given) == 2 and sum(op.given) == 6


def test_who_asks_for_the_gradient_of_its_output_gets_the_sum():
    x = Tensor(1.0, requires_grad=True)
    y = Treble()(x)
    dx, dy = grad(y + y * 2.0, [x, y])
    assert (dx.item(), dy.item(), y.op.given) == (9, 3, [3])


def test_watchers_see_the_sum():
    x, diary = Tensor(1.0, requires_grad=True), Diary()
    with watch(diary):
        y = Treble()(x)
        grad(y + y * 2.0, [x])
    assert ("before backward", "Treble", 3.0) in diary.lines


def test_a_tensor_used_twice_is_visited_once():
    x = y = Tensor(1.0, requires_grad=True)
    for _ in range(60):
        y = y + y  # 2^60 ways back to x
    assert grad(y, [x])[0].data == 2.0**60


def test_gradient_of_what_lies_between():
    x = leaf()
    between = x * 3
    assert [dx.data for dx in grad(between * between, [between, x])] == [6, 18]


def test_gradient_of_the_output_itself_is_the_seed():
    y = leaf() * 2
    assert grad(y, [y])[0].data == 1


def test_no_dependence_is_a_zero_gradient():
    x, y = leaf(2, 3), leaf()
    np.testing.assert_array_equal(grad(y * 2, [x])[0].data, np.zeros((2, 3)))


def test_a_gradient_can_be_trained_on():
    w = Tensor(2.0, requires_grad=True)
    x = Tensor(3.0, requires_grad=True)
    (dx,) = grad(w * x * x, [x], create_graph=True)  # 2 w x
    (dx * dx).backward()  # 4 w^2 x^2
    assert w.grad.data == 8 * 2 * 9


# What is recorded.


def test_no_grad_records_nothing_and_ends():
    x = leaf(2)
    with pytest.raises(ZeroDivisionError), no_grad():
        assert ops.exp(x).op is None
        _ = 1 / 0
    assert ops.exp(x).op is not None


def test_without_create_graph_the_gradients_have_no_graph():
    x = leaf()
    assert grad(x * x, [x])[0].op is None
    (x * x).backward()
    assert x.grad.op is None


def test_a_block_can_be_entered_within_itself():
    x, block = Tensor(1.0, requires_grad=True), no_grad()

    @block
    def recorded(depth):
        return recorded(depth - 1) if depth else (x * 2).requires_grad

    with block:
        assert not recorded(2)
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_what_needs_no_gradient_is_not_recorded():
    y = Tensor(1.0) * Tensor(2.0)
    assert y.op is None
    assert not y.requires_grad


def test_detach_cuts_the_graph():
    x = Tensor(3.0, requires_grad=True)
    assert grad(x * (x * x).detach(), [x])[0].data == 9


# Depth and memory.


def test_a_chain_of_100_000_additions_goes_backward_and_is_freed():
    x = y = Tensor(1.0, requires_grad=True)
    with without_garbage_collector():
        for _ in range(100_000):
            y = y + 1
        first = weakref.ref(y.op.inputs[0])
        y.backward()
        assert x.grad.data == 1
        assert first() is not None
        del y  # a recursion in C would crash here
        assert first() is None


def test_outputs_die_without_the_garbage_collector():
    with without_garbage_collector():
        output = ops.exp(leaf(2))
        alive = weakref.ref(output)
        del output
        assert alive() is None


def test_graphs_of_gradients_die_without_the_garbage_collector():
    x = leaf(2)
    with without_garbage_collector():
        y = ops.sum(ops.softmax(ops.exp(x)) * ops.sigmoid(x))
        (dx,) = grad(y, [x], create_graph=True)
        alive = [weakref.ref(tensor) for tensor in (y, dx, y.op.inputs[0], dx.op.inputs[0])]
        del y, dx
        assert [tensor() for tensor in alive] == [None] * 4


# Hooks.


class Diary(Watcher):
    """Writes down all it is told."""

    def __init__(self):
        self.lines = []

    def before_forward(self, op, inputs):
        self.lines.append(("before forward", type(op).__name__, len(inputs)))

    def after_forward(self, op, inputs, output):
        self.lines.append(("after forward", type(op).__name__, output.data.tolist()))

    def before_backward(self, op, dy):
        self.lines.append(("before backward", type(op).__name__, dy.data.tolist()))

    def after_backward(self, op, dy, dxs):
        numbers = [None if dx is None else dx.data.tolist() for dx in dxs]
        self.lines.append(("after backward", type(op).__name__, numbers))


def test_a_watcher_is_told_of_every_op_in_order():
    x = Tensor(2.0, requires_grad=True)
    diary = Diary()
    with watch(diary):
        ops.exp(x * 0.0).backward()
    assert diary.lines == [
        ("before forward", "Multiply", 2),
        ("after forward", "Multiply", 0),
        ("before forward", "Exponentiate", 1),
        ("after forward", "Exponentiate", 1),
        ("before backward", "Exponentiate", 1),
        ("before forward", "Multiply", 2),
        ("after forward", "Multiply", 1),
        ("after backward", "Exponentiate", [1]),
        ("before backward", "Multiply", 1),
        ("before forward", "Multiply", 2),
        ("after forward", "Multiply", 0),
        ("after backward", "Multiply", [0, None]),
    ]


def test_a_watcher_is_told_nothing_after_its_block():
    diary = Diary()
    with pytest.raises(ZeroDivisionError), watch(diary):
        _ = 1 / 0
    _ = leaf() * 2
    assert diary.lines == []


def test_several_watchers_can_look_on():
    first, second = Diary(), Diary()
    with watch(first), watch(second):
        _ = leaf() + leaf()
    assert first.lines == second.lines
    assert len(first.lines) == 2


# Locks: what a graph needs cannot be changed under it.


def test_arrays_of_a_graph_are_read_only_until_it_is_gone():
    x, y = leaf(3), leaf(3)
    z = x * y
    for array in x.data, y.data, z.data:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7
    output = z.data
    del z
    for array in x.data, y.data, output:
        array[0] = 7


def test_an_array_stays_locked_as_long_as_one_graph_needs_it():
    x = leaf(3)
    first, second = x * x, ops.exp(x)
    del first
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    del second
    x.data += 1


def test_an_array_that_no_graph_needs_can_be_changed():
    x = Tensor(np.ones(3))
    _keep = x * x
    with no_grad():
        _also = leaf(3) * x
    x.data[0] = 7


def test_an_array_that_was_read_only_before_stays_so():
    array = np.ones(3)
    array.flags.writeable = False
    y = Tensor(array, requires_grad=True) * 2
    del y
    assert not array.flags.writeable


def test_a_view_outlives_the_graph_of_the_array_it_looks_into():
    x = leaf(2, 3)
    row = x.reshape(6)
    other = ops.exp(x)
    del row  # while its base is still locked
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 7
    del other
    x.data[0] = 7


def test_arrays_are_unlocked_after_backward_when_the_graph_is_gone():
    x = leaf(2, 3)
    ops.sum(ops.reshape(ops.transpose(x) * 2, (6,))).backward()
    x.data -= x.grad.data
    assert x.data.tolist() == [[-1] * 3] * 2


def test_new_data_after_use_is_an_error_at_backward():
    w = Variable(np.ones(3), name="kernel")
    loss = ops.sum(w * w)
    w.assign(np.zeros(3))
    with pytest.raises(RuntimeError, match=r"Multiply\.backward .MC057.: input 0, x was given"):
        loss.backward()
    ops.sum(w * w).backward()
    assert w.grad.data.tolist() == [0, 0, 0]


# Tensors.


def test_integers_have_no_gradient():
    with pytest.raises(TypeError, match=r"Tensor: only floating point .* int64\. Convert it first"):
        Tensor([1, 2], requires_grad=True)


def test_python_numbers_become_float32_and_arrays_keep_their_type():
    assert Tensor([1.0, 2.0]).dtype == np.float32
    assert Tensor(1.0).dtype == np.float32
    assert Tensor(np.ones(2)).dtype == np.float64
    assert Tensor([1, 2]).dtype.kind == "i"


def test_comparisons_give_arrays_of_truth_values():
    x = Tensor([1.0, 2.0, 3.0])
    for found, expected in (
        (x > 2, [False, False, True]),
        (x >= Tensor([2.0, 2.0, 2.0]), [False, True, True]),
        (x < 2, [True, False, False]),
        (x <= 2, [True, True, False]),
    ):
        assert isinstance(found, np.ndarray)
        assert found.tolist() == expected


def test_operators_follow_numpy():
    a, b = np.array([[1.0, 2], [3, 4]]), np.array([[2.0, 3], [4, 5]])
    x, y = Tensor(a), Tensor(b)
    for found, expected in (
        (x + y, a + b),
        (x - b, a - b),
        (a * y, a * b),
        (x / 2, a / 2),
        (2 / x, 2 / a),
        (x**y, a**b),
        (x @ y, a @ b),
        (a @ y, a @ b),
        (-x, -a),
        (abs(-x), a),
        (x.T, a.T),
        (x[0, 1:], a[0, 1:]),
        (x.sum(axis=0), a.sum(axis=0)),
        (x.mean(), a.mean()),
        (x.max(axis=1), a.max(axis=1)),
        (x.min(axis=1, keepdims=True), a.min(axis=1, keepdims=True)),
        (x.var(axis=0), a.var(axis=0)),
        (x.reshape(4), a.reshape(4)),
        (x.reshape(1, -1), a.reshape(1, -1)),
        (x.reshape((4, 1)), a.reshape((4, 1))),
        (x.transpose(1, 0), a.transpose(1, 0)),
        (x.transpose((1, 0)), a.transpose((1, 0))),
        (x.transpose(), a.transpose()),
        (x.astype("float32"), a.astype("float32")),
    ):
        np.testing.assert_array_equal(found.data, expected)
    assert (len(x), x.shape, x.ndim, x.size) == (2, (2, 2), 2, 4)
    assert np.asarray(x).tolist() == a.tolist()


# Messages.


def test_grad_of_many_numbers_wants_a_seed():
    x = leaf(2, 3)
    with pytest.raises(ValueError, match=r"grad .MC057.: output has shape \(2, 3\), .* single"):
        grad(x * x, [x])
    with pytest.raises(ValueError, match=r"grad: seed has shape \(3,\), but output .* \(2, 3\)"):
        grad(x * x, [x], seed=Tensor(np.ones(3)))


def test_grad_for_an_input_that_wants_none():
    x = leaf()
    with pytest.raises(ValueError, match="grad: input 1 requires no gradient"):
        grad(x * x, [x, Tensor(1.0)])


def test_backward_without_a_graph():
    with pytest.raises(ValueError, match=r"Tensor\.backward: nothing that this tensor was comput"):
        Tensor(1.0).backward()


def test_an_op_object_serves_one_call():
    square = Square()
    square(leaf())
    with pytest.raises(RuntimeError, match="Square: this object was called before"):
        square(leaf())


def test_a_variable_keeps_its_shape():
    weight = Variable(np.ones((2, 3)), "weight")
    with pytest.raises(ValueError, match=r"weight: has shape \(2, 3\), but was .* \(3, 2\)"):
        weight.assign(np.ones((3, 2)))


def test_ops_want_tensors():
    with pytest.raises(TypeError, match="Square: wants tensors, but got ndarray"):
        Square()(np.ones(2))


def test_an_unknown_device_is_an_error():
    wanted = r"Tensor\.to: wants one of cpu, gpu, emulator, but got 'tpu'"
    with pytest.raises(ValueError, match=wanted):
        leaf().to("tpu")


def test_missing_backward():
    class Round(Op):
        """An op without a derivative."""

        def forward(self, x):
            return np.round(x)

    with pytest.raises(NotImplementedError, match="Round has no gradient: it defines no backward"):
        Round()(leaf()).backward()


WRONG = {
    "None": (
        lambda self, dy: None,
        (NotImplementedError, r"Wrong\.backward: the gradient for input 0, x, is missing"),
    ),
    "shape": (
        lambda self, dy: ops.reshape(dy, (3, 2)),
        (
            ValueError,
            r"Wrong\.backward: the gradient for input 0, x, has shape \(3, 2\), .* \(2, 3\)",
        ),
    ),
    "count": (
        lambda self, dy: (dy, dy),
        (ValueError, r"Wrong\.backward: returned 2 gradients, but the op has 1 input"),
    ),
    "list": (
        lambda self, dy: [dy],
        (TypeError, r"Wrong\.backward: returned a list, but several gradients must be a tuple"),
    ),
    "array": (
        lambda self, dy: dy.data,
        (
            TypeError,
            r"Wrong\.backward: the gradient for input 0, x, must be a Tensor, but is ndarray",
        ),
    ),
    "outside the graph": (
        lambda self, dy: Tensor(dy.data * 2 * self.inputs[0].data),
        (
            NotImplementedError,
            r"Wrong\.backward: the gradient for input 0, x, has no gradient itself",
        ),
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_backward_is_named(mistake):
    backward, (error, text) = WRONG[mistake]
    wrong = type("Wrong", (Square,), {"backward": backward})
    x = leaf(2, 3)
    with pytest.raises(error, match=text):
        grad(ops.sum(wrong()(x)), [x], create_graph=True)


def test_arrays_in_backward_do_for_the_first_order():
    backward, _ = WRONG["outside the graph"]
    x = leaf(2, 3)
    ops.sum(type("FirstOrder", (Square,), {"backward": backward})()(x)).backward()
    np.testing.assert_array_equal(x.grad.data, 2 * np.ones((2, 3)))


def test_the_right_input_is_named():
    class Total(Op):
        """Any number of inputs, one of them with a wrong gradient."""

        def forward(self, *xs):
            return sum(xs)

        def backward(self, dy):
            return dy, None

    x, y = leaf(), leaf()
    assert grad(Total()(x, Tensor(1.0)), [x])[0].data == 1
    with pytest.raises(NotImplementedError, match=r"Total.backward: .* input 1, xs, is missing"):
        grad(Total()(x, y), [x])


def test_a_tensor_of_one_integer_is_an_index():
    assert ["a", "b", "c"][Tensor(np.array(2))] == "c"
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        ["a", "b"][Tensor(1.0)]
