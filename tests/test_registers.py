"""The vector registers of other CPUs than this one, whose code LLVM can write, too."""

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest

from minicnn.backend import kernels

kernels.conv2d  # noqa: B018  imports the tiles
from minicnn.kernels import registers  # noqa: E402

SSE, AVX, AVX_512, NEON = (16, 16), (32, 16), (64, 32), (16, 32)  # bytes, number of registers


class Features:
    """What LLVM says of a CPU."""

    def __init__(self, text):
        self.flatten = lambda: text


@pytest.fixture
def cpu(monkeypatch):
    """A function that lets LLVM write code for a CPU, and this machine have one."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()

    def use(name, features=None, host="nehalem", has="", triple="x86_64-unknown-linux-gnu"):
        monkeypatch.setattr(numba.config, "CPU_NAME", name)
        monkeypatch.setattr(numba.config, "CPU_FEATURES", features)
        monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: host)
        monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: Features(has))
        monkeypatch.setattr(llvm, "get_default_triple", lambda: triple)
        target = llvm.Target.from_triple(triple)
        monkeypatch.setattr(llvm.Target, "from_default_triple", lambda: target)

    return use


@pytest.mark.parametrize(
    "name, expected",
    [
        ("nehalem", SSE),
        ("x86-64", SSE),
        ("sandybridge", AVX),
        ("haswell", AVX),
        ("znver3", AVX),
        ("knl", AVX_512),
        ("znver4", AVX_512),
    ],
)
def test_the_registers_are_those_of_the_cpu_that_is_asked_for(name, expected, cpu):
    cpu(name, host="znver3", has="+avx512f")
    if name == "znver3":  # this one, which is said to have more than others of its name
        expected = AVX_512
    assert registers._vector_registers() == expected


def test_a_cpu_without_x86_has_32_registers(cpu):
    cpu("generic", triple="aarch64-unknown-linux-gnu")
    assert registers._vector_registers() == NEON


@pytest.mark.parametrize("name", [None, "", "host"])
@pytest.mark.parametrize("has, expected", [("", SSE), ("+avx", AVX), ("+avx512f", AVX_512)])
def test_nobody_asked_means_this_cpu_with_what_it_has(has, expected, name, cpu):
    cpu(name, host="nehalem", has=has)
    assert registers._vector_registers() == expected


@pytest.mark.parametrize("name", [None, "nehalem", "haswell"])
def test_features_that_are_asked_for_count(name, cpu):
    cpu(name, "+avx512f", has="+avx")
    assert registers._vector_registers() == AVX_512
    cpu(name, "-avx", has="+avx")
    assert registers._vector_registers() == SSE


def test_numbers_of_eight_bytes_are_half_as_many(monkeypatch):
    monkeypatch.setattr(registers, "VECTOR_BYTES", 32)
    assert registers.lanes(np.float32) == registers.lanes(np.dtype("float32")) == 8
    assert registers.lanes(np.float64) == 4
