"""A small residual network by the functional API."""

import keras
import numpy as np
from keras import layers

rng = np.random.default_rng(2)


def block(x, filters, strides=1):
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        shortcut = layers.BatchNormalization()(shortcut)
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation("relu")(layers.add([x, shortcut]))


inputs = keras.Input(shape=(12, 12, 3))
x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
x = layers.Activation("relu")(layers.BatchNormalization()(x))
for filters, strides in ((4, 1), (8, 2), (12, 2)):
    x = block(x, filters, strides)
x = layers.GlobalAveragePooling2D()(x)
outputs = layers.Dense(3, activation="softmax", kernel_initializer="he_normal")(x)
model = keras.Model(inputs=inputs, outputs=outputs, name="small_resnet")
model.summary()

model.set_weights(
    [np.full(w.shape, 1.0) if w.ndim == 1 else 0.3 * rng.normal(size=w.shape)
     for w in model.get_weights()]
)  # fmt: skip
schedule = keras.optimizers.schedules.CosineDecay(0.05, decay_steps=12)
model.compile(
    optimizer=keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=1e-4),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
images, labels = rng.random((24, 12, 12, 3)).astype("float32"), rng.integers(0, 3, 24)
history = model.fit(
    images, labels, batch_size=8, epochs=3, shuffle=False, validation_split=0.25, verbose=2
)

results = {
    "loss": history.history["loss"],
    "val_loss": history.history["val_loss"],
    "names": [layer.name for layer in model.layers],
    "parameters": [model.count_params(), len(model.trainable_weights)],
    "predicted": model.predict(images, verbose=0),
}
