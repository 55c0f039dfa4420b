"""How ONNX Runtime does what is compared; it can only predict.

The graph is written node by node, as an exporter would do it. Images are (N, C, H, W), because ONNX
knows no other convolution; they are handed over in that layout, so no time goes into turning them.
"""

import os

import networks
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
NODES = {"relu": "Relu", "tanh": "Tanh", "softmax": "Softmax"}


class Graph:
    """Collects nodes and weights; `last` is the name of what the last node gives."""

    def __init__(self, network):
        self.nodes, self.constants, self.last = [], [], "images"
        self.arrays = [found for found in networks.weights(network) if found]
        self.flattened = None  # shape of the images that the next product sees as one axis
        self.add_chain(network.layers, network.image_shape)

    def node(self, kind, inputs, **attributes):
        """Append a node; return the name of what it gives."""
        self.last = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [self.last], **attributes))
        return self.last

    def constant(self, array):
        """Keep an array; return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add_chain(self, chain, shape):
        """Append all layers of a chain that sees images of this shape."""
        for layer in chain:
            after = networks.steps([layer], shape)[-1].after
            self.add(layer, shape, after)
            if getattr(layer, "activation", None):
                self.node(NODES[layer.activation], [self.last])
            shape = after

    def add(self, layer, before, after):
        """Append one layer."""
        match layer:
            case networks.Conv():
                kernel, *bias = self.arrays.pop(0)
                self._convolve(layer, before, after, kernel.transpose(3, 2, 0, 1), *bias)
            case networks.Depthwise():
                (kernel,) = self.arrays.pop(0)
                turned = kernel.transpose(2, 3, 0, 1)
                self._convolve(layer, before, after, turned, groups=before[2])
            case networks.Norm(_, epsilon):
                weights = map(self.constant, self.arrays.pop(0))
                self.node("BatchNormalization", [self.last, *weights], epsilon=epsilon)
            case networks.Activate(name):
                self.node(NODES[name], [self.last])
            case networks.Pool(kind, size):
                name = {"max": "MaxPool", "average": "AveragePool"}[kind]
                self.node(name, [self.last], kernel_shape=[size, size], strides=[size, size])
            case networks.GlobalAverage():
                self.node("Flatten", [self.node("GlobalAveragePool", [self.last])])
            case networks.Flatten():
                self.flattened = before
                self.node("Flatten", [self.last])
            case networks.Dense():
                self._multiply(layer)
            case networks.Residual():
                self._residual(layer, before)
            case _:
                raise NotImplementedError(layer)

    def _convolve(self, layer, before, after, *weights, groups=1):
        P, s = layer.size, layer.stride
        zeros = [max(0, (n - 1) * s + P - m) for n, m in zip(after[:2], before[:2], strict=True)]
        pads = [n // 2 for n in zeros] + [n - n // 2 for n in zeros]
        names = map(self.constant, weights)
        self.node("Conv", [self.last, *names], strides=[s, s], pads=pads, group=groups)

    def _multiply(self, layer):
        matrix, bias = self.arrays.pop(0)
        if self.flattened:  # in the order of C, H, W
            images = matrix.reshape(*self.flattened, layer.units)
            matrix = images.transpose(2, 0, 1, 3).reshape(-1, layer.units)
            self.flattened = None
        self.node("Gemm", [self.last, self.constant(matrix), self.constant(bias)])

    def _residual(self, layer, before):
        x = self.last
        self.add_chain(layer.body, before)
        body, self.last = self.last, x
        self.add_chain(layer.shortcut, before)
        self.node("Relu", [self.node("Add", [body, self.last])])

    def model(self, image_shape):
        """The graph as a model."""
        H, W, C = image_shape
        images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", C, H, W])
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ["N", None])
        graph = helper.make_graph(self.nodes, "network", [images], [output], self.constants)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def inference(network, batch_size):
    """The probabilities for one batch of images."""
    network = networks.NETWORKS[network]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    model = Graph(network).model(network.image_shape).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x, _ = networks.images(network, batch_size)
    x = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    return lambda: session.run(None, {"images": x})[0]
