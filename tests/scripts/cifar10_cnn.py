"""A CNN for CIFAR-10 with augmentation, batch normalization and dropout."""

import keras
from keras import layers

keras.utils.set_random_seed(1)
(x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
y_train = keras.utils.to_categorical(y_train, 10)
y_test = keras.utils.to_categorical(y_test, 10)

augmentation = keras.Sequential(
    [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.05, 0.05),
        layers.RandomRotation(0.02),
        layers.RandomZoom(0.1),
        layers.RandomContrast(0.1),
    ],
    name="augmentation",
)
model = keras.Sequential(
    [
        keras.Input(shape=(32, 32, 3)),
        augmentation,
        layers.Rescaling(1.0 / 255),
        layers.Conv2D(8, (3, 3), padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.8),
        layers.Activation("relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Dropout(0.1),
        layers.Conv2D(16, (3, 3), activation="relu", kernel_regularizer="l2"),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.1),
        layers.Dense(10, activation="softmax"),
    ]
)
model.summary()
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=0.02),
    loss="categorical_crossentropy",
    metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(k=3, name="top3")],
)
history = model.fit(x_train, y_train, batch_size=32, epochs=6, validation_data=(x_test, y_test))
loss, accuracy, top3 = model.evaluate(x_test, y_test, verbose=0)

assert history.history["loss"][-1] < history.history["loss"][0] / 1.5
assert accuracy > 0.5 and top3 >= accuracy
results = {
    "keys": sorted(history.history),
    "epochs": history.epoch,
    "parameters": model.count_params(),
    "shape": model.predict(x_test, verbose=0).shape,
}
