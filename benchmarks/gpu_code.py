"""Compiles the CUDA kernels for GPUs, on any machine, and shows what became of them.

    pip install -e ".[cuda-check]"
    python benchmarks/gpu_code.py
    python benchmarks/gpu_code.py --arch sm_90 --family conv2d

NVRTC is the compiler that CuPy uses; it needs neither a GPU nor a driver. For each kernel the table
shows registers per thread; bytes of shared memory per block; bytes of stack and of spilled
registers per thread, which lie in slow memory and should be 0; and how many instructions use tensor
cores or double precision, which is slow on most GPUs: in a float32 kernel such a one often comes
from a constant like 0.5 instead of REAL(0.5). What a kernel computes is not looked at here.

The program ends with status 1 if a file does not compile, or a float32 kernel has stack or spills.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import glob
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minicnn.backend import kernels

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_120")  # T4; A100; H100, H200; RTX 50
OPTIONS = (*kernels.cuda.OPTIONS, "--device-as-default-execution-space", "--ptxas-options=-v")
NO_NVRTC = "NVRTC is not installed: pip install -e '.[cuda-check]'"
DEFINES = {"rows": {"GIVEN": "unsigned char"}}  # by family: macros that a launch would define
TENSOR = re.compile(r"\s(?:HMMA|IMMA|HGMMA|QGMMA|IGMMA)\.")
DOUBLE = re.compile(r"\s(?:DFMA|DADD|DMUL|DSETP|DMNMX|DMMA)\b")


class CompileError(RuntimeError):
    """NVRTC refused a source; the text is what it says about it."""


@dataclass
class Code:
    """What the compiler says of one kernel."""

    registers: int = 0
    shared_bytes: int = 0
    stack_bytes: int = 0
    spilled_bytes: int = 0
    tensor: int = 0  # instructions
    double: int = 0


def families() -> list[str]:
    """The names of all .cu files."""
    return sorted(path.stem for path in kernels.cuda.FOLDER.glob("*.cu"))


def compiled(
    family: str, arch: str, real: str = "float", defines: Mapping[str, Any] | None = None
) -> dict[str, Code]:
    """The kernels of a .cu file by name, compiled for an architecture.

    Raises:
        CompileError: NVRTC refuses the source.
    """
    wanted = {"REAL": real, **DEFINES.get(family, {}), **(defines or {})}
    macros = [f"-D{name}={value}" for name, value in wanted.items()]
    return compiled_source(kernels.cuda.source(family), arch, macros)


def compiled_source(source: str, arch: str, macros: list[str]) -> dict[str, Code]:
    """The kernels of a CUDA source by name; see compiled."""
    cubin, log = _machine_code(source, [f"-arch={arch}", *OPTIONS, *macros])
    found = dict(_read(log))
    _count_instructions(cubin, found)
    return found


@functools.cache
def _in_packages(pattern: str) -> list[str]:
    """Files of the nvidia packages that pip has installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or []) if spec else []
    return sorted(file for folder in folders for file in glob.glob(f"{folder}/*/{pattern}"))


@functools.cache
def nvrtc() -> ctypes.CDLL | None:
    """The compiler as a library, or None."""
    libraries = [path for path in _in_packages("lib/libnvrtc.so*") if "builtins" not in path]
    if not libraries:
        return None
    for path in _in_packages("lib/libnvrtc-builtins.so*"):
        ctypes.CDLL(path)
    return ctypes.CDLL(libraries[-1])


def disassembler() -> str | None:
    """The path of nvdisasm, or None."""
    return next(iter(_in_packages("bin/nvdisasm")), None) or shutil.which("nvdisasm")


def _machine_code(source: str, options: list[str]) -> tuple[bytes, str]:
    compiler = nvrtc()
    if compiler is None:
        raise RuntimeError(NO_NVRTC)
    program = ctypes.c_void_p()
    compiler.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"", 0, None, None)
    words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    failed = compiler.nvrtcCompileProgram(program, len(options), words)

    def text(what: str) -> bytes:
        size = ctypes.c_size_t()
        getattr(compiler, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(max(1, size.value))
        getattr(compiler, f"nvrtcGet{what}")(program, buffer)
        return buffer.raw[: size.value]

    log = text("ProgramLog").rstrip(b"\0").decode()
    cubin = b"" if failed else text("CUBIN")
    compiler.nvrtcDestroyProgram(ctypes.byref(program))
    if failed:
        raise CompileError(log)
    return cubin, log


def _read(log: str) -> Iterator[tuple[str, Code]]:
    """The kernels in what ptxas -v has printed."""
    for part in log.split("Compiling entry function '")[1:]:
        name, _, text = part.partition("'")

        def number(pattern: str, text: str = text) -> int:
            found = re.search(pattern, text)
            return int(found[1]) if found else 0

        spilled = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
        yield (
            name,
            Code(
                number(r"Used (\d+) registers"),
                number(r"(\d+) bytes smem"),
                number(r"(\d+) bytes stack frame"),
                spilled,
            ),
        )


def _count_instructions(cubin: bytes, found: dict[str, Code]) -> None:
    program = disassembler()
    if program is None:
        raise RuntimeError("nvdisasm is not installed: pip install -e '.[cuda-check]'")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [program, "-c", file.name]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for part in re.split(r"^\.text\.", listing, flags=re.MULTILINE)[1:]:
        code = found.get(part.partition(":")[0])
        if code:
            code.tensor, code.double = len(TENSOR.findall(part)), len(DOUBLE.findall(part))


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--arch", action="append", choices=ARCHITECTURES, help="default: all")
    parser.add_argument("--family", action="append", choices=families(), help="default: all")
    parser.add_argument("--real", choices=["float", "double"], default="float")
    parser.add_argument("-D", action="append", default=[], metavar="NAME=VALUE", help="a macro")
    settings = parser.parse_args()
    if nvrtc() is None or disassembler() is None:
        print(NO_NVRTC, file=sys.stderr)
        return 1
    defines = dict(macro.split("=") for macro in settings.D)
    mistakes = 0
    for arch in settings.arch or ARCHITECTURES:
        print(f"\n{arch:38} registers  shared  stack  spilled  tensor  double")
        for family in settings.family or families():
            try:
                found = compiled(family, arch, settings.real, defines)
            except CompileError as error:
                mistakes += 1
                print(error)
                continue
            for name, code in sorted(found.items()):
                row = f"{family}.{name}"
                print(
                    f"{row:38} {code.registers:9} {code.shared_bytes:7} {code.stack_bytes:6} "
                    f"{code.spilled_bytes:8} {code.tensor:7} {code.double:7}"
                )
                mistakes += settings.real == "float" and code.stack_bytes + code.spilled_bytes > 0
    return int(mistakes > 0)


if __name__ == "__main__":
    sys.exit(main())
