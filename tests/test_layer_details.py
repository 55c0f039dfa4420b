"""Details of layers that only a small mistake in their code would change."""

import warnings

import numpy as np
import pytest

from minicnn import Input, Sequential, Tensor, layers, no_grad, regularizers, watch
from minicnn.autograd import Watcher
from minicnn.backend import kernels
from minicnn.layers import limits
from minicnn.layers.beginning import Beginning
from minicnn.layers.names import reset_names

WHY_CPU_ONLY = kernels.emulator.why_unavailable()


def test_elu_takes_any_alpha():
    y = layers.ELU(-0.5)(np.array([[-100.0, 3.0]]))
    np.testing.assert_allclose(y.numpy(), [[0.5, 3]])


def test_dense_gives_its_bias_where_there_are_no_features():
    dense = layers.Dense(2, bias_initializer="ones")
    np.testing.assert_array_equal(dense(np.ones((4, 0))).numpy(), np.ones((4, 2)))


@pytest.mark.parametrize(
    "layer",
    [layers.ReLU, layers.Flatten, lambda **keywords: layers.Dense(3, **keywords)],
)
def test_the_penalty_of_outputs_is_kept_in_the_config(layer):
    layer = layer(activity_regularizer=regularizers.L2(0.25))
    again = type(layer).from_config(layer.get_config())
    assert again.activity_regularizer.get_config() == {"l2": 0.25}
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("factor", [-1, 1])
@pytest.mark.parametrize("make", [layers.RandomBrightness, layers.RandomContrast])
def test_pixels_far_outside_of_the_range_are_noticed_on_either_side(make, factor):
    x = np.linspace(0, 255 * factor, 25).reshape(1, 5, 5, 1)
    with pytest.warns(UserWarning, match=r"\[MC033\]: value_range=\(0, 1\) does not fit images"):
        make(0.2, (0, 1))(x)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Cropping2D(1, name="edge"),
        layers.ZeroPadding2D(1, name="edge"),
        layers.RandomCrop(2, 2, name="edge"),
        layers.CenterCrop(2, 2, name="edge"),
        layers.RandomFlip(name="edge"),
    ],
)
@pytest.mark.parametrize("shape", [(None, 8, 8), (None, 2, 8, 8, 3)])
def test_what_changes_the_edges_of_images_wants_images(layer, shape):
    message = rf"layer 'edge' \({type(layer).__name__}\): wants images, .* but got shape"
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shape)


class Mixture(layers.Layer):
    """Adds the mean of a second input to a product of the first one and a kernel."""

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], 4), "ones", name="kernel")

    def call(self, x, other):
        return x @ self.kernel + other.mean(axis=1, keepdims=True)


def test_a_layer_with_several_arguments_is_built_for_the_first():
    mixture = Mixture()
    y = mixture(Input((3,)), Input((5,)))
    assert y.shape == (None, 4) and mixture.input_shape == (None, 3)
    assert mixture.kernel.shape == (3, 4)


def test_a_backward_hook_that_returns_nothing_leaves_the_gradient_to_the_next_one():
    relu, seen = layers.ReLU(), []
    relu.register_backward_hook(lambda layer, dy: seen.append(dy.numpy().tolist()))
    relu.register_backward_hook(lambda layer, dy: dy * 2)
    relu.register_backward_hook(lambda layer, dy: seen.append(dy.numpy().tolist()))
    x = Tensor(np.array([[-1, 2]], np.float32), requires_grad=True)
    (relu(x) * 3).sum().backward()
    assert seen == [[[3, 3]], [[6, 6]]] and x.grad.numpy().tolist() == [[0, 6]]


def column_by_column(shape, dtype=None):
    return np.asfortranarray(np.arange(np.prod(shape), dtype=dtype).reshape(shape))


def every_other(shape, dtype=None):
    return np.arange(2 * shape[0], dtype=dtype)[::2]


@pytest.mark.parametrize(
    "settings", [{"kernel_initializer": column_by_column}, {"bias_initializer": every_other}]
)
@pytest.mark.parametrize("position", [0, 1])
def test_weights_may_lie_in_memory_in_any_order(settings, position):
    given = [{}, {}]
    given[position] = settings
    model = Sequential([Input((4,)), *(layers.Dense(4, **each) for each in given)])
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    with no_grad():
        y = model(x)
    for weight in model.weights:
        weight.assign(np.ascontiguousarray(weight.numpy()))
    np.testing.assert_allclose(y.numpy(), model(x).numpy(), rtol=1e-5)


