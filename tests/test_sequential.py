"""Sequential: how layers are chained, found, counted, saved, and what is refused."""

import numpy as np
import pytest

from minicnn import layers
from minicnn.autograd import Tensor
from minicnn.layers.names import reset_names
from minicnn.models import Sequential


def small_cnn():
    return Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dense(5, activation="softmax", name="out"),
        ],
        name="small",
    )


def test_layers_leave_out_the_input():
    assert [layer.name for layer in small_cnn().layers] == ["conv", "pool", "flat", "out"]


def test_shapes_go_through_the_chain():
    model = small_cnn()
    assert model.input_shape == (None, 8, 8, 3)
    assert model.output_shape == (None, 5)
    assert model(np.zeros((2, 8, 8, 3))).shape == (2, 5)


def test_the_output_is_that_of_one_layer_after_the_other():
    model = small_cnn()
    x = Tensor(np.random.default_rng(0).random((2, 8, 8, 3), np.float32))
    y = x
    for layer in model.layers:
        y = layer(y)
    np.testing.assert_array_equal(model(x).numpy(), y.numpy())


def test_calling_a_model_is_inference():
    model = Sequential([layers.Input((100,)), layers.Dropout(0.5)])
    x = np.ones((1, 100), np.float32)
    np.testing.assert_array_equal(model(x).numpy(), x)
    assert (model(x, training=True).numpy() == 0).any()


def test_weights_stand_in_the_order_of_layers():
    model = small_cnn()
    assert [weight.path for weight in model.weights] == [
        "small/conv/kernel",
        "small/conv/bias",
        "small/out/kernel",
        "small/out/bias",
    ]
    shapes = [array.shape for array in model.get_weights()]
    assert shapes == [(3, 3, 3, 4), (4,), (36, 5), (5,)]
    assert model.count_params() == 3 * 3 * 3 * 4 + 4 + 36 * 5 + 5


def test_set_weights_replaces_what_get_weights_gives():
    one, two = small_cnn(), small_cnn()
    two.set_weights(one.get_weights())
    x = np.random.default_rng(0).random((2, 8, 8, 3))
    np.testing.assert_array_equal(one(x).numpy(), two(x).numpy())


def test_set_weights_checks_number_and_shapes_and_changes_nothing_then():
    model = small_cnn()
    before = model.get_weights()
    with pytest.raises(ValueError, match="model 'small' .* has 4 weights, but .* got 3 arrays"):
        model.set_weights(before[:3])
    with pytest.raises(ValueError, match=r"weight 'bias' has shape \(5,\).*\(6,\)"):
        model.set_weights([before[0] + 1, before[1], before[2], np.zeros(6)])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


def test_without_an_input_the_model_is_unbuilt_until_its_first_call():
    model = Sequential([layers.Flatten(), layers.Dense(2)])
    assert not model.built and model.weights == []
    with pytest.raises(AttributeError, match="has no input_shape yet"):
        model.input_shape  # noqa: B018
    with pytest.raises(AttributeError, match="has no input_shape yet"):
        model.output_shape  # noqa: B018
    with pytest.raises(ValueError, match="cannot count its weights, as it is not built"):
        model.count_params()
    model(np.zeros((4, 2, 3)))
    assert model.built and model.input_shape == (None, 2, 3) and model.count_params() == 14


def test_build_makes_the_weights():
    model = Sequential([layers.Dense(2)])
    model.build((None, 3))
    assert model.count_params() == 8
    model.build((7, 3))  # the same shape for another batch
    with pytest.raises(ValueError, match=r"wants inputs of shape \(None, 3\), but got \(None, 4\)"):
        model.build((None, 4))


def test_build_without_a_shape_says_how_to_give_it():
    with pytest.raises(ValueError, match=r"build\(\(None, 32, 32, 3\)\)"):
        Sequential([layers.Dense(2)]).build()
    with pytest.raises(ValueError, match="has no layers. Add some"):
        Sequential().build((None, 3))


