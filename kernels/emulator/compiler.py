"""Makes a shared library of CUDA C with g++, and keeps it for the next time."""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import EmulatorError

FOLDER = Path(__file__).parent
HEADER = FOLDER / "cuda_on_cpu.h"
FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-w", "-fno-math-errno"),
    "-fno-strict-aliasing",  # kernels read two bf16 as one unsigned
    "-U_FORTIFY_SOURCE",  # the checked longjmp refuses to go to another stack
    *("-fsanitize=bounds", "-fno-sanitize-recover=bounds"),  # scheduler.h has what they call
)  # no -march=native: it is not faster here, and unsafe in a cache
LINK = ("-shared", "-Wl,-Bsymbolic")  # a kernel called step is the one here, not libc's

_KERNEL = re.compile(
    r'(extern\s+"C"\s+)?__global__\s+(?:void\s+__launch_bounds__\s*\([^)]*\)|'
    r"__launch_bounds__\s*\([^)]*\)\s*void|void)\s+(\w+)\s*\(([^)]*)\)"
)
_DYNAMIC_SHARED = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\(\s*\d+\s*\)\s+)?([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;"
)


def compiler_name() -> str:
    """The C++ compiler that is asked for: $MINICNN_EMULATOR_CXX, or g++."""
    return os.environ.get("MINICNN_EMULATOR_CXX", "g++")


def why_unavailable() -> str:
    """The reason why kernels cannot be compiled here, with the cure, or "" if they can."""
    if sys.platform != "linux":
        return f"it runs on Linux only, and this is {sys.platform}"
    if shutil.which(compiler_name()) is None:
        return (
            f"the C++ compiler {compiler_name()!r} was not found. Install it (Debian, Ubuntu: "
            f"apt install g++) or name another one in MINICNN_EMULATOR_CXX"
        )
    return ""


@functools.cache
def _compiler(name: str) -> tuple[str, str]:
    """Path and version of the C++ compiler."""
    if reason := why_unavailable():
        raise EmulatorError(f"The emulator cannot compile CUDA kernels: {reason}.")
    path = shutil.which(name)
    assert path
    version = subprocess.run([path, "-dumpfullversion"], capture_output=True, text=True)
    return path, version.stdout.strip()


def cache_folder() -> Path:
    """The folder of the compiled kernels, $MINICNN_HOME/emulator; it may be deleted at any time."""
    folder = Path(os.environ.get("MINICNN_HOME") or Path.home() / ".minicnn") / "emulator"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmulatorError(
            f"The folder for compiled kernels cannot be made: {error}. "
            f"Set MINICNN_HOME to a folder of yours."
        ) from error
    return folder


def compiled(code: str, options: Sequence[str]) -> Path:
    """Path of the shared library of this CUDA source; made if it is not in the cache.

    It has a function launch_NAME for each kernel, and kernel_list, all names with parameters.

    Raises:
        EmulatorError: there is no compiler, or the source has errors, which the message shows.
    """
    path, version = _compiler(compiler_name())
    # of NVRTC's options only definitions and folders mean anything to g++
    kept = [option for option in options if option.startswith(("-D", "-U", "-I"))]
    asked_for = os.environ.get("MINICNN_EMULATOR_CXXFLAGS", "").split()
    command = [path, *FLAGS, *kept, *asked_for, "-x", "c++"]
    library = cache_folder() / f"{_key(code, command, version)}.so"
    if not library.exists():
        _build(code, command, [path, *LINK, *asked_for], library)
    return library


def _key(code: str, command: list[str], version: str) -> str:
    """A name for all that the library depends on."""
    parts = [*_texts_of_the_emulator(), code, *command, version]
    if "#include" in code:  # what is included counts as well
        parts.append(_run([*command, "-E", "-DCUDA_ON_CPU", "-"], code))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@functools.cache
def _texts_of_the_emulator() -> tuple[str, ...]:
    return (*(path.read_text() for path in sorted(FOLDER.glob("*.h"))), Path(__file__).read_text())


def _build(code: str, command: list[str], link: list[str], library: Path) -> None:
    kernels = _kernels_of(code, command)
    source = [_DYNAMIC_SHARED.sub(r"CUDA_ON_CPU_DYNAMIC_SHARED(\1, \2);", code)]
    for name, _ in kernels:
        source.append(
            f'extern "C" const char* launch_{name}(const unsigned* sizes, size_t bytes, '
            "int order, unsigned seed, void** arguments) { return cuda_on_cpu::launch("
            f"{name}, sizes, bytes, order, seed, arguments); }}"
        )
    listing = "\n".join(f"{name}({parameters})" for name, parameters in kernels)
    source.append(f'extern "C" const char kernel_list[] = R"list({listing})list";')

    # under another name first: two processes may do this at the same time
    with tempfile.TemporaryDirectory(dir=library.parent, suffix=".unfinished") as folder:
        parts, unfinished = Path(folder) / "kernels.o", Path(folder) / library.name
        text = "\n".join(source) + "\n"
        _run([*command, "-include", str(HEADER), "-c", "-", "-o", str(parts)], text)
        # by a command of its own: -fsanitize would want a library here that nothing needs
        _run([*link, str(parts), "-o", str(unfinished)], "")
        os.replace(unfinished, library)


def _kernels_of(code: str, command: list[str]) -> list[tuple[str, str]]:
    """(name, parameters) of the kernels that the preprocessor leaves in the source."""
    active = _run([*command, "-E", "-fdirectives-only", "-DCUDA_ON_CPU", "-"], code)
    active = re.sub(r"//[^\n]*|/\*.*?\*/", " ", active, flags=re.DOTALL)
    block = re.search(r'extern\s+"C"\s*\{', active)
    # -fdirectives-only keeps the definitions: `#define REAL double` makes `REAL* x` a `double* x`
    definitions = dict(re.findall(r"^#define (\w+) (.*\S)", active, flags=re.MULTILINE))
    found = []
    for linkage, name, parameters in _KERNEL.findall(active):
        if not (linkage or block):
            raise EmulatorError(
                f'Kernel {name} is not extern "C": get_function({name!r}) would not find it on '
                f"a GPU."
            )
        words = re.sub(
            r"\w+(?=[\s*])",
            lambda word: definitions.get(word[0], word[0]),
            " ".join(parameters.split()),
        )
        found.append((name, words))
    return found


def _run(command: list[str], text: str) -> str:
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    if result.returncode:
        raise EmulatorError("The CUDA source does not compile on the CPU:\n" + result.stderr)
    return result.stdout
