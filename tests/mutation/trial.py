"""Runs tests against mutants: does anybody notice?

The quick way: import the library and collect the tests once, note which test calls which function,
and fork a process per mutant, which swaps the code of the function and runs the tests that call
it until one fails. If the function was called while modules were imported, too, or by no test, what
survives is tried again the slow way: a process that imports the mutant's text, and runs all tests,
those in the file of its own name first.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from calls import Calls
from forking import forked
from planting import Mutant
from swapping import Functions

ROOT = Path(__file__).parents[2]
SILENT = ("-s", "-p", "no:cacheprovider", "-p", "no:terminal", "-p", "no:faulthandler")
UNSURE = 77  # the exit code of a mutant whose code no function object could take
NO_PROGRAM = 79  # that of one which the compiler refuses


class Quick:
    """A plugin of pytest that runs, instead of the tests, the trials of mutants of one folder."""

    def __init__(self, folder: Path, mutants: Sequence[Mutant], at_once: int):
        self.mutants, self.at_once = list(mutants), at_once  # without those that do not compile
        self.survivors: list[Mutant] = []
        self.unsure: list[Mutant] = []
        self._folder, self._calls = folder, self._listener(folder)
        self._failed = False

    def _listener(self, folder: Path) -> Calls:
        """What notes which test calls what."""
        return Calls(folder)

    def run(self, tests: Sequence[str]) -> None:
        self._calls.listen()
        if code := pytest.main([*SILENT, *tests], plugins=[self]):
            raise RuntimeError(f"pytest has ended with {code!r}")

    def pytest_internalerror(self, excrepr: object) -> None:
        print(excrepr, file=sys.stderr)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._calls.stop()
        if session.testsfailed:
            raise RuntimeError("the tests cannot be collected")
        at_import = set(self._calls.since())
        witnesses = self._witnesses(session.items)
        self._prepare()
        gc.freeze()  # else each trial would copy all that its garbage collector looks at
        jobs = [(m, witnesses.get(m.place, [])) for m in [*_honest(self.mutants), *self.mutants]]
        trials = forked(jobs, self._try, self._last_limit, self.at_once)
        for done, ((mutant, called_by), status) in enumerate(trials, start=1):
            if done % 100 == 0:
                print(f"  {done} tried, {len(self.survivors)} survive", file=sys.stderr)
            if mutant.is_honest:
                _must_survive(mutant, status)
            elif status == NO_PROGRAM:
                self.mutants.remove(mutant)
            elif status == UNSURE or status == 0 and (mutant.place in at_import or not called_by):
                self.unsure.append(mutant)
            elif status == 0:
                self.survivors.append(mutant)
                print(f"  not caught: {mutant}", file=sys.stderr, flush=True)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed |= report.failed

    def _prepare(self) -> None:
        """Do once what every trial would have to do."""
        _import_all({mutant.path for mutant in self.mutants})
        self._functions = Functions(self._folder)
        _warm_up()

    def _plant(self, mutant: Mutant) -> None:
        """Let this process run the mutant's code; ValueError if that is not possible."""
        self._functions.swap(mutant)

    def _witnesses(self, items: list[pytest.Item]) -> dict:
        """For each function, the tests that call it and their seconds, the quickest first."""
        with tempfile.NamedTemporaryFile() as file:
            path = Path(file.name)
            trial = forked([items], lambda every: self._measure(every, path), lambda _: 3600, 1)
            ((_, status),) = trial
            if status:
                raise RuntimeError("a test fails without a mistake, too: it would show nothing")
            noted = json.loads(path.read_text())
        found: dict = {}
        for index, seconds, called in sorted(noted, key=lambda note: note[1]):
            for file_name, line in called:
                found.setdefault((file_name, line), []).append((items[index], seconds))
        return found

    def _measure(self, items: list[pytest.Item], path: Path) -> int:
        """Run every test once; what it calls and how long it takes goes to a file."""
        notes = []
        for index, (item, following) in enumerate(_with_following(items)):
            start = time.perf_counter()
            self._calls.listen()
            failed = self._fails(item, following)
            self._calls.stop()
            if failed:
                os.write(2, f"{item.nodeid} fails without a mistake\n".encode())
                return 1
            notes.append((index, time.perf_counter() - start, self._calls.since()))
        path.write_text(json.dumps(notes))
        return 0

    def _try(self, job: tuple[Mutant, list[tuple[pytest.Item, float]]]) -> int:
        mutant, witnesses = job
        _be_silent()
        try:
            self._plant(mutant)
        except ValueError:
            return UNSURE
        tests = _with_following([item for item, _ in witnesses])
        for (item, following), (_, seconds) in zip(tests, witnesses, strict=True):
            # counts the processor's time, whatever else it does; when it is over, we are ended
            signal.setitimer(signal.ITIMER_PROF, _limit(seconds))
            if self._fails(item, following):
                return 1
        return 0

    def _last_limit(self, job: tuple[Mutant, list[tuple[pytest.Item, float]]]) -> float:
        """Seconds after which a mutant has been noticed that lets all tests wait for something."""
        return sum(_limit(seconds) for _, seconds in job[1]) + 20

    def _fails(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        """Run a test; what it shares with the following one stays."""
        self._failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return self._failed


def _limit(seconds: float) -> float:
    """How long a test may take: with a mutant it may loop for ever."""
    return 10 + 10 * seconds


def _with_following(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return itertools.zip_longest(items, items[1:])


def from_scratch(mutants: Sequence[Mutant], tests: Sequence[str], at_once: int) -> list[Mutant]:
    """The mutants that survive all tests, which import them."""

    def run(job: Mutant) -> int:
        return _import_and_run(job, tests)

    found, start = [], time.perf_counter()
    for honest, status in forked(_honest(mutants)[:1], run, lambda _: 3600, 1):
        _must_survive(honest, status)
    limit = 10 + 3 * (time.perf_counter() - start)  # at once, they take longer
    for mutant, status in forked(mutants, run, lambda _: limit, at_once):
        if status == 0:
            found.append(mutant)
            print(f"  not caught from scratch: {mutant}", file=sys.stderr, flush=True)
    return found


def _honest(mutants: Sequence[Mutant]) -> list[Mutant]:
    """One mutant of every file that is none: tests that fail with it would show nothing."""
    return [mutant.without_mistake() for mutant in {m.path: m for m in mutants}.values()]


def _must_survive(mutant: Mutant, status: int) -> None:
    if status:
        raise RuntimeError(f"tests of {mutant.path} fail without a mistake, too")


def _import_and_run(mutant: Mutant, tests: Sequence[str]) -> int:
    _be_silent()
    with tempfile.TemporaryDirectory() as folder:
        if mutant.path.parent.name == "kernels":
            os.environ["MINICNN_HOME"] = folder  # where Numba keeps what it compiles
        _plant(mutant)
        # a file that pytest is given it would else import in its own way, without the mistake
        options, own = ["--assert=plain", "-x"], f"tests/test_{mutant.path.stem}.py"
        first = [own] if own in tests else []
        return int(pytest.main([*SILENT, *options, str(mutant.path), *first, *tests]))


def _plant(mutant: Mutant) -> None:
    """Let the import of the mutated file find the mutant's text."""
    read = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, name: str) -> object:
        if Path(loader.path).resolve() == mutant.path.resolve():
            return compile(mutant.source, loader.path, "exec")
        return read(loader, name)

    assert not any(name.startswith("minicnn") for name in sys.modules), "imported too early"
    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]


def _import_all(paths: Iterable[Path]) -> None:
    """Import the modules of files, which some packages do only when they are asked for one."""
    for path in paths:
        if path.is_relative_to(ROOT):  # and no test of this tool
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            module = importlib.import_module(f"minicnn.{name.removeprefix('minicnn.')}")
            must_be_this_checkout(Path(str(module.__file__)), path)


def must_be_this_checkout(imported: Path, wanted: Path) -> None:
    """What else would be tested is not what the mutants are made of, and all of them would survive.

    Raises:
        RuntimeError: another copy of minicnn has been imported.
    """
    if imported.resolve() != wanted.resolve():
        raise RuntimeError(
            f"{wanted} should be tested, but what is imported is {imported}. Install this folder: "
            f"pip install -e {ROOT}"
        )


def _warm_up() -> None:
    """Let Numba import now what each trial would import."""
    import numba  # not before: it would read too early whether it shall compile

    numba.njit(lambda x: x + 1)(1)


def _be_silent() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
