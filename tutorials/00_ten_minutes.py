# ruff: noqa: D100, B018 - a lesson has no docstring, and a line that only names a thing shows it
# %% [markdown]
# # Lesson 0: ten minutes
#
# **Goal:** train a small convolutional network, look at what it does, save it, and load it again.
#
# Run this file as it is (`python tutorials/00_ten_minutes.py`), or open it as a notebook: VS Code
# and Jupyter with Jupytext know the `# %%` marks. If something does not work, ask `minicnn doctor`.
#
# ## Predict first
#
# Write down your answers before you run anything. The lesson will give you its own.
#
# 1. There are ten classes, all equally frequent. How often is blind guessing right?
# 2. The loss is the mean of -ln(p), where p is the probability that the network gives to the right
#    class. How large is it before training?
# 3. How many of 1,000 unseen images are right after *one* look at each of 5,000 training images?
# 4. Which shapes will be mistaken for each other?

# %%
import math
import os
from pathlib import Path

import numpy as np

from minicnn import datasets, layers, models, utils, visualize

FAST = os.environ.get("MINICNN_FAST") == "1"  # the tests of minicnn set this: fewer images
IMAGES, EPOCHS = (500, 1) if FAST else (5_000, 6)
FOLDER = Path("lesson-0")  # for the pictures and the weights
FOLDER.mkdir(exist_ok=True)

# %% [markdown]
# ## The data
#
# `shapes10` is painted by the program: ten classes of shapes and textures, 32 x 32 pixels in three
# colors. Color, place, size and angle are random and say nothing about the class. A pixel is a byte
# from 0 to 255; networks learn best from numbers around 1, so we divide.

# %%
(x_train, y_train), (x_test, y_test) = datasets.shapes10.load_data(n_train=IMAGES, n_test=1_000)
class_names = datasets.shapes10.CLASS_NAMES
x_train, x_test = x_train / np.float32(255), x_test / np.float32(255)
print("training images:", x_train.shape, "labels:", y_train.shape)
print("classes:", ", ".join(class_names))

# %% [markdown]
# ## The network
#
# A convolution moves small filters over the image, 3 x 3 pixels each, and notes how well they fit
# where. Pooling keeps the best fit in each 2 x 2 square. After three rounds of that, two dense
# layers decide. The last one gives ten probabilities.


