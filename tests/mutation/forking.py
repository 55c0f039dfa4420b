"""Jobs in processes of their own, made by fork: what they break is not broken elsewhere."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

BROKEN = 78  # the exit code of a job that has raised an exception
Job = TypeVar("Job")


def forked(
    jobs: Iterable[Job], work: Callable[[Job], int], limit: Callable[[Job], float], at_once: int
) -> Iterator[tuple[Job, int]]:
    """Each job and its exit code, from a process of its own; one that takes too long has 1."""
    waiting, running = iter(jobs), dict[int, tuple[Job, float]]()
    parent = os.getppid()
    while True:
        if os.getppid() != parent:  # somebody has ended the program, and nobody waits for the jobs
            for process in running:
                os.killpg(process, signal.SIGKILL)
            sys.exit(1)
        while len(running) < at_once and (job := next(waiting, None)):
            running[_begun(job, work)] = job, time.monotonic() + limit(job)
        if not running:
            return
        for process, (job, end) in list(running.items()):
            status = _ended(process, time.monotonic() > end)
            if status is not None:
                del running[process]
                if status == BROKEN:
                    raise RuntimeError(f"this program has failed, not a test: {str(job)[:500]}")
                yield job, status
        time.sleep(0.005)


def _begun(job: Job, work: Callable[[Job], int]) -> int:
    process = os.fork()
    if process == 0:
        status, errors = BROKEN, os.fdopen(os.dup(2), "w")  # the work may be silent
        try:
            os.setsid()  # so that it can be ended with all that it starts
            status = work(job)
        except BaseException:
            traceback.print_exc(file=errors)
            errors.flush()
        finally:
            os._exit(status)
    return process


def _ended(process: int, is_late: bool) -> int | None:
    """The exit code of a process, if it has ended; a late one is ended, and has failed."""
    if is_late:
        os.killpg(process, signal.SIGKILL)
    done, status = os.waitpid(process, 0 if is_late else os.WNOHANG)
    if not done:
        return None
    return 1 if is_late else os.waitstatus_to_exitcode(status)
