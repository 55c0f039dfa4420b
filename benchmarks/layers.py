"""Layers as training meets them, forward and backward, by each library's own gradient tape.

    python benchmarks/layers.py [--only mobilenet] [--batch-size 8]

The layers are those of two networks for 224 x 224 pixels, each shape once (conv_shapes.py):

* VGG16: a 3 x 3 convolution, bias, relu;
* MobileNet: a depthwise 3 x 3 convolution, batch normalization, relu; then a 1 x 1 convolution,
  batch normalization, relu.

A pass computes y, and from a given dy the gradients of all weights and of x. Nobody trains images,
so the first layer of VGG16 needs none of x. Both libraries are called as their users call them, and
PyTorch's relu may overwrite its argument, as in torchvision's networks.

y and all gradients must agree. But where one of some million sums is about 0, rounding decides
whether relu lets it pass, so the tolerance is wider than that for rounding alone.

conv_layers.py times the convolutions without all that is around them.
"""

import math

import conv_shapes
from conv_shapes import FLOAT
from harness import Case, Comparison, options
from report import CACHE

BATCH_SIZE = 8
NORM_PASSES = 8  # forward: x for mean and variance, x, y; backward: x, dy for the sums, x, dy, dx
TOLERANCE = 1e-2


def vgg16(N):
    """A case for each layer."""
    return [_case(f"vgg16 {shape}", "conv_layer", [shape]) for shape in conv_shapes.vgg16(N)]


def mobilenet(N):
    """A case for each block."""
    blocks = conv_shapes.mobilenet_blocks(N)
    return [
        _case(f"mobilenet {depthwise} -> {pointwise.F}", "separable_block", [depthwise, pointwise])
        for depthwise, pointwise in blocks
    ]


def _case(title, function, shapes):
    """One pass through a layer, or through a block of two convolutions."""
    is_large = sum(shape.bytes for shape in shapes) > CACHE
    return Case(
        title,
        function,
        tuple(shapes),
        flops=sum(_maps(shape) * shape.flops for shape in shapes),
        bytes=sum(_bytes(shape, has_norm=len(shapes) > 1) for shape in shapes) if is_large else 0,
        tolerance=TOLERANCE,
    )


def _bytes(shape, has_norm):
    """What a pass reads and writes; relu is not counted, for it can be done on the way."""
    norm = NORM_PASSES * FLOAT * math.prod(shape.y) if has_norm else 0
    return _maps(shape) * shape.bytes + norm


def _maps(shape):
    """How many maps of a convolution a pass takes: y, dw, and dx if x is not images."""
    return 3 if shape.C > 3 else 2


NETWORKS = {"vgg16": vgg16, "mobilenet": mobilenet}


def main(arguments=None):
    """Compare what the command line asks for."""
    parser = options(__doc__, peers=["torch"])
    parser.set_defaults(seconds=1, rounds=3)
    parser.add_argument("--only", choices=NETWORKS, help="layers of this network only")
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE, help="%(default)s")
    settings = parser.parse_args(arguments)
    batch_size = 1 if settings.quick else settings.batch_size
    with Comparison("layers", settings) as comparison:
        print(f"batches of {batch_size}, y and all gradients")
        for network in [settings.only] if settings.only else NETWORKS:
            for case in NETWORKS[network](batch_size):
                comparison.run(case)


if __name__ == "__main__":
    main()
