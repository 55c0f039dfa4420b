"""A process for each contestant, so that no library disturbs another.

Every library brings threads of its own, and two of them in one process fight: for the settings of
OpenMP, and for the processors, because threads go on spinning for a while when their work is done.
So each contestant works in a process of its own and sleeps while others are at work: all that it
does then is to wait for a message.
"""

import importlib
import multiprocessing
import statistics
import time
import traceback

PAUSE = 0.05  # seconds between two turns: ONNX Runtime spins for 30 ms, the others less


class Worker:
    """One contestant in its process.

    Args:
        module: what it can do: the name of a module such as with_torch.

    Raises:
        RuntimeError: by every method, if the worker fails; with the worker's own report.
    """

    def __init__(self, module):
        context = multiprocessing.get_context("spawn")  # a fork would inherit our libraries
        self.module = module
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, function, *args, **options):
        """Call a function of any module, given as "module.function", and return its result."""
        return self._ask(_call, function, args, options)

    def prepare(self, runs, function, *args, **options):
        """Let a function of the worker's module make what is to be timed; return first results."""
        return self._ask(_prepare, runs, f"{self.module}.{function}", args, options)

    def turn(self, seconds):
        """Let it run again and again for some time; return how long each run took."""
        time.sleep(PAUSE)
        return self._ask(_turn, seconds)

    def close(self):
        """End the process."""
        self._pipe.close()  # the worker sees the end of its messages
        self._process.join()

    def _ask(self, action, *args):
        self._pipe.send((action, args))
        try:
            well, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(
                f"{self.module}: its process ended with exit code {self._process.exitcode}."
            ) from None
        if not well:
            raise RuntimeError(f"{self.module} failed:\n{answer}")
        return answer


def _serve(pipe):
    """The life of a worker: do what the messages say until there are no more."""
    while True:
        try:
            action, args = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, action(*args)))
        except Exception:
            pipe.send((False, traceback.format_exc()))


_run = None  # what this process, a worker, is to time


def _call(function, args, options):
    module, _, name = function.rpartition(".")
    return getattr(importlib.import_module(module), name)(*args, **options)


def _prepare(runs, function, args, options):
    global _run
    _run = None  # let go of the memory of the last one first
    _run = _call(function, args, options)
    return [_run() for _ in range(runs)]


def _turn(seconds):
    """Run once to wake the threads up and to fill the caches, then count."""
    _run()
    times = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        _run()
        times.append(time.perf_counter() - start)
    return times


def alternate(workers, rounds, seconds):
    """Let workers take turns, and return the median time of a run for each.

    Args:
        workers: {name: Worker}, all prepared.
        rounds: how often each has its turn.
        seconds: how long a turn takes.
    """
    times = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            times[name] += worker.turn(seconds)
    return {name: statistics.median(values) for name, values in times.items()}