# Settings, and what is refused.


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (layers.RandomBrightness, 1.5),
        (layers.RandomBrightness, -1.5),
        (layers.RandomBrightness, (-0.5, 1.5)),
        (layers.RandomBrightness, (-1.5, 0.5)),
        (layers.RandomContrast, (-0.1, 0.5)),
    ],
)
def test_fractions_beyond_their_bounds_are_refused(make, bad):
    with pytest.raises(ValueError, match=f"{make.__name__}: factor must be from .* to 1, but is"):
        make(bad)


def test_a_negative_fraction_means_the_same_range():
    assert layers.RandomBrightness(-0.25).factor == (-0.25, 0.25)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="RandomFlip: seed must be an integer of at least 0"):
        layers.RandomFlip(seed=-1)


def test_arguments_that_no_call_takes_are_refused():
    with pytest.raises(TypeError, match="colour"):
        layers.RandomFlip()(np.ones((1, 2, 2, 1)), colour=1)


def test_files_say_what_a_layer_was_built_for():
    dense, ready = layers.Dense(2), layers.ReLU()
    assert dense.get_further_config() == {}
    dense.build((None, 3))
    assert dense.get_further_config() == {"build_config": {"input_shape": [None, 3]}}
    ready.built = True  # as a layer may say that needs no shape
    assert ready.get_further_config() == {}


def test_a_layer_that_is_built_anew_checks_its_inputs_anew():
    plain, x = layers.LayerNormalization(center=False, scale=False), np.ones((1, 5))
    plain(x)
    plain.built = False
    plain.build((None, 3))
    with pytest.raises(ValueError, match=r"built for inputs of shape \(None, 3\), but got .*1, 5"):
        plain(x)


def test_parts_that_come_late_in_build_are_parts():
    class Late(layers.Layer):
        def build(self, input_shape):
            super().build(input_shape)
            self.parts = [layers.Dense(2, name="mine")]

        def call(self, x):
            return self.parts[0](x)

    late = Late(name="late", trainable=False)
    late(np.ones((1, 3)))
    assert [weight.path for weight in late.weights] == ["late/mine/kernel", "late/mine/bias"]
    assert not late.trainable_weights


def test_an_unknown_keyword_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="Dense: unknown keyword 'unit'") as raised:
        layers.Dense(3, unit=4)
    known = str(raised.value).partition("Known are: ")[2].rstrip(".").split(", ")
    assert {"units", "kernel_initializer", "name"} <= set(known) and "self" not in known


@pytest.mark.parametrize(
    ("do", "error", "message"),
    [
        (lambda layer: setattr(layer, "trainable", 1), TypeError, "trainable must be True or"),
        (lambda layer: layer.to("tpu"), ValueError, "to: wants one of cpu"),
        (
            lambda layer: layer.add_weight((2,), constraint=3),
            TypeError,
            "constraint must be the name of a constraint",
        ),
        (lambda layer: layer.set_weights([1]), ValueError, "has 0 weights because it is not built"),
        (lambda layer: layer.count_params(), ValueError, "cannot count its weights"),
    ],
)
def test_what_goes_wrong_with_a_layer_is_told_with_its_name(do, error, message):
    with pytest.raises(error, match=rf"layer 'one' \(ReLU\): {message}"):
        do(layers.ReLU(name="one"))


def test_weights_that_are_no_numbers_change_nothing():
    dense = layers.Dense(2, name="one")
    dense.build((None, 3))
    before = dense.get_weights()
    with pytest.raises(
        TypeError, match=r"'one' \(Dense\): set_weights for 'bias' must be an array"
    ):
        dense.set_weights([np.ones((3, 2)), np.array(["a", "b"])])
    with pytest.raises(ValueError, match="has 2 weights, but set_weights got 1 arrays"):
        dense.set_weights([np.ones((3, 2))])
    for array, old in zip(dense.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_a_bad_input_dim_is_called_by_its_name():
    with pytest.raises(ValueError, match="^Dense: input_dim must be an integer of at least 1"):
        layers.Dense(3, input_dim=0)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(2, name="one"), (None,)),
        (layers.Conv2D(2, 3, name="one"), (None, 2, 8, 3)),
        (layers.DepthwiseConv2D(3, name="one"), (None, 2, 8, 3)),
        (layers.SeparableConv2D(2, 3, name="one"), (None, 2, 8, 3)),
        (layers.PReLU(shared_axes=[3], name="one"), (None, 4, 5)),
    ],
)
def test_a_layer_is_not_built_for_inputs_that_it_cannot_take(layer, shape):
    for do in (layer.build, layer.compute_output_shape):
        with pytest.raises(ValueError, match="layer 'one'"):
            do(shape)
    assert not layer.built and not layer.weights


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(2),
        layers.Conv2D(2, 3),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(2, 3),
        layers.PReLU(),
    ],
)
def test_a_built_layer_gives_no_shapes_for_other_inputs(layer):
    layer.build((None, 8, 8, 3))
    for shape in ((None, 8, 8, 4), (None,)):
        with pytest.raises(ValueError, match="layer "):
            layer.compute_output_shape(shape)


