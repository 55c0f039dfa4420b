"""Transfer learning: a new head on a frozen base, then fine-tuning of all."""

import keras
import numpy as np
from keras import layers

rng = np.random.default_rng(0)


def with_weights_of_our_own(model):
    """So that the numbers do not depend on how a library draws its first weights."""
    model.set_weights([rng.uniform(0.1, 0.5, w.shape) - 0.2 for w in model.get_weights()])
    return model


inputs = keras.Input(shape=(16, 16, 3))
x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(inputs)
x = layers.BatchNormalization(momentum=0.9)(x)
x = layers.ReLU(name="early")(x)
x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
x = layers.Conv2D(8, 1, activation="relu", name="late")(x)
base = with_weights_of_our_own(keras.Model(inputs, x, name="base"))
base.get_layer("batch_normalization").set_weights([np.full(6, v) for v in (1.0, 0.1, 0.2, 0.5)])
base.trainable = False

inputs = keras.Input(shape=(16, 16, 3))
x = layers.Rescaling(1.0 / 127.5, offset=-1)(inputs)
x = base(x, training=False)
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dropout(0.0)(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.layers[-1].set_weights([rng.normal(size=(8, 1)), np.zeros(1)])

images = rng.integers(0, 256, (40, 16, 16, 3)).astype("float32")
labels = (images[..., 0].mean(axis=(1, 2)) > images[..., 1].mean(axis=(1, 2))).astype("float32")
frozen = [w.copy() for w in base.get_weights()]

model.compile(
    optimizer=keras.optimizers.Adam(0.02),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
)
first = model.fit(images, labels, batch_size=10, epochs=3, shuffle=False, verbose=0)
assert all(np.array_equal(a, b) for a, b in zip(frozen, base.get_weights(), strict=True))
trained_before = len(model.trainable_weights)

base.trainable = True
for layer in base.layers:
    if isinstance(layer, layers.BatchNormalization):
        layer.trainable = False
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
)
second = model.fit(images, labels, batch_size=10, epochs=2, shuffle=False, verbose=0)
part = keras.Model(base.inputs, base.get_layer("early").output)

results = {
    "head": first.history["loss"],
    "all": second.history["loss"],
    "accuracy": second.history["binary_accuracy"],
    "trained": [trained_before, len(model.trainable_weights)],
    "moved": [
        float(np.abs(a - b).max() > 0) for a, b in zip(frozen, base.get_weights(), strict=True)
    ],
    "logits": model.predict(images, verbose=0),
    "early": part.predict(images[:3] / 255, verbose=0),
}
