"""A training loop by hand: gradients of the loss, and an optimizer that applies them."""

import keras
import numpy as np
from keras import layers
from torch.autograd import grad

rng = np.random.default_rng(11)

model = keras.Sequential(
    [
        keras.Input(shape=(8, 8, 1)),
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(3),
    ]
)
model.set_weights(
    [np.full(w.shape, 0.5) if w.ndim == 1 else 0.2 * rng.normal(size=w.shape)
     for w in model.get_weights()]
)  # fmt: skip
optimizer = keras.optimizers.Adam(learning_rate=0.01)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
accuracy = keras.metrics.SparseCategoricalAccuracy()
mean_loss = keras.metrics.Mean()

images, labels = rng.random((40, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 40)
losses, accuracies = [], []
for _epoch in range(3):
    accuracy.reset_state()
    mean_loss.reset_state()
    for start in range(0, 40, 8):
        x, y = images[start : start + 8], labels[start : start + 8]
        logits = model(x, training=True)
        loss = loss_fn(y, logits)
        gradients = grad(loss, [variable.value for variable in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        accuracy.update_state(y, logits)
        mean_loss.update_state(loss)
    losses.append(float(mean_loss.result()))
    accuracies.append(float(accuracy.result()))

assert losses[-1] < losses[0]
results = {
    "losses": losses,
    "accuracies": accuracies,
    "steps": int(optimizer.iterations),
    "weights": model.get_weights(),
}