@pytest.mark.parametrize("layer", [layers.Conv2D(2, 3), layers.DepthwiseConv2D(3)])
def test_work_is_counted_for_images_only(layer):
    with pytest.raises(ValueError, match="wants images"):
        layer.multiply_adds((None, 8, 8))


@pytest.mark.parametrize("shape", [(None, 4, 9, 1), (None, 9, 4, 1)])
def test_cropping_must_leave_a_pixel(shape):
    with pytest.raises(ValueError, match="leaves nothing of images"):
        layers.Cropping2D(2).compute_output_shape(shape)
    assert layers.Cropping2D(2).compute_output_shape((None, 5, None, 1)) == (None, 1, None, 1)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((None, 8, 5), "Grey images"),
        ((None, 8, None), "Grey images"),
        ((8, 8, 4), "One input only"),
        ((8, 8, 1), "One input only"),
        ((None, 64), "Flat images"),
        ((None, 2, 8, 8, 3), "Flat images"),
    ],
)
def test_what_is_no_batch_of_images_is_guessed(shape, hint):
    with pytest.raises(ValueError, match=f"wants images.*{hint}"):
        layers.ZeroPadding2D().compute_output_shape(shape)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [((2, 3, 8, 8), "channels-first"), ((2, 8, 3, 8), "Give it"), ((2, 8, 8, 4), "Give it")],
)
def test_another_number_of_channels_is_guessed(shape, hint):
    conv = layers.Conv2D(2, 1)
    conv.build((None, 8, 8, 3))
    with pytest.raises(ValueError, match=f"wants 3 numbers on the last axis.*{hint}"):
        conv.check_input(shape)


# Augmentation.


