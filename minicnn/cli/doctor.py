"""Look at Python, the libraries, the processor, the GPU, the caches and the data sets.

Each problem comes with a hint. The exit code is 0 if there is none, else 1.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUMMARY = "look for problems of the installation"
MEGABYTE = 1e6


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: what was looked at.
        value: what was found.
        hint: what could be done about it.
        is_problem: whether something should be done about it.
    """

    name: str
    value: str
    hint: str = ""
    is_problem: bool = False

    def __str__(self) -> str:
        mark = "!" if self.is_problem else " "
        hint = f"\n{'':15}-> {self.hint}" if self.hint else ""
        return f"{mark} {self.name:12} {self.value}{hint}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options: there are none."""


def run(settings: argparse.Namespace) -> int:
    """Print the report; return the exit code."""
    problems = 0
    for finding in _findings():
        print(finding, flush=True)
        problems += finding.is_problem
    if problems:
        print(f"\n{problems} problem{'s' * (problems > 1)}: see the lines marked with !")
        return 1
    print("\nNo problems found.")
    return 0


def _findings() -> Iterator[Finding]:
    yield _minicnn()
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    needed = [_library(module, name) for module, name in (("numpy", "NumPy"), ("numba", "Numba"))]
    yield from needed
    yield _library("h5py", "h5py", "Weights can neither be saved nor loaded")
    yield _library("matplotlib", "Matplotlib", "Pictures cannot be drawn")
    yield _pillow()
    if any(finding.is_problem for finding in needed):
        return  # all else computes
    yield _processor()
    yield _kernels()
    yield _threads()
    yield _gpu()
    yield _emulator()
    yield _kernel_cache()
    yield from _data_sets()


def _minicnn() -> Finding:
    import minicnn

    return Finding("minicnn", f"{minicnn.__version__} ({Path(minicnn.__file__).parent})")


def _library(module: str, name: str, consequence: str = "Nothing works") -> Finding:
    try:
        version = importlib.import_module(module).__version__
    except Exception as error:  # a damaged library can raise anything
        hint = f"{consequence} without it: pip install --force-reinstall {module}"
        return Finding(name, f"cannot be imported ({error})", hint, is_problem=True)
    return Finding(name, version)


def _pillow() -> Finding:
    if importlib.util.find_spec("PIL") is None:
        return Finding("Pillow", "not installed", "Only minicnn predict needs it, for pictures.")
    return _library("PIL", "Pillow", "minicnn predict cannot read pictures")


def _processor() -> Finding:
    import llvmlite.binding
    import numpy as np

    from minicnn.backend import kernels

    registers = importlib.import_module(".registers", kernels.__name__)
    return Finding(
        "Processor",
        f"{llvmlite.binding.get_host_cpu_name()} ({platform.machine()}): "
        f"{registers.REGISTERS} vector registers, each of {registers.lanes(np.float32)} float32",
    )


def _convolution_is_right(device: str) -> bool:
    """Compile one kernel, run it, and compare it with its reference."""
    import numpy as np

    from minicnn.backend import kernels, on_cpu, placed

    random = np.random.default_rng(0)
    x, weight = random.random((2, 9, 9, 3), np.float32), random.random((3, 3, 3, 8), np.float32)
    settings = (None, False, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    forward = kernels.conv2d.forward
    y = on_cpu(forward(placed(x, device), placed(weight, device), *settings))
    return bool(np.allclose(y, forward.reference(x, weight, *settings), rtol=1e-4))


def _kernels() -> Finding:
    import numba

    from minicnn.backend import kernels

    if numba.config.DISABLE_JIT:
        hint = "The kernels run as plain Python, very slowly: unset NUMBA_DISABLE_JIT"
        return Finding("Kernels", "Numba's compiler is switched off", hint, is_problem=True)
    name = kernels.conv2d.forward.name
    try:
        right = _convolution_is_right("cpu")
    except Exception as error:  # compilers fail in many ways
        hint = "Update Numba: pip install --upgrade numba"
        return Finding("Kernels", f"{name} fails ({error})", hint, is_problem=True)
    if not right:
        hint = "Numba translates wrongly for this processor: try NUMBA_CPU_NAME=generic"
        return Finding("Kernels", f"{name} computes nonsense", hint, is_problem=True)
    return Finding("Kernels", f"{name} agrees with its reference")


def _threads() -> Finding:
    import numba

    from minicnn.backend import kernels

    decision = kernels.threads.who_decides()
    threads, processors = numba.get_num_threads(), _usable_processors()
    try:
        layer = numba.threading_layer()
    except ValueError:  # no kernel has run in parallel
        layer = "none yet"
    value = f"{threads} ({decision}), for {processors} processors; thread layer: {layer}"
    if layer == "workqueue":
        hint = "Only one Python thread may compute at a time, or the process ends: pip install tbb"
        return Finding("Threads", value, hint)
    if threads < processors:
        return Finding("Threads", value, f"{decision} limits them.")
    return Finding("Threads", value)


def _usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu(device: str = "gpu") -> Finding:
    from minicnn.backend import kernels

    reason = kernels.gpu.why_no_gpu()
    if reason:
        return Finding("GPU", f"not used: {reason}")
    found, name = kernels.gpu.description(), kernels.conv2d.forward.name
    try:
        right = _convolution_is_right(device)
    except Exception as error:  # as of memory or of a compiler that is missing
        hint = f"Is its memory full (nvidia-smi), or a library missing? {kernels.gpu.INSTALL}"
        return Finding("GPU", f"{found}; {name} fails ({error})", hint, is_problem=True)
    if not right:
        hint = "Update its driver, or go on with set_device('cpu')"
        return Finding("GPU", f"{found}; {name} computes nonsense", hint, is_problem=True)
    return Finding("GPU", f"{found}; {name} agrees with its reference")


def _emulator() -> Finding:
    from minicnn.backend import kernels

    reason = kernels.emulator.why_unavailable()
    return Finding("Emulator", f"cannot be used: {reason}" if reason else "ready")


def _kernel_cache() -> Finding:
    from minicnn.backend import kernels

    compiling = importlib.import_module(".compiling", kernels.__name__)
    folder = compiling.cache_folder()
    if folder is None:
        hint = "Kernels are compiled anew each time: set MINICNN_HOME to a folder of yours."
        return Finding("Kernel cache", "no folder can be written", hint, is_problem=True)
    old = [other for other in folder.parent.iterdir() if other != folder and other.is_dir()]
    value = f"{_shown(folder)}, {_size(folder) / MEGABYTE:.1f} MB"
    if folder.parent.name != "numba" or not old:
        return Finding("Kernel cache", value)
    size = sum(map(_size, old)) / MEGABYTE
    hint = f"{len(old)} folders of other versions beside it, {size:.1f} MB, may be deleted."
    return Finding("Kernel cache", value, hint)


def _data_sets() -> Iterator[Finding]:
    from minicnn.datasets import cifar10
    from minicnn.datasets.cache import datasets_folder

    yield Finding("shapes10", "painted by the program, always there")
    place = cifar10.find()
    if place is not None:
        yield Finding("cifar10", f"{_shown(place)}, {_size(place) / MEGABYTE:.1f} MB")
        return
    hint = f"It is downloaded when it is first used (170 MB), to {_shown(datasets_folder())}."
    yield Finding("cifar10", "not on this machine", hint)


def _size(place: Path) -> int:
    """Bytes in a file, or in a folder and all below it."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(path.stat().st_size for path in files if path.is_file())


def _shown(path: Path) -> str:
    """The path with ~ for the home folder."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
