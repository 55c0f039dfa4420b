"""Gradients compared with finite differences: is a backward right, and if not, what is wrong?

`minicnn.gradcheck` is the function; `from minicnn.gradcheck import ...` finds all that is here, and
`from minicnn.gradcheck.kinks import ...` all that is in a module. As the function has the name of
the package, `import minicnn.gradcheck.kinks as kinks` fails.
"""

from minicnn.gradcheck.check import gradcheck
from minicnn.gradcheck.directional import check_gradient
from minicnn.gradcheck.report import GradientError, GradReport

__all__ = ["GradReport", "GradientError", "check_gradient", "gradcheck"]