@pytest.mark.parametrize("shape", [(64, 4, 16, 1), (64, 16, 4, 1)])
def test_a_crop_as_high_or_as_wide_as_the_image_still_moves_along_the_other_axis(shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    y = layers.RandomCrop(4, 4, seed=0)(x).numpy()
    assert len(set((y - x[:, :4, :4])[:, 0, 0, 0].tolist())) == 13


@pytest.mark.parametrize(
    ("value_range", "pixels", "warns"),
    [
        ((0, 1), (0, 2), False),
        ((0, 1), (0, 2.01), True),
        ((0, 1), (-1, 0), False),
        ((-1, 1), (-1.5, 1.5), False),
        ((0, 255), (10, 12.54), True),
        ((0, 255), (10, 12.56), False),
        ((0, 255), (0, 0), False),
    ],
)
def test_a_range_may_be_missed_by_its_own_width(value_range, pixels, warns):
    x = np.array(pixels, np.float32).reshape(1, 2, 1, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layers.RandomBrightness(0.1, value_range)(x)
    assert bool(caught) == warns


def test_light_changes_no_images_where_there_are_none():
    assert layers.RandomContrast(0.1)(np.ones((0, 5, 5, 1))).shape == (0, 5, 5, 1)


def test_brightness_is_a_fraction_of_the_width_of_the_range():
    y = layers.RandomBrightness((0.25, 0.25), (-1, 1))(np.zeros((1, 1, 1, 1)))
    np.testing.assert_allclose(y.numpy(), 0.5)


# Calls.


class Told(layers.Layer):
    """Notes with what it is called."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x, mask=None, training=False):
        self.seen.append((x.shape, mask, training))
        self.add_loss(x.sum())
        return x / x.sum()  # of zeros: 0 / 0


def test_true_as_a_second_argument_is_the_second_argument():
    told = Told()
    told(np.ones((2, 3)), True)
    assert told.seen == [((2, 3), True, False)]


def test_what_a_second_argument_means_is_seen_by_its_name():
    class Masked(layers.Layer):
        def call(self, x, mask):
            return x * (2.0 if mask is True else 0.0)

    assert Masked()(np.ones((1, 1)), True).numpy().item() == 2
    assert layers.ReLU()(np.ones((1, 1)), True).numpy().item() == 1  # it means training


def test_an_axis_of_no_numbers_stays_one():
    assert Returning(lambda x: x * 2.0)(Input((3,))[:, 3:]).shape == (None, 0)


def test_training_is_told_where_numbers_come_in_a_list():
    told = Told()
    told([[1.0, 2.0]], training=True)
    assert told.seen == [((1, 2), None, True)]


def test_a_shape_is_found_by_one_quiet_try_that_leaves_nothing():
    told = Told()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told(Input((3,))).shape == (None, 3)
    assert told.seen == [((1, 3), None, False)] and not told.losses


def test_the_batch_is_that_of_the_first_argument():
    assert Mixture()(Input((3,), batch_size=4), Input((5,))).shape == (4, 4)


class Returning(layers.Layer):
    """Returns what a function makes of its input."""

    def __init__(self, function, **keywords):
        super().__init__(**keywords)
        self.function = function

    def call(self, x):
        return self.function(x)


def test_a_single_number_has_no_batch():
    assert Returning(lambda x: x.sum())(Input((3,))).shape == ()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: [x[:, k] for k in range(x.shape[1])],  # as many outputs as the axis is long
        lambda x: x if x.shape[1] % 2 else x.reshape(1, 2, -1),
        lambda x: x[0, 0] if x.shape[1] % 2 else x[0],
        lambda x: x if x.shape[1] % 2 else [x, x],
        lambda x: [x, x] if x.shape[1] % 2 else x,
        lambda x: (x, x) if x.shape[1] % 2 else x,
        lambda x: (x, x) if x.shape[1] % 2 else [x, x],
        lambda x: [x] if x.shape[1] % 2 else {"a": x},
        lambda x: {"a": x} if x.shape[1] % 2 else {"a": x, "b": x},
        lambda x: {"a": x, "b": x} if x.shape[1] % 2 else {"a": x},
    ],
)
def test_outputs_that_depend_on_an_unknown_size_cannot_be_told(function):
    layer = Returning(function, name="one")
    with pytest.raises(ValueError, match="layer 'one' .*: cannot tell the shape of its output for"):
        layer(Input((None,)))


def test_to_find_a_shape_counts_no_tensors():
    reset_names()
    Block()(np.ones((2, 5)))
    assert (Input((3,)) * 2.0).name == "keras_tensor"


@pytest.mark.skipif(bool(WHY_CPU_ONLY), reason=WHY_CPU_ONLY)
def test_a_layer_computes_where_its_weights_are():
    dense = layers.Dense(2)
    dense.build((None, 3))
    dense.to("emulator")
    assert dense.device == "emulator"
    assert dense(np.ones((1, 3))).device == "emulator"
    assert Returning(dense)(Input((3,))).shape == (None, 2)


def test_an_error_for_known_sizes_is_the_error_itself():
    def refuse(x):
        raise ValueError("nothing pleases me")

    with pytest.raises(ValueError, match="^nothing pleases me"):
        Returning(refuse)(Input((3,)))


def test_the_output_of_a_layer_is_that_of_its_first_call():
    dense = layers.Dense(2)
    x, z = Input((3,)), Input((3,))
    y = dense(x)
    dense(z)
    assert dense.input is x and dense.output is y


class Block(layers.Layer):
    """Has two parts, of which one is told of training, and one takes two arguments."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.told, self.mixture = Told(), Mixture()

    def call(self, x):
        self.told(x)
        return self.mixture(x[:, :3], x)


class Careless(Block):
    """Forgets to call the build of its parent."""

    def build(self, input_shape):
        self.extra = Told()

    def call(self, x):
        self.extra(x)
        return super().call(x)


@pytest.mark.parametrize("make", [Block, Careless])
@pytest.mark.parametrize("prepare", [lambda block: None, lambda block: block.ensure_built((2, 5))])
def test_parts_are_told_of_training(make, prepare):
    block = make()
    prepare(block)
    block(np.ones((2, 5)), training=True)
    assert block.told.seen[-1] == ((2, 5), None, True) and block.built
    assert block.input_shape == (None, 5)
    if make is Careless:
        assert block.extra.seen[-1] == ((2, 5), None, True)


def test_parts_are_told_of_training_after_build_by_hand():
    block = Block()
    block.build((None, 5))
    block(np.ones((2, 5)), training=True)
    assert block.told.seen[-1] == ((2, 5), None, True)


def test_calls_of_parts_have_the_shape_of_their_first_argument():
    block = Block()
    calls = [(call.layer, call.input_shape) for call in block.calls_of_parts((None, 5))]
    assert calls == [(block.told, (None, 5)), (block.mixture, (None, 3))]


def test_the_penalties_of_all_calls_of_a_shared_layer_count():
    class Twice(layers.Layer):
        def __init__(self):
            super().__init__()
            self.relu = layers.ReLU(activity_regularizer="l2")

        def call(self, x):
            return self.relu(self.relu(x) * 2.0)

    twice = Twice()
    for _ in range(2):
        twice(np.ones((1, 1)))
        assert sorted(loss.item() for loss in twice.losses) == pytest.approx([0.01, 0.04])


# Weights.


def test_a_weight_is_drawn_like_a_kernel_unless_it_is_told_otherwise():
    weight = layers.ReLU().add_weight((100, 200))
    assert 0.13 < weight.numpy().max() <= np.sqrt(6 / 300)  # Glorot and Bengio's bound


def test_a_weight_may_have_a_dtype_of_its_own():
    layer = layers.ReLU()
    assert layer.add_weight((2,), "ones", dtype="float64").dtype == "float64"
    assert layer.add_weight((2,), "ones").dtype == "float32"
    assert [weight.name for weight in layer.weights] == ["variable", "variable_1"]


def test_what_limits_weights_counts_all_of_them():
    with limits.limited_weights(20):
        layers.Dense(4, use_bias=False).build((None, 3))
        layers.Dense(4).build((None, 1))
        with pytest.raises(ValueError, match="layer 'one' .* no more than 20 bytes for all"):
            layers.Dense(1, use_bias=False, name="one").build((None, 1))
    layers.Dense(4).build((None, 30))


def test_inputs_of_any_size_are_tried_unless_there_is_a_limit(monkeypatch):
    monkeypatch.setattr(limits, "LARGEST_TRIAL", 8)
    Returning(lambda x: x)(Input((9,)))
    with limits.limited_weights(100):
        Returning(lambda x: x)(Input((8,)))
        with pytest.raises(ValueError, match="layer 'one' .* too large to try"):
            Returning(lambda x: x, name="one")(Input((9,)))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_only_products_of_mixed_precision_are_rounded(dtype):
    dense = layers.Dense(1, kernel_initializer="ones", dtype=dtype)
    y = dense(np.array([[1 + 2.0**-10]]))
    assert y.numpy().item() == (1 + 2.0**-10 if dtype == "float32" else 1)


# What a speed-up must leave alone.


def test_dense_on_rows_is_a_single_op():
    class Names(Watcher):
        seen = ()

        def after_forward(self, op, inputs, output):
            self.seen = (*self.seen, type(op).__name__)

    names, dense = Names(), layers.Dense(2)
    dense.build((None, 3))
    with watch(names):
        dense(np.ones((4, 3)))
    assert names.seen == ("Combine",)


def test_two_layers_are_computed_in_one_call_and_a_single_one_is_not():
    model = Sequential([Input((3,)), layers.Dense(2), layers.Dense(2)])
    x = model.as_input(np.ones((1, 3)))
    assert Beginning.of_row(model.layers, x) and not Beginning.of_row(model.layers[:1], x)


@pytest.mark.parametrize("shape", [(1, 6, 5, 1), (1, 5, 6, 1)])
def test_another_height_or_width_is_noticed_in_inference(shape):
    model = Sequential([Input((None, None, 1)), layers.Conv2D(2, 3), layers.Conv2D(2, 3)])
    for size in ((1, 5, 5, 1), shape):
        x = np.ones(size, np.float32)
        with no_grad():
            y = model(x)
        np.testing.assert_array_equal(y.numpy(), model(x).numpy())


def test_probabilities_of_a_single_channel_are_warned_of_in_inference():
    conv = layers.Conv2D(1, 1, activation="softmax")
    model = Sequential([Input((3, 3, 1)), layers.Conv2D(2, 1), conv])
    with no_grad(), pytest.warns(UserWarning, match="every output is 1"):
        model(np.ones((1, 3, 3, 1)))


def test_recompute_can_be_switched_off_again():
    told = Told()
    told.recompute = True
    assert told.recompute
    told(np.ones((1, 2)), training=True)
    assert told.seen[-1] == ((1, 2), None, True)
    told.recompute = False
    assert not told.recompute and told.hooks is None
