"""The layers that networks are made of, one idea per file; what a user meets.

A layer is Keras outside and plain inside: `__init__` checks and stores the settings, `build` makes
the weights once the shape of the input is known, and `call` is a line or two of ops.
"""

from minicnn.layers.activation import ELU, LeakyReLU, ReLU, Softmax
from minicnn.layers.augmentation import RandomCrop, RandomFlip, RandomTranslation
from minicnn.layers.convolution import Conv2D
from minicnn.layers.core import Activation, Dense, Input, InputLayer
from minicnn.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from minicnn.layers.layer import Layer
from minicnn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from minicnn.layers.normalization import BatchNormalization
from minicnn.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from minicnn.layers.regularization import Dropout
from minicnn.layers.reshaping import Flatten, Reshape, ZeroPadding2D

# Keras has two names for some layers.
AvgPool2D = AveragePooling2D
Convolution2D = Conv2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D
SeparableConvolution2D = SeparableConv2D

__all__ = [
    "Activation",
    "Add",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "ELU",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "RandomCrop",
    "RandomFlip",
    "RandomTranslation",
    "ReLU",
    "Reshape",
    "SeparableConv2D",
    "SeparableConvolution2D",
    "Softmax",
    "Subtract",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
