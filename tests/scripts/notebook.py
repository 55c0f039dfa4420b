"""What a notebook does: fit with callbacks, evaluate, predict, save, load, go on."""

import keras
import numpy as np
from keras import layers

rng = np.random.default_rng(13)


def make_model():
    model = keras.Sequential(name="notebook")
    model.add(keras.Input(shape=(12, 12, 1)))
    model.add(layers.Conv2D(4, kernel_size=(3, 3), activation="relu"))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dense(4, activation="softmax", name="answer"))
    return model


x = rng.random((60, 12, 12, 1)).astype("float32")
y = (x[:, :6].mean(axis=(1, 2, 3)) > 0.5) * 2 + (x[:, :, :6].mean(axis=(1, 2, 3)) > 0.5)
x_train, y_train, x_test, y_test = x[:48], y[:48], x[48:], y[48:]

model = make_model()
model.set_weights([0.2 * rng.normal(size=w.shape) for w in model.get_weights()])
model.compile(
    optimizer=keras.optimizers.Adam(0.005),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=["accuracy"],
)
history = model.fit(
    x_train,
    y_train,
    epochs=6,
    batch_size=12,
    shuffle=False,
    validation_split=0.25,
    class_weight={0: 1.0, 1: 2.0, 2: 1.0, 3: 0.5},
    callbacks=[
        keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
        keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=0.05),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True),
        keras.callbacks.CSVLogger("log.csv"),
    ],
    verbose=2,
)
test_loss, test_accuracy = model.evaluate(x_test, y_test, verbose=0)
probabilities = model.predict(x_test, verbose=0)
predicted = np.argmax(probabilities, axis=1)

model.save("whole.keras")
model.save_weights("only.weights.h5")
loaded = keras.models.load_model("whole.keras")
assert np.allclose(loaded.predict(x_test, verbose=0), probabilities, atol=1e-6)
same = make_model()
same.load_weights("only.weights.h5")
assert np.allclose(same.predict(x_test, verbose=0), probabilities, atol=1e-6)
from_config = keras.Sequential.from_config(model.get_config())
features = keras.Model(model.inputs, model.layers[-2].output)
more = loaded.fit(x_train, y_train, epochs=2, batch_size=12, shuffle=False, verbose=0)

with open("log.csv") as log:
    columns = log.readline().strip().split(",")
results = {
    **history.history,
    "epochs": history.epoch,
    "test": [test_loss, test_accuracy],
    "probabilities": probabilities,
    "predicted": predicted,
    "more": more.history["loss"],
    "best": keras.models.load_model("best.keras").predict(x_test, verbose=0),
    "names": [layer.name for layer in from_config.layers],
    "features": features.predict(x_test, verbose=0),
    "columns": columns,
}
