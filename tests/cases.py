"""One table of cases for all ops: the examples by which minicnn checks itself."""

from minicnn.selfcheck.op_examples import LABELS, MASK, SOFT_LABELS, TRANSFORMS, WEIGHTS
from minicnn.selfcheck.op_examples import OP_EXAMPLES as CASES

__all__ = ["CASES", "LABELS", "MASK", "SOFT_LABELS", "TRANSFORMS", "WEIGHTS"]
