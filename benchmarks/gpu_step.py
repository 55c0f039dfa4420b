"""One training step on a GPU: minicnn against PyTorch, eager and as CUDA graphs.

    python benchmarks/gpu_step.py [--network tutorial] [--batch-size 64] [--precision float32]

All start from the same weights and see the same images, in float32, TF32 and bfloat16. The losses
of three steps must agree. PyTorch's images are on the GPU already, and its graphs hold the forward
and the backward pass; minicnn's step is what users call, train_on_batch, copies included.
"""

from gpu_harness import Case, Comparison, options
from networks import NETWORKS, training_flops

USUAL = [("tutorial", 64), ("tutorial", 1024), ("lenet", 64), ("resnet20", 128)]
LOOSER = 10  # rounding grows from step to step


def case(network, batch_size):
    """A training step of a network."""
    chosen = NETWORKS[network]
    title = f"training step of {chosen.title}, {batch_size} images"
    flops = training_flops(chosen) * batch_size
    return Case(title, "train_step", (network, batch_size), flops, checked=3, looser=LOOSER)


def main(arguments=None):
    """Compare what the command line asks for."""
    parser = options(__doc__)
    parser.add_argument("--network", choices=NETWORKS, help="only this one")
    parser.add_argument("--batch-size", type=int, help="instead of the usual ones")
    settings = parser.parse_args(arguments)
    chosen = [
        (network, settings.batch_size or size)
        for network, size in USUAL
        if settings.network in (None, network)
    ]
    with Comparison("gpu_step", settings) as comparison:
        for network, batch_size in dict.fromkeys(chosen):
            comparison.run(case(network, batch_size))


if __name__ == "__main__":
    main()
