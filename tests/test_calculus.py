"""jacobian, hessian, vjp, jvp and hvp: against closed forms, against PyTorch, and their errors."""

import numpy as np
import pytest

from minicnn import Tensor, grad, hessian, hvp, jacobian, jvp, no_grad, ops, vjp

A = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
X = np.array([0.3, -1.2, 2.0])
Y = np.array([1.5, -0.4])


def linear(x):
    return ops.matmul(Tensor(A), x)


def product(x, y):
    """Two outputs of two inputs: (2, 3) and a single number."""
    outer = y.reshape(2, 1) * ops.tanh(x).reshape(1, 3)
    return outer, (x * x).sum() * y[0]


def slopes(x, y):
    """The derivatives of product, by hand."""
    t, d = np.tanh(x), 1 - np.tanh(x) ** 2
    by_x = np.einsum("i,jk->ijk", y, np.diag(d))
    by_y = np.einsum("ik,j->ijk", np.eye(2), t)
    return (by_x, by_y), (2 * x * y[0], np.array([x @ x, 0.0]))


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    assert np.array_equal(jacobian(linear, X).data, A)


def test_the_jacobian_of_several_outputs_and_inputs_has_their_form():
    found, wanted = jacobian(product, (X, Y)), slopes(X, Y)
    for row, wanted_row in zip(found, wanted, strict=True):
        for entry, wanted_entry in zip(row, wanted_row, strict=True):
            assert entry.shape == wanted_entry.shape
            assert np.allclose(entry.data, wanted_entry, rtol=1e-13)


def test_a_function_of_one_input_in_a_tuple_gets_and_gives_tuples():
    (found,) = jacobian(linear, (X,))
    assert np.array_equal(found.data, A)
    ((found,),) = jacobian(lambda x: (linear(x),), (X,))
    assert np.array_equal(found.data, A)


def test_vjp_and_jvp_multiply_with_the_jacobian():
    u, v = np.array([2.0, -1.0]), np.array([1.0, 0.5, -3.0])
    y, dx = vjp(linear, X, u)
    assert np.array_equal(y.data, A @ X) and np.allclose(dx.data, u @ A)
    y, dy = jvp(linear, X, v)
    assert np.array_equal(y.data, A @ X) and np.allclose(dy.data, A @ v)


def test_vjp_and_jvp_of_several_outputs_and_inputs_add_up():
    us = np.arange(6.0).reshape(2, 3) - 2, np.array(0.7)
    vs = np.array([1.0, 0.5, -3.0]), np.array([-1.0, 2.0])
    J = slopes(X, Y)
    _, dxs = vjp(product, (X, Y), us)
    for i, dx in enumerate(dxs):
        assert np.allclose(
            dx.data, sum(np.tensordot(u, row[i], u.ndim) for u, row in zip(us, J, strict=True))
        )
    _, dys = jvp(product, (X, Y), vs)
    for k, dy in enumerate(dys):
        assert np.allclose(dy.data, sum(block @ v for block, v in zip(J[k], vs, strict=True)))


def test_vjp_of_a_single_number_needs_no_vector():
    assert np.allclose(vjp(lambda x: (x * x).sum(), X)[1].data, 2 * X)


def test_hessian_of_a_quadratic_form_and_hvp():
    M = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0], [5.0, 0.0, 1.0]])

    def form(x):
        return (x * ops.matmul(Tensor(M), x)).sum()

    H, v = M + M.T, np.array([1.0, -2.0, 0.5])
    assert np.allclose(hessian(form, X).data, H)
    y, product = hvp(form, X, v)
    assert np.isclose(y.item(), X @ M @ X) and np.allclose(product.data, H @ v)


def test_hessian_of_two_inputs_is_a_table_of_blocks():
    (aa, ab), (ba, bb) = hessian(lambda x, y: (x[:2] * x[:2] * y).sum(), (X, Y))
    assert np.allclose(aa.data, np.diag([2 * Y[0], 2 * Y[1], 0]))
    assert np.allclose(ab.data, np.diag([2 * X[0], 2 * X[1], 0])[:, :2])
    assert np.allclose(ba.data, ab.data.T) and not bb.data.any()


def test_what_the_function_does_not_depend_on_has_derivative_0():
    by_x, by_y = jacobian(lambda x, y: x * 2, (X, Y))
    assert np.allclose(by_x.data, 2 * np.eye(3))
    assert by_y.shape == (3, 2) and not by_y.data.any()
    assert not jvp(lambda x: Tensor(np.ones(2)), X, X)[1].data.any()
    assert not hessian(lambda x: x.sum(), X).data.any()


def test_outputs_without_numbers_have_a_jacobian_without_numbers():
    assert jacobian(lambda x: x[:0], X).shape == (0, 3)


def test_the_same_tensor_may_be_given_twice():
    x = Tensor(X, requires_grad=True)
    for create_graph in (False, True):
        _, (da, db) = vjp(lambda a, b: (a * b**2).sum(), (x, x), create_graph=create_graph)
        assert np.allclose(da.data, X**2) and np.allclose(db.data, 2 * X**2)


