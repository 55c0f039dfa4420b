"""A layer of one's own, with weights, a loss and a configuration; saved and loaded."""

import keras
import numpy as np
from keras import layers, ops

rng = np.random.default_rng(7)


@keras.utils.register_keras_serializable(package="scripts")
class Gate(layers.Layer):
    """y = x * sigmoid(x W + b), and a penalty for gates that are open."""

    def __init__(self, penalty=0.01, **kwargs):
        super().__init__(**kwargs)
        self.penalty = penalty

    def build(self, input_shape):
        size = input_shape[-1]
        self.w = self.add_weight(shape=(size, size), initializer="glorot_uniform", name="w")
        self.b = self.add_weight(shape=(size,), initializer="zeros", name="b")
        super().build(input_shape)

    def call(self, inputs):
        gate = ops.sigmoid(ops.matmul(inputs, self.w) + self.b)
        self.add_loss(self.penalty * ops.mean(gate))
        return inputs * gate

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "penalty": self.penalty}


inputs = keras.Input(shape=(6,))
x = layers.Dense(8, activation="relu")(inputs)
x = Gate(penalty=0.1)(x)
outputs = layers.Dense(1)(x)
model = keras.Model(inputs, outputs)
model.set_weights([0.5 * rng.normal(size=w.shape) for w in model.get_weights()])
model.compile(optimizer="adam", loss="mse")

x, y = rng.random((32, 6)), rng.random((32, 1))
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
model.save("gates.keras")
loaded = keras.models.load_model("gates.keras")
again = loaded.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)

results = {
    "loss": history.history["loss"],
    "loaded": again.history["loss"],
    "predicted": loaded.predict(x, verbose=0),
    "config": loaded.layers[2].get_config()["penalty"],
    "weights": [weight.name for weight in loaded.layers[2].weights],
}
