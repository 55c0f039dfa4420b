"""The promise: Keras' tutorial, unchanged but for its imports, learns CIFAR-10 this well."""

import numpy as np
import pytest

from minicnn import datasets, layers, models, utils

pytestmark = pytest.mark.slow


@pytest.mark.skipif(datasets.cifar10.find() is None, reason="CIFAR-10 is not on this machine")
def test_the_tutorial_cnn_reaches_68_percent_on_cifar10():
    utils.set_random_seed(0)
    (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()
    x_train, x_test = (x_train / 255).astype("float32"), (x_test / 255).astype("float32")
    y_train, y_test = utils.to_categorical(y_train, 10), utils.to_categorical(y_test, 10)

    model = models.Sequential()
    model.add(layers.Conv2D(32, (3, 3), activation="relu", input_shape=(32, 32, 3)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(128, (3, 3), activation="relu"))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    filters = model.layers[0].get_weights()[0]

    history = model.fit(
        x_train, y_train, epochs=10, batch_size=64, validation_data=(x_test, y_test)
    )
    loss, accuracy = model.evaluate(x_test, y_test)

    assert accuracy >= 0.68
    assert history.history["val_accuracy"][-1] == pytest.approx(accuracy, abs=1e-4)
    assert history.history["loss"][0] > history.history["loss"][-1]
    moved = np.abs(model.layers[0].get_weights()[0] - filters)
    assert moved.max() > 0.1  # it was not the last layer alone that learned
