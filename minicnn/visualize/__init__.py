"""Pictures of a training: learning curves, answers, confusions, filters and feature maps.

Matplotlib is imported when the first picture is drawn. No window is opened and no display is
needed; a picture shows itself in a notebook, and is saved where a path is given. The colors are
told apart by color-blind people too, and nothing is said by color alone.
"""

from minicnn.visualize.answers import predictions
from minicnn.visualize.confusion import confusion_matrix
from minicnn.visualize.curves import learning_curves
from minicnn.visualize.inside import feature_maps, filters
from minicnn.visualize.picture import BLUE, GREY, INK, PALE, VERMILION, Picture

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "PALE",
    "VERMILION",
    "Picture",
    "confusion_matrix",
    "feature_maps",
    "filters",
    "learning_curves",
    "predictions",
]
