"""Models in the formats of others: ONNX."""

from minicnn.export.onnx_file import export_onnx

__all__ = ["export_onnx"]
