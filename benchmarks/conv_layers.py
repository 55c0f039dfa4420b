"""The three maps of convolutions, layer by layer: minicnn's kernels against PyTorch's.

    python benchmarks/conv_layers.py [--only tutorial] [--batch-size 64]

A layer computes y going forward, and dx and dw going backward; conv_shapes.py has the layers of
well-known networks. Both sides get random arrays, PyTorch in both of its layouts, and the faster
one counts. Nothing else is timed: no bias, no activation, no gradient tape. Of a first layer dx is
left out, because nobody trains images.

A map cannot be faster than its multiply-adds, nor than its arrays can be read and written. Where
the second takes longer, the share of that limit is printed, too. Small arrays stay in the
last-level cache from run to run, which hands them out faster than memory (machine.py measures
both). So what is below 40 % of the peak should be near the other limit, or it could be faster.
"""

import conv_shapes
from harness import Case, Comparison, options

MAPS = ("y", "dx", "dw")


def case(network, shape, kind):
    """One map of one layer."""
    return Case(
        f"{network} {shape}: {kind}",
        "conv_map",
        (kind, shape),
        flops=shape.flops,
        bytes=shape.bytes,
    )


def main(arguments=None):
    """Compare what the command line asks for."""
    parser = options(__doc__, peers=["torch"])
    parser.set_defaults(seconds=0.4, rounds=4)
    parser.add_argument("--only", choices=conv_shapes.NETWORKS, help="layers of this network only")
    parser.add_argument("--batch-size", type=int, help="images, instead of the usual number")
    settings = parser.parse_args(arguments)
    batch = [settings.batch_size] if settings.batch_size else [1] if settings.quick else []
    with Comparison("conv_layers", settings, brief=True) as comparison:
        for network in [settings.only] if settings.only else conv_shapes.NETWORKS:
            for shape in conv_shapes.NETWORKS[network](*batch):
                for kind in MAPS if shape.C > 3 else ("y", "dw"):
                    comparison.run(case(network, shape, kind))


if __name__ == "__main__":
    main()
