"""The CUDA kernels as machine code: NVRTC compiles them for four generations of GPUs."""

import gpu_code
import pytest

pytestmark = pytest.mark.skipif(
    gpu_code.nvrtc() is None or gpu_code.disassembler() is None, reason=gpu_code.NO_NVRTC
)


@pytest.mark.parametrize("arch", gpu_code.ARCHITECTURES)
@pytest.mark.parametrize("family", gpu_code.families())
def test_kernels_keep_all_their_numbers_in_registers(family, arch):
    found = gpu_code.compiled(family, arch)
    assert found
    slow = {name: code for name, code in found.items() if code.stack_bytes or code.spilled_bytes}
    assert not slow


@pytest.mark.parametrize("family", gpu_code.families())
def test_kernels_compile_in_double_precision(family):
    assert gpu_code.compiled(family, "sm_90", "double")


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_120"])  # sm_75 has none for these numbers
@pytest.mark.parametrize("macro", ["BF16", "TF32"])
def test_products_of_rounded_numbers_are_made_by_tensor_cores(macro, arch):
    found = gpu_code.compiled("conv2d", arch, defines={macro: 1})
    products = {name: code for name, code in found.items() if name != "conv2d_add_pieces"}
    for name, code in products.items():
        assert code.tensor and not code.stack_bytes and not code.spilled_bytes, name


def test_a_stack_is_noticed():
    code = """extern "C" __global__ void k(int* y, int n) {
        int counts[64] = {};
        for (int i = 0; i < n; ++i) ++counts[y[i] % 64];
        y[0] = counts[n];
    }"""
    assert gpu_code.compiled_source(code, "sm_90", [])["k"].stack_bytes >= 256


def test_a_mistake_is_shown_with_file_and_line():
    code = '#line 1 "wrong.cu"\nextern "C" __global__ void k(float* y) { nonsense(); }'
    with pytest.raises(
        gpu_code.CompileError, match=r'wrong\.cu\(1\): error: identifier "nonsense"'
    ):
        gpu_code.compiled_source(code, "sm_90", [])
