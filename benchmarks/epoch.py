"""An epoch of training by fit: minicnn against its own bare steps, PyTorch's plain loop, and Keras.

    python benchmarks/epoch.py [--images 10000] [--batch-size 64]

The images are of CIFAR-10's shape; brighter ones belong to higher classes, so there is something to
learn. Everybody shuffles, each in an order of its own: so losses agree only roughly, and it is
train_step.py that checks the steps. PyTorch's loop takes rows of a tensor, without a DataLoader.
"minicnn, steps" calls train_on_batch with batches that were cut before: what fit takes longer is
the price of shuffling, cutting, metrics and callbacks.
"""

from contestants import Contestant
from harness import Case, Comparison, options
from networks import NETWORKS, training_flops

NETWORK = "tutorial"
STEPS = Contestant("minicnn, steps", "with_minicnn", {"method": "steps"})
TOLERANCE = 0.1  # of the mean loss of an epoch


def main(arguments=None):
    """Compare."""
    parser = options(__doc__, peers=["torch", "keras"])
    parser.set_defaults(rounds=3, seconds=0)  # an epoch is a turn
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=64)
    settings = parser.parse_args(arguments)
    count = 4 * settings.batch_size if settings.quick else settings.images
    case = Case(
        f"epoch of {NETWORKS[NETWORK].title}, {count} images, batches of {settings.batch_size}",
        "epoch",
        (NETWORK, count, settings.batch_size),
        flops=training_flops(NETWORKS[NETWORK]) * count,
        tolerance=TOLERANCE,
    )
    with Comparison("epoch", settings, others=[STEPS]) as comparison:
        times = comparison.run(case).values
        share = times["minicnn"] / times[STEPS.title] - 1
        print(f"  fit takes {share:.1%} longer than its bare steps")


if __name__ == "__main__":
    main()
