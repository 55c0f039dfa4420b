"""What can only be measured in a new process: how long it takes to start, and how much it needs.

    python benchmarks/fresh.py first_step '["with_minicnn", "tutorial", 64, {}]'

calls one of the functions below and prints what it returns. Nothing but the standard library is
imported before, for all that a contestant loads shall count.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path


def measure(function, *args, **environment):
    """Call a function of this file in a new process, and return what it returns.

    The process keeps the bytecode of what it imports, as Python does unless PYTHONDONTWRITEBYTECODE
    forbids it: a user waits for minicnn's source to be compiled once, not with each start.

    Args:
        function: the function.
        *args: its arguments, such as JSON can hold.
        **environment: variables of the environment to be set; None takes one away.

    Raises:
        RuntimeError: the process failed; with what it said.
    """
    changes = {"PYTHONDONTWRITEBYTECODE": None, **environment}
    variables = {k: v for k, v in {**os.environ, **changes}.items() if v is not None}
    command = [sys.executable, __file__, function.__name__, json.dumps(args)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{function.__name__}{args} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def import_time(library):
    """Seconds for an import."""
    start = time.perf_counter()
    importlib.import_module(library)
    return time.perf_counter() - start


def first_step(module, network, batch_size, options):
    """Seconds from the beginning of the imports to the end of the first training step."""
    start = time.perf_counter()
    importlib.import_module(module).train_step(network, batch_size, **options)()
    return time.perf_counter() - start


def memory(module, network, batch_size, options, steps):
    """Bytes of memory that training takes: [in all, for the batch].

    In all is the most that the process had at any time; for the batch is that without what it had
    after a step with a single image: all libraries have loaded what they need by then.
    """
    side = importlib.import_module(module)
    side.train_step(network, 1, **options)()
    after_one_image = _resident("VmRSS")
    step = side.train_step(network, batch_size, **options)
    for _ in range(steps):
        step()
    most = _resident("VmHWM")
    return [most, most - after_one_image]


def _resident(kind):
    """Bytes of this process that are in memory, now (VmRSS) or at most (VmHWM)."""
    file = Path("/proc/self/status")
    if not file.exists():
        raise RuntimeError("Memory is read from /proc/self/status, which only Linux has.")
    (line,) = (line for line in file.read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2]))))
