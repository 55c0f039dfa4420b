"""The probabilities for a batch of images: minicnn against ONNX Runtime, PyTorch and Keras.

    python benchmarks/inference.py [--network tutorial] [--batch-size 1] [--peers onnxruntime]

All have the same weights and see the same images, as NumPy arrays or as tensors of their own, in
the layout they like best; their probabilities must agree. minicnn is called in the quickest way,
`model(x)`, and for comparison through `model.predict`, which checks what it is given.
"""

from contestants import Contestant
from harness import Case, Comparison, options
from networks import NETWORKS, flops

BATCH_SIZES = (1, 64, 256)
PREDICT = Contestant("minicnn, predict", "with_minicnn", {"method": "predict"})


def case(network, batch_size):
    """The outputs of a network."""
    chosen = NETWORKS[network]
    return Case(
        f"inference by {chosen.title}, {batch_size} image{'s' * (batch_size > 1)}",
        "inference",
        (network, batch_size),
        flops=flops(chosen) * batch_size,
    )


def main(arguments=None):
    """Compare what the command line asks for."""
    parser = options(__doc__, peers=["onnxruntime", "torch", "keras"])
    parser.add_argument("--network", choices=NETWORKS, help="only this one")
    parser.add_argument("--batch-size", type=int, help="only this one")
    settings = parser.parse_args(arguments)
    sizes = [settings.batch_size] if settings.batch_size else BATCH_SIZES
    with Comparison("inference", settings, others=[PREDICT]) as comparison:
        for network in [settings.network] if settings.network else NETWORKS:
            for batch_size in (1,) if settings.quick else sizes:
                comparison.run(case(network, batch_size))


if __name__ == "__main__":
    main()
