"""The part of the mutation tool that plants mistakes into CUDA C and tries them on the emulator."""

import re
import shutil
import subprocess
import sys

import planting_cuda
import pytest
import score
from minicnn.kernels import cuda

SOURCE = """// a + b, as it is said
#ifndef REAL
#define REAL float  // 1 + 2
#endif

struct Line {
    REAL scale;

    __device__ REAL at(REAL x) const { return x * scale; }
};

template <class Number>
__device__ Number least(Number a, Number b) {
    return min(a, b);
}

extern "C" __global__ void __launch_bounds__(256)
rows(const REAL* x, REAL* y, int n) {
    __shared__ REAL parts[8][32];
    const int k = blockIdx.x * 32 + threadIdx.x;  // a * b
    if (!(k < n) || n == 7) return;
    for (int r = 0; r < n; r += 8) {
        parts[k][r] = 0.5 * x[r];
        __syncthreads();
    }
    for (int r = 0; r < n; r += 8) n = 2 * n;
    y[k] += parts[k][0];
}
#ifndef CUDA_ON_CPU
__device__ void only_on_a_gpu() { asm volatile("add" : 3); }
#endif
"""


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "example.cu"
    path.write_text(SOURCE)
    return list(planting_cuda.mutants(path))


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{ return x * scale; }", "{ return x / scale; }"),
        ("return min(a, b);", "return max(a, b);"),
        ("blockIdx.x * 32 + threadIdx.x;", "blockIdx.x * 33 + threadIdx.x;"),
        ("blockIdx.x * 32 + threadIdx.x;", "blockIdx.x * 32 - threadIdx.x;"),
        ("blockIdx.x * 32 + threadIdx.x;", "blockIdx.x * 32 + threadIdx.y;"),
        ("if (!(k < n) || n == 7) return;", "if ((k < n) || n == 7) return;"),
        ("if (!(k < n) || n == 7) return;", "if (!(k < n) && n == 7) return;"),
        ("if (!(k < n) || n == 7) return;", "if (!(k < n) || n != 7) return;"),
        ("if (!(k < n) || n == 7) return;", "if (false) return;"),
        ("if (!(k < n) || n == 7) return;", "if (true) return;"),
        ("int r = 0; r < n; r += 8", "int r = 0; r <= n; r += 8"),
        ("int r = 0; r < n; r += 8", "int r = 0; r + 1 < n; r += 8"),
        ("int r = 0; r < n; r += 8", "int r = (-1); r < n; r += 8"),
        ("parts[k][r] = 0.5 * x[r];", "parts[k][r] = 0.75 * x[r];"),
        ("parts[k][r] = 0.5 * x[r];", ";"),
        ("__syncthreads();", ";"),
        ("r += 8) n = 2 * n;", "r += 8) ;"),
        ("y[k] += parts[k][0];", "y[k] -= parts[k][0];"),
        ("y[k] += parts[k][0];", "y[k] = parts[k][0];"),
        ("y[k] += parts[k][0];", ";"),
    ],
)
def test_each_usual_mistake_is_planted(found, line, wrong):
    assert SOURCE.replace(line, wrong, 1) in [mutant.source for mutant in found]


def test_what_computes_nothing_stays(found):
    """Comments, directives, heads, sizes of arrays, ways to increase, what only a GPU compiles."""
    assert all(mutant.source.count("\n") == SOURCE.count("\n") for mutant in found)
    sources = "".join(mutant.source for mutant in found)
    for text in (
        *(
            "// a + b, as it is said",
            "// 1 + 2",
            "__launch_bounds__(256)",
            "const REAL* x, REAL* y",
        ),
        *("template <class Number>", "parts[8][32];", '"add" : 3', "// a * b"),
    ):
        assert sources.count(text) == len(found), text
    assert "r -= 8" not in sources


def test_a_mutant_knows_its_function_and_where_its_kernel_begins(found):
    places = {(mutant.function, mutant.start) for mutant in found}
    kernel = SOURCE[: SOURCE.index('extern "C"')].count("\n") + 1
    assert places == {("Line", 0), ("least", 0), ("rows", kernel)}


@pytest.mark.parametrize("path", score.files("cuda", []), ids=lambda path: path.name)
def test_every_kernel_of_the_library_gets_mistakes(path):
    kernels = planting_cuda.kernel_lines(path)
    launched = re.findall(
        r"__global__ void (?:__launch_bounds__\(256\)\n)?(\w+)\(", path.read_text()
    )
    assert list(kernels) == launched
    assert set(kernels) <= {mutant.function for mutant in planting_cuda.mutants(path)}
    assert str(path.parent.resolve()) == str(cuda.FOLDER.resolve())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="the emulator needs g++")
def test_mistakes_in_a_kernel_are_noticed_on_the_emulator():
    program = [sys.executable, score.__file__, "rows", "--folder", "cuda", "--sample", "4"]
    done = subprocess.run(program, capture_output=True, text=True)
    found = re.findall(r"(\d+) planted +(\d+) caught +(\d+) compute", done.stdout)
    assert found, done.stdout + done.stderr
    planted, caught, equal = map(int, found[-1])
    assert planted == caught + equal + done.stdout.count("survives")
    assert caught >= 2
