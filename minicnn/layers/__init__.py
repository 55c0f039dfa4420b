"""The layers that networks are made of, one idea per file; what a user meets.

A layer is Keras outside and plain inside: `__init__` checks and stores the settings, `build` makes
the weights once the shape of the input is known, and `call` is a line or two of ops.
"""

from minicnn.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from minicnn.layers.augmentation import RandomCrop, RandomFlip
from minicnn.layers.borders import Cropping2D, ZeroPadding2D
from minicnn.layers.convolution import Conv2D
from minicnn.layers.core import Activation, Dense, Input, InputLayer
from minicnn.layers.depthwise import DepthwiseConv2D, SeparableConv2D
from minicnn.layers.layer import Layer
from minicnn.layers.light import RandomBrightness, RandomContrast
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
from minicnn.layers.noise import AlphaDropout, GaussianDropout, GaussianNoise, SpatialDropout2D
from minicnn.layers.normalization import BatchNormalization
from minicnn.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from minicnn.layers.regularization import Dropout
from minicnn.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from minicnn.layers.resizing import CenterCrop, Resizing, UpSampling2D
from minicnn.layers.row_normalization import GroupNormalization, LayerNormalization
from minicnn.layers.scaling import Normalization, Rescaling
from minicnn.layers.transposed import Conv2DTranspose
from minicnn.layers.warping import RandomRotation, RandomTranslation, RandomZoom

# Keras has two names for some layers.
AvgPool2D = AveragePooling2D
Convolution2D = Conv2D
Convolution2DTranspose = Conv2DTranspose
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D
SeparableConvolution2D = SeparableConv2D

__all__ = [
    "Activation",
    "Add",
    "AlphaDropout",
    "Average",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "CenterCrop",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Cropping2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "ELU",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "GroupNormalization",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "SeparableConv2D",
    "SeparableConvolution2D",
    "Softmax",
    "SpatialDropout2D",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
