"""A model that looks at an image and a row of numbers, and answers two questions."""

import keras
import numpy as np
from keras import layers

rng = np.random.default_rng(5)

image = keras.Input(shape=(10, 10, 1), name="image")
facts = keras.Input(shape=(4,), name="facts")
x = layers.Conv2D(3, 3, activation="relu")(image)
x = layers.MaxPooling2D()(x)
x = layers.Flatten()(x)
y = layers.Dense(5, activation="tanh")(facts)
both = layers.concatenate([x, y])
kind = layers.Dense(3, activation="softmax", name="kind")(both)
price = layers.Dense(1, name="price")(both)
model = keras.Model(inputs=[image, facts], outputs=[kind, price])
model.set_weights([0.3 * rng.normal(size=w.shape) for w in model.get_weights()])

model.compile(
    optimizer=keras.optimizers.RMSprop(0.01),
    loss={"kind": "sparse_categorical_crossentropy", "price": "mse"},
    loss_weights={"kind": 1.0, "price": 0.5},
    metrics={"kind": ["accuracy"], "price": ["mae"]},
)
x = {"image": rng.random((30, 10, 10, 1)), "facts": rng.random((30, 4))}
y = {"kind": rng.integers(0, 3, 30), "price": rng.random((30, 1))}
history = model.fit(x, y, batch_size=10, epochs=3, shuffle=False, verbose=0)
scores = model.evaluate(x, y, verbose=0, return_dict=True)
kinds, prices = model.predict([x["image"], x["facts"]], verbose=0)

results = {
    **{f"fit {key}": values for key, values in history.history.items()},
    **scores,
    "kinds": kinds,
    "prices": prices,
}
