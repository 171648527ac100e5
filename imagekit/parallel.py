"""Do the same work on all cores: each share of it in a forked process, the first share in this process.

Python's threads wait for each other in this work (parsing, rules, ECDSA), so only processes use more than one core. A
fork costs a few milliseconds and inherits all loaded modules. Without fork (Windows), this process does all the work.
The result of a share comes back through a pipe; nothing else is shared.
"""

import os
import pickle
from collections.abc import Callable, Sequence
from typing import TypeVar

Share = TypeVar("Share")
Result = TypeVar("Result")


def cores() -> int:
    """Return how many processes are useful."""
    if not hasattr(os, "fork"):  # Windows: a process would load all modules again
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS does not say which cores it allows


def map_shares(work: Callable[[Share], Result], shares: Sequence[Share]) -> list[Result]:
    """Do the work for all shares at the same time; return the results in order. Results must be picklable.

    The share of a process that died (killed, out of memory, an error) is done again in this process, so that its error
    is raised here.
    """
    children = [_start(work, share) for share in shares[1:]]
    try:
        results = [work(share) for share in shares[:1]]
    finally:  # leave no process and no pipe behind
        written = [_result(*child) for child in children]
    for share, data in zip(shares[1:], written, strict=True):
        results.append(work(share) if data is None else pickle.loads(data))  # noqa: S301 - our own child wrote it
    return results


def _start(work: Callable[[Share], Result], share: Share) -> tuple[int, int]:
    """Fork a process that does the work for one share; return its id and where its result can be read."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write_end)
        return pid, read_end
    status = 1
    try:
        os.close(read_end)
        with os.fdopen(write_end, "wb") as pipe:
            pickle.dump(work(share), pipe, pickle.HIGHEST_PROTOCOL)
        status = 0
    except BaseException:  # noqa: BLE001, S110 - the parent does the share again and reports the error
        pass
    finally:
        os._exit(status)  # neither the parent's buffers nor its handlers are this process's


def _result(pid: int, read_end: int) -> bytes | None:
    """Wait for a process; return what it wrote; None when it died."""
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    return None if status else data