def test_a_build_that_failed_can_be_done_again():
    model = Sequential([layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="wants images"):
        model.build((None, 8))
    model.build((None, 8, 8, 3))
    assert model.output_shape == (None, 2)


@pytest.mark.parametrize("shape", [{"input_shape": (3,)}, {"input_dim": 3}])
def test_the_first_layer_may_declare_the_input(shape):
    model = Sequential()
    model.add(layers.Dense(2, **shape))
    assert model.built and model.count_params() == 8


def test_adding_to_a_built_model_builds_at_once():
    model = Sequential([layers.Input((3,))])
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    model.add(layers.Dense(7))
    assert model.output_shape == (None, 7) and model.layers[1].built


def test_a_layer_that_does_not_fit_is_not_added_and_the_shapes_are_told():
    model = Sequential([layers.Input((8, 8, 3)), layers.Conv2D(4, 3, name="conv")])
    model.add(layers.MaxPooling2D(4, name="pool"))
    with pytest.raises(
        ValueError,
        match=r"late.*Shapes so far: input \(None, 8, 8, 3\), conv \(None, 6, 6, 4\), "
        r"pool \(None, 1, 1, 4\)\.",
    ):
        model.add(layers.Conv2D(4, 3, name="late"))
    assert len(model.layers) == 2
    model.add(layers.Flatten())
    assert model.output_shape == (None, 4)


def test_pop_takes_the_last_layer_off():
    model = small_cnn()
    assert model.pop().name == "out"
    assert model.output_shape == (None, 36)
    model.add(layers.Dense(7))
    assert model.output_shape == (None, 7)


def test_popping_all_layers_unbuilds_the_model():
    model = Sequential([layers.Input((3,)), layers.Dense(2)])
    model.pop()
    assert not model.built and model.layers == []
    with pytest.raises(ValueError, match="has no layer to take off"):
        model.pop()


def test_two_layers_of_one_name_are_refused():
    model = Sequential([layers.Dense(2, name="same")])
    with pytest.raises(ValueError, match="two layers cannot have one name, 'same'"):
        model.add(layers.Dense(2, name="same"))
    with pytest.raises(ValueError, match="is in it already. Make a second object"):
        model.add(model.layers[0])


def test_a_slash_in_a_name_is_refused():
    with pytest.raises(ValueError, match="'/'"):
        Sequential(name="a/b")
    with pytest.raises(ValueError, match="'/'"):
        Sequential([layers.Dense(2, name="a/b")])


def test_what_is_no_layer_is_refused_with_a_hint():
    with pytest.raises(TypeError, match=r"Flatten is a class. Add an object of it: Flatten\(...\)"):
        Sequential([layers.Flatten])
    with pytest.raises(TypeError, match="wants layers, but got 'dense'"):
        Sequential().add("dense")
    with pytest.raises(TypeError, match="wants a list of layers"):
        Sequential(layers.Dense(2))
    with pytest.raises(TypeError, match="wants a list of layers"):
        Sequential(3)


def test_an_input_is_only_taken_at_the_front():
    model = Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="an Input can only be the first entry"):
        model.add(layers.Input((3,)))


def test_names_are_counted():
    reset_names()
    models = [Sequential([layers.Dense(1), layers.Dense(1)]) for _ in range(2)]
    assert [model.name for model in models] == ["sequential", "sequential_1"]
    names = [layer.name for model in models for layer in model.layers]
    assert names == ["dense", "dense_1", "dense_2", "dense_3"]


def test_get_layer_finds_by_name_and_by_index():
    model = small_cnn()
    assert model.get_layer("pool") is model.layers[1]
    assert model.get_layer(index=0) is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[3]


