"""Installs minicnn, and the folder kernels/ as the package minicnn.kernels."""

from pathlib import Path

from setuptools import setup

CUPY = ">=14.0,<15"  # exactly one of cuda12 and cuda13: both install a package named cupy
ONNX = "onnx>=1.17"
PILLOW = "pillow>=10"
TEST = ["pytest>=8", "pytest-xdist>=3.6", PILLOW]

setup(
    name="minicnn",
    version="0.1.0",
    description="A deep learning framework to read to the bottom, and a fast one",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    install_requires=["numpy>=2.0", "numba>=0.60", "matplotlib>=3.8", "h5py>=3.11"],
    extras_require={
        "cuda12": [f"cupy-cuda12x{CUPY}", "cuda-toolkit[cublas,cudart,nvrtc]==12.*"],
        "cuda13": [f"cupy-cuda13x{CUPY}", "cuda-toolkit[cublas,cudart,nvrtc]==13.*"],
        "images": [PILLOW],
        "cuda-check": ["nvidia-cuda-nvrtc>=13,<14", "nvidia-cuda-nvdisasm>=13,<14"],
        "onnx": [ONNX],
        "test": TEST,
        "dev": [*TEST, "ruff>=0.9", "mypy>=1.14"],
        "bench": ["torch>=2.4", "keras>=3.10", "onnxruntime>=1.20", ONNX],
    },
    packages=[
        "minicnn",
        "minicnn.callbacks",
        "minicnn.cli",
        "minicnn.datasets",
        "minicnn.export",
        "minicnn.gradcheck",
        "minicnn.kernels",
        "minicnn.kernels.emulator",
        "minicnn.layers",
        "minicnn.losses",
        "minicnn.metrics",
        "minicnn.models",
        "minicnn.models.watches",
        "minicnn.ops",
        "minicnn.optimizers",
        "minicnn.selfcheck",
        "minicnn.utils",
        "minicnn.visualize",
    ],
    package_dir={
        "minicnn": "minicnn",
        "minicnn.kernels": "kernels",  # see minicnn/backend.py
        "minicnn.kernels.emulator": "kernels/emulator",
    },
    package_data={
        "minicnn": ["py.typed", "explanations/*.md"],
        "minicnn.gradcheck": ["report.html"],
        "minicnn.kernels": ["*.cu"],
        "minicnn.kernels.emulator": ["*.h"],
    },
    entry_points={"console_scripts": ["minicnn = minicnn.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Education",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
