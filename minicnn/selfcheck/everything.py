"""gradcheck_all: every op and every layer of the library, and the user's own, on every device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from minicnn.selfcheck.float32 import on_device
from minicnn.selfcheck.layer_examples import LAYER_EXAMPLES
from minicnn.selfcheck.op_examples import OP_EXAMPLES
from minicnn.selfcheck.own import own_subjects
from minicnn.selfcheck.subjects import LayerSubject, OpSubject, Subject, WideOpSubject
from minicnn.selfcheck.table import Row, Table
from minicnn.suggest import lookup

DEVICES = ("cpu", "emulator", "gpu")


def gradcheck_all(
    devices: Sequence[str] = DEVICES, ops: Sequence[str] | None = None, seed: int = 0
) -> Table:
    """Check the gradients of every op and layer, on every device that can be had.

    On the CPU, gradcheck compares with finite differences in float64, to second order for ops.
    Every device then computes ops and layers in float32, forward and backward, which is compared
    with float64: r counts the error in units of what rounding inputs and results of ops to float32
    explains; it may be 8 times the root of the number of terms in a sum. Another dtype or shape,
    NaN where there is a number, and errors that are raised are wrong at any rate.

    An op or layer of the user's own is checked if its class has an `example`: a tuple of arrays
    for its inputs. If its constructor wants settings, a function comes before them: of an op one of
    tensors, `example = (lambda x: RaiseTo(3)(x), array)`; of a layer one that makes it,
    `example = (lambda: Scale(2), array)`. Layers are checked as they predict and as they learn. An
    op whose backward computes with arrays has no second order, which is reported as skipped.

    Args:
        devices: "cpu", "emulator", "gpu"; one that cannot be had is reported as skipped.
        ops: names of examples, as "conv2d" (which stands for "conv2d, same" as well), "Dense" or
            that of a class of yours; None: all.
        seed: of all random numbers.

    Returns:
        A Table; print it. It is true if something was checked, and nothing is wrong.

    Raises:
        ValueError: a name is not known.

    >>> bool(gradcheck_all(["cpu"], ops=["softmax"]))
    True
    """
    return Table(list(rows(devices, ops, seed)))


def rows(devices: Sequence[str], ops: Sequence[str] | None, seed: int) -> Iterator[Row]:
    """The lines of gradcheck_all, one after the other."""
    subjects = _wanted(ops)
    for device in devices:
        if reason := _why_not(device):
            yield Row("all", device, "float32", f"skipped: {reason}")
            continue
        with on_device(device):
            for subject in subjects if device == "cpu" else ():
                yield from _guarded(subject.in_float64(seed), Row(subject.name, "cpu", "float64"))
            for subject in subjects:
                row = Row(subject.name, device, "float32")
                yield from _guarded(subject.in_float32(device, seed), row)


def _wanted(names: Sequence[str] | None) -> list[Subject]:
    """What has one of these names, up to the comma; everything if there are none."""
    subjects = [*library_subjects(), *own_subjects()]
    known = [subject.name.partition(",")[0] for subject in subjects]
    for name in names or ():
        lookup("op", name, dict.fromkeys(known))
    return [s for s, name in zip(subjects, known, strict=True) if names is None or name in names]


def library_subjects() -> Iterator[Subject]:
    """All ops and layers of minicnn, by their examples."""
    for name, (function, *arrays) in OP_EXAMPLES.items():
        kind = WideOpSubject if name.startswith("cast") else OpSubject
        yield kind(name, function, arrays)
    for name, example in LAYER_EXAMPLES.items():
        yield LayerSubject(name, example)


def _why_not(device: str) -> str:
    """Why a device cannot be had; "" if it can."""
    try:
        with on_device(device):
            return ""
    except RuntimeError as reason:
        return str(reason)


def _guarded(found: Iterator[Row], row: Row) -> Iterator[Row]:
    """The rows that are found; if an error ends that, it is what is wrong, and others go on."""
    try:
        yield from found
    except Exception as error:
        yield replace(row, verdict=f"WRONG: {type(error).__name__}: {error}")