def test_results_can_be_differentiated_if_that_is_wanted():
    x = Tensor(X, requires_grad=True)
    y, dy = jvp(lambda x: x**3, x, np.ones(3), create_graph=True)
    assert np.allclose(grad(dy.sum(), [x])[0].data, 6 * X)
    assert np.allclose(grad(y.sum(), [x])[0].data, 3 * X**2)
    J = jacobian(lambda x: x**3, x, create_graph=True)
    assert np.allclose(grad(J.sum(), [x])[0].data, 6 * X)
    H = hessian(lambda x: (x**3).sum(), x, create_graph=True)
    assert np.allclose(grad(H.sum(), [x])[0].data, 6)


def test_results_remember_nothing_otherwise_and_inputs_stay_as_they_were():
    x = Tensor(X, requires_grad=True)
    for y, dx in (
        vjp(ops.tanh, x, X),
        jvp(ops.tanh, x, X),
        hvp(lambda x: ops.tanh(x).sum(), x, X),
    ):
        assert not y.requires_grad and not dx.requires_grad
    assert x.grad is None


def test_derivatives_exist_inside_no_grad():
    with no_grad():
        assert np.array_equal(jacobian(linear, X).data, A)
        assert np.allclose(jvp(linear, X, X)[1].data, A @ X)
        assert np.allclose(hessian(lambda x: (x**3).sum(), X).data, np.diag(6 * X))


def test_float32_stays_float32():
    x = Tensor(X.astype(np.float32))
    assert jacobian(ops.tanh, x).dtype == np.float32
    assert jvp(ops.tanh, x, X)[1].dtype == np.float32


def test_against_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.autograd.functional
    rng = np.random.default_rng(0)
    image, weight = rng.normal(size=(1, 5, 5, 2)), rng.normal(size=(3, 3, 2, 3))

    def ours(x, w):
        return ops.tanh(ops.conv2d(x, w))

    def theirs(x, w):
        y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), w.permute(3, 2, 0, 1))
        return y.permute(0, 2, 3, 1).tanh()

    here, there = (image, weight), (torch.tensor(image), torch.tensor(weight))
    v = tuple(rng.normal(size=a.shape) for a in here)
    v_there = tuple(map(torch.tensor, v))

    def agree(found, wanted):
        if isinstance(found, tuple):
            assert len(found) == len(wanted)
            for a, b in zip(found, wanted, strict=True):
                agree(a, b)
        else:
            assert found.shape == tuple(wanted.shape)
            assert np.allclose(found.data, wanted.numpy(), rtol=1e-10, atol=1e-10)

    agree(jacobian(ours, here), functional.jacobian(theirs, there))
    agree(jvp(ours, here, v), functional.jvp(theirs, there, v_there))
    u = rng.normal(size=(1, 3, 3, 3))
    agree(vjp(ours, here, u), functional.vjp(theirs, there, torch.tensor(u)))
    agree(
        hvp(lambda x, w: (ours(x, w) ** 2).sum(), here, v),
        functional.hvp(lambda x, w: (theirs(x, w) ** 2).sum(), there, v_there),
    )
    agree(
        hessian(lambda x: (ours(x, Tensor(weight)) ** 2).sum(), image),
        functional.hessian(lambda x: (theirs(x, there[1]) ** 2).sum(), there[0]),
    )


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: jacobian(linear, np.arange(3)), TypeError, "jacobian: input 0 must be floating"),
        (lambda: jvp(lambda x: x.data, X, X), TypeError, "must return a floating .* ndarray"),
        (lambda: vjp(lambda x: Tensor(np.arange(2)), X), TypeError, "returned one of int64"),
        (lambda: hessian(linear, X), ValueError, r"hessian: .* single number, .* shape \(2,\)"),
        (lambda: vjp(linear, X), ValueError, "vjp: the function must return a single number"),
        (lambda: jvp(linear, X, Y), ValueError, r"v has shape \(2,\), but input 0 has shape \(3,"),
        (lambda: vjp(linear, X, X), ValueError, r"v has shape \(3,\), but output 0 has shape \(2,"),
        (lambda: jvp(product, (X, Y), (X,)), ValueError, "one entry for each input, 2, but has 1"),
    ],
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("derivative", [jacobian, hessian])
def test_results_that_can_be_differentiated_may_be_asked_for_at_arrays(derivative):
    found = derivative(lambda x: ops.sum(x**3), np.array([1.0, 2.0]), create_graph=True)
    wanted = {jacobian: [3.0, 12.0], hessian: [[6.0, 0.0], [0.0, 12.0]]}[derivative]
    np.testing.assert_allclose(found.numpy(), wanted)


def test_a_tuple_of_numbers_is_several_inputs():
    rows = jacobian(lambda x, y: x * y, (2.0, 3.0))
    assert [row.item() for row in rows] == [3, 2]


def test_results_can_be_differentiated_by_the_direction():
    v = Tensor([1.0, 2.0], requires_grad=True)
    _, along = jvp(lambda x: ops.sum(x**2), Tensor([3.0, 5.0]), v, create_graph=True)
    np.testing.assert_allclose(grad(along, [v])[0].numpy(), [6, 10])
