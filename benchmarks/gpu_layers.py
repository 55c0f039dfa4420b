"""The three maps of convolutions on a GPU, layer by layer: minicnn's kernels against cuDNN's.

    python benchmarks/gpu_layers.py [--only tutorial] [--batch-size 64] [--precision bfloat16]

In float32, TF32 and bfloat16. With bfloat16, PyTorch's arrays are bfloat16 themselves, minicnn's
are float32 and rounded on the way to the tensor cores, so that it reads and writes twice as much.
"""

import conv_shapes
from gpu_harness import Case, Comparison, options


def case(network, shape, kind):
    """One map of one layer."""
    title = f"{network} {shape}: {kind}"
    return Case(title, "conv_map", (kind, shape), shape.flops, shape.bytes)


def main(arguments=None):
    """Compare what the command line asks for."""
    parser = options(__doc__)
    parser.add_argument("--only", choices=conv_shapes.NETWORKS, help="layers of this network only")
    parser.add_argument("--batch-size", type=int, help="images, instead of the usual number")
    settings = parser.parse_args(arguments)
    batch = [settings.batch_size] if settings.batch_size else []
    with Comparison("gpu_layers", settings) as comparison:
        for network in [settings.only] if settings.only else conv_shapes.NETWORKS:
            for shape in conv_shapes.NETWORKS[network](*batch):
                for kind in ("y", "dx", "dw") if shape.C > 3 else ("y", "dw"):
                    comparison.run(case(network, shape, kind))


if __name__ == "__main__":
    main()
