"""One training step: minicnn against PyTorch and Keras, side by side in one run.

    python benchmarks/train_step.py [--network tutorial] [--batch-size 64] [--peers torch,keras]

All start from the same weights and see the same images. The losses of three steps must agree, of
MobileNet that of the first; then the steps are timed. The step is what users call: train_on_batch
in minicnn and Keras, the usual five lines in PyTorch, whose images are tensors already.
"""

from harness import Case, Comparison, options
from networks import NETWORKS, training_flops

USUAL = [("tutorial", 64), ("tutorial", 256), ("lenet", 64), ("resnet20", 128), ("mobilenet", 64)]

# steps: in MobileNet's 27 layers of relu, rounding flips gates, which makes the gradients of all
# sides wrong by 1 %; layers.py compares those of its blocks
CHECKED = {"mobilenet": 1}
TOLERANCE = 1e-3  # of the third loss: rounding grows from step to step; float64 agrees in full


def case(network, batch_size):
    """A training step of a network."""
    chosen = NETWORKS[network]
    return Case(
        f"training step of {chosen.title}, {batch_size} images",
        "train_step",
        (network, batch_size),
        flops=training_flops(chosen) * batch_size,
        tolerance=TOLERANCE,
        checked=CHECKED.get(network, 3),
    )


def main(arguments=None):
    """Compare what the command line asks for."""
    parser = options(__doc__, peers=["torch", "keras"])
    parser.add_argument("--network", choices=NETWORKS, help="only this one")
    parser.add_argument("--batch-size", type=int, help="instead of the usual ones")
    settings = parser.parse_args(arguments)
    chosen = [
        (network, settings.batch_size or size)
        for network, size in USUAL
        if settings.network in (None, network)
    ]
    if settings.quick:
        chosen = [(network, 4) for network, _ in chosen]
    with Comparison("train_step", settings) as comparison:
        for network, batch_size in dict.fromkeys(chosen):
            comparison.run(case(network, batch_size))


if __name__ == "__main__":
    main()