# %%
def new_network():
    """Build the network of this lesson, with fresh random weights."""
    utils.set_random_seed(0)  # so that every run gives the same numbers
    network = models.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(128, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


model = new_network()
model.summary()

# %% [markdown]
# ## Before training
#
# The weights are random, so the network guesses. **Questions 1 and 2:** about 1 in 10 is right, and
# each class gets a probability of about 1/10, so the loss is about -ln(1/10) = 2.303.

# %%
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
print(f"untrained: loss {loss:.3f}, accuracy {accuracy:.3f}; -ln(1/10) = {-math.log(1 / 10):.3f}")

guesses = model.predict(x_test[:16], verbose=0)
visualize.predictions(x_test[:16], y_test[:16], guesses, class_names, FOLDER / "before.png")

# %% tags=["check"]
assert model.count_params() == 160_202
assert round(-math.log(1 / 10), 3) == 2.303
assert abs(loss - 2.303) < 0.1 and accuracy < 0.2

# %% [markdown]
# ## Training
#
# One step takes 64 images, asks how the loss would change with each of the 160,202 weights, and
# moves all of them a little in the direction that makes it smaller. One epoch goes through all
# images. The test images are only measured, never learned from.

# %%
history = model.fit(
    x_train, y_train, batch_size=64, epochs=EPOCHS, validation_data=(x_test, y_test)
)

# %%
visualize.learning_curves(history, FOLDER / "curves.png")

# %% [markdown]
# **Question 3:** more than half of the unseen images are right after one epoch, and more than 90 %
# after six. The loss has fallen below 0.4, where it began at 2.3. Where the two curves part, the
# network begins to learn its training images by heart.

# %% tags=["check"]
val_accuracy = history.history["val_accuracy"]
if not FAST:
    assert val_accuracy[0] > 0.5
    assert val_accuracy[-1] > 0.9
    assert history.history["val_loss"][-1] < 0.4

# %% [markdown]
# ## What does it see?
#
# Look at the bars, not only at the answers: is it sure when it is wrong? **Question 4:** the table
# counts the confusions. You will find shapes that really do look alike at this size.

# %%
probabilities = model.predict(x_test, verbose=0)
answers, truth = probabilities.argmax(axis=1), y_test[:, 0]
wrong = np.flatnonzero(answers != truth)
pairs, counts = np.unique(np.stack([truth[wrong], answers[wrong]]), axis=1, return_counts=True)
print(f"{len(wrong)} of {len(truth)} are wrong; most often:")
for k in np.argsort(-counts)[:5]:
    this, that = pairs[:, k]
    print(f"  {counts[k]} x  {class_names[this]} taken for {class_names[that]}")

visualize.predictions(
    x_test[:16], y_test[:16], probabilities[:16], class_names, FOLDER / "after.png"
)

# %% [markdown]
# ## Save and load
#
# The file holds the weights, not the network: build it as before, then fill it. It is Keras' own
# file format. The second network gives the same numbers, bit by bit.

# %%
model.save_weights(FOLDER / "lesson.weights.h5")
copy = new_network()
copy.load_weights(FOLDER / "lesson.weights.h5")
print("same predictions:", np.array_equal(copy.predict(x_test, verbose=0), probabilities))

# %% tags=["check"]
assert np.array_equal(copy.predict(x_test, verbose=0), probabilities)

# %% [markdown]
# ## Exercise: change one thing, and beat the baseline
#
# Edit `my_network`, one thing at a time: more filters, another activation, a Dropout layer, another
# optimizer. Guess what will happen before you run it. The judge is 1,000 new images that neither
# network has seen.


# %%
def my_network():
    """Build your network."""
    network = new_network()
    # your change goes here; network.pop() takes the last layer off, network.add(...) appends one,
    # and network.compile(...) must follow
    return network


mine = my_network()
mine.fit(x_train, y_train, batch_size=64, epochs=EPOCHS, verbose=0)

_, (x_new, y_new) = datasets.shapes10.load_data(n_train=0, n_test=1_000, seed=1)
x_new = x_new / np.float32(255)
baseline = model.evaluate(x_new, y_new, verbose=0)[1]
reached = mine.evaluate(x_new, y_new, verbose=0)[1]
verdict = "Passed: you beat the baseline." if reached > baseline else "Not better yet: go on."
print(f"baseline {baseline:.3f}, yours {reached:.3f}. {verdict}")

# %% tags=["check"]
if reached == baseline:  # nothing was changed: the same seed gives the same network
    assert np.array_equal(mine.predict(x_test, verbose=0), probabilities)

# %% [markdown]
# ## Break it
#
# A network works on batches, even when there is only one image. Forget that, and minicnn says what
# came, what it wanted, and what to type.

# %%
try:
    model.predict(x_test[0])
except ValueError as error:
    message = str(error)
    print(message)

one = model.predict(x_test[0][None], verbose=0)  # x[None] adds the axis
print("with x[None]:", one.shape)

# %% tags=["check"]
assert "wants inputs of shape (None, 32, 32, 3), but got (32, 32, 3)" in message
assert "Add the batch axis: x[None]" in message
assert one.shape == (1, 10)

# %% [markdown]
# ## Summary
#
# 1. A network is a chain of layers; `compile` says how it is measured, `fit` trains it.
# 2. Before training, the loss of a 10-class network is about ln 10 = 2.303. If yours is not, look
#    for a mistake first.
# 3. Accuracy counts only on images that were not trained with.
# 4. Weights are saved in a file, the network itself in your program.
# 5. The same seed gives the same numbers, so you can change one thing and see what it does.
#
# ## What to read next
#
# - `minicnn/models/loop.py`: the training step that you have just run 474 times.
# - `minicnn/ops/conv2d.py`: the convolution and its gradients, formulas above the code.
# - `kernels/conv2d.py`: the same sums as plain NumPy, then fast.

# %% tags=["check"]
if not FAST:
    assert model.optimizer.iterations == 474
