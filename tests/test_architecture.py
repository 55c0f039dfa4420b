"""The floors: a module imports from its own floor or from lower ones, never from a higher one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [  # from the cellar to the roof; modules of one line share a floor
    ["kernels"],
    ["minicnn.backend", "minicnn.random", "minicnn.suggest", "minicnn.files", "minicnn.late"],
    ["minicnn.config"],
    ["minicnn.notices", "minicnn.explanation"],
    ["minicnn.registry"],
    ["minicnn.arguments", "minicnn.resampling"],
    ["minicnn.locking", "minicnn.describing", "minicnn.hooking"],
    ["minicnn.autograd"],
    ["minicnn.variable"],
    ["minicnn.ops"],
    [
        "minicnn.gradcheck",
        "minicnn.pairing",
        "minicnn.testing",
        "minicnn.calculus",
        "minicnn.checkpointing",
        "minicnn.source_code",
    ],
    ["minicnn.activations", "minicnn.initializers", "minicnn.regularizers"],
    ["minicnn.constraints"],
    ["minicnn.crossentropy"],
    ["minicnn.losses", "minicnn.metrics", "minicnn.optimizers"],
    ["minicnn.layers", "minicnn.datasets", "minicnn.utils"],
    ["minicnn.visualize", "minicnn.tracing", "minicnn.anomaly"],
    ["minicnn.callbacks"],
    ["minicnn.models", "minicnn.export"],
    ["minicnn.saving", "minicnn.selfcheck"],
    ["minicnn"],  # the public names
    ["minicnn.cli", "minicnn.__main__"],
]
EXCEPTIONS = {
    ("minicnn.autograd", "minicnn.ops"),  # Tensor's operators; see the end of that file
}
FILES = sorted([*ROOT.glob("kernels/**/*.py"), *ROOT.glob("minicnn/**/*.py")])
FLOOR_OF = {module: k for k, floor in enumerate(FLOORS) for module in floor}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def floor_of(module: str) -> int:
    """The floor of the longest known prefix; -1, below them all, for other people's modules."""
    module = module.replace("minicnn.kernels", "kernels")  # the name it is installed under
    parts = module.split(".")
    prefixes = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
    return next((FLOOR_OF[prefix] for prefix in prefixes if prefix in FLOOR_OF), -1)


def absolute_imports(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def climbs(module: str, source: str) -> list[str]:
    return [
        f"{module}, line {line}, imports {name} from a higher floor"
        for line, name in absolute_imports(source)
        if floor_of(name) > floor_of(module) and (module, name) not in EXCEPTIONS
    ]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_downward(path):
    assert climbs(module_of(path), path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_every_module_of_minicnn_has_a_floor_of_its_own(path):
    module = module_of(path)
    if module.startswith("minicnn."):
        top = ".".join(module.split(".")[:2])
        assert top in FLOOR_OF, f"put {top} on a floor"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_kernels_are_reached_through_the_backend_only(path):
    names = [name for _, name in absolute_imports(path.read_text())]
    direct = any(floor_of(name) == 0 for name in names)
    assert not direct or module_of(path) == "minicnn.backend"


def test_a_climb_is_noticed():
    source = "import numpy\nfrom minicnn.ops import conv2d"
    assert climbs("minicnn.gradcheck", source) == []
    assert climbs("kernels.conv2d", source) == [
        "kernels.conv2d, line 2, imports minicnn.ops.conv2d from a higher floor"
    ]
    assert climbs("minicnn.losses", "from minicnn import models")


def test_setup_py_names_every_package():
    setup = (ROOT / "setup.py").read_text()
    packages = {module_of(path) for path in FILES if path.name == "__init__.py"}
    for package in packages:
        assert f'"{package.replace("kernels", "minicnn.kernels")}"' in setup, package