def test_get_layer_lists_the_names():
    model = small_cnn()
    with pytest.raises(
        ValueError,
        match=r"No such layer: pol. Did you mean 'pool'\? Existing layers are: \['conv', 'pool'",
    ):
        model.get_layer("pol")
    with pytest.raises(ValueError, match="has 4 layers, so there is no layer 4"):
        model.get_layer(index=4)
    with pytest.raises(ValueError, match="either a name or an index"):
        model.get_layer()


def test_freezing_a_model_freezes_its_layers():
    model = small_cnn()
    model.trainable = False
    assert model.trainable_weights == [] and len(model.non_trainable_weights) == 4
    model.trainable = True
    model.layers[0].trainable = False
    assert [weight.name for weight in model.trainable_weights] == ["kernel", "bias"]
    assert not Sequential([layers.Input((3,)), layers.Dense(2)], trainable=False).trainable_weights


def test_a_model_can_be_a_layer_of_a_model():
    inner = Sequential([layers.Input((3,)), layers.Dense(4, name="a")], name="inner")
    outer = Sequential([inner, layers.Dense(2, name="b")], name="outer")
    assert outer.built and outer.output_shape == (None, 2)
    assert len(outer.weights) == 4 and outer.count_params() == 16 + 10
    assert outer(np.zeros((5, 3))).shape == (5, 2)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((8, 8, 3), r"x\[None\]"),
        ((2, 3, 8, 8), r"np.transpose\(x, \(0, 2, 3, 1\)\)"),
        ((2, 9, 8, 3), "Give it inputs of that shape"),
        ((2, 192), "Give it inputs of that shape"),
    ],
)
def test_inputs_of_another_shape_are_refused_with_a_hint(shape, hint):
    with pytest.raises(ValueError, match=rf"wants inputs of shape \(None, 8, 8, 3\).*{hint}"):
        small_cnn()(np.zeros(shape))


def test_grey_images_without_channels_are_recognized():
    model = Sequential([layers.Input((8, 8, 1)), layers.Flatten()])
    with pytest.raises(ValueError, match=r"x\[..., None\]"):
        model(np.zeros((2, 8, 8)))


def test_a_fully_convolutional_model_takes_images_of_any_size():
    model = Sequential([layers.Input((None, None, 3)), layers.Conv2D(2, 3)])
    assert model(np.zeros((1, 9, 5, 3))).shape == (1, 7, 3, 2)
    assert model.output_shape == (None, None, None, 2)


def test_penalties_of_all_layers_are_collected():
    model = Sequential(
        [
            layers.Input((3,)),
            layers.Dense(2, kernel_regularizer="l2"),
            layers.Dense(2, kernel_regularizer="l2"),
        ]
    )
    kernels = [model.weights[0].numpy(), model.weights[2].numpy()]
    expected = sum(0.01 * (kernel.astype(np.float64) ** 2).sum() for kernel in kernels)
    assert sum(loss.item() for loss in model.losses) == pytest.approx(expected, rel=1e-6)


def test_weights_are_saved_and_loaded(tmp_path):
    one, two = small_cnn(), small_cnn()
    path = tmp_path / "small.weights.h5"
    one.save_weights(path)
    two.load_weights(path)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_is_not_overwritten_against_the_users_will(tmp_path):
    path = tmp_path / "small.weights.h5"
    small_cnn().save_weights(path)
    with pytest.raises(FileExistsError, match="is there already"):
        small_cnn().save_weights(path, overwrite=False)


def test_an_unbuilt_model_has_no_weights_to_save_or_load(tmp_path):
    model = Sequential([layers.Dense(2)])
    with pytest.raises(ValueError, match="has no weights to save, as it is not built"):
        model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="has no weights to fill, as it is not built"):
        model.load_weights(tmp_path / "m.weights.h5")


def test_a_misspelt_keyword_gets_a_hint(tmp_path):
    with pytest.raises(TypeError, match="'skip_mismach'. Did you mean 'skip_mismatch'"):
        small_cnn().load_weights(tmp_path / "m.weights.h5", skip_mismach=True)
