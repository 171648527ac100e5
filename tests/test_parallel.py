"""Work in forked processes: every share once, in order; a process that dies is not mistaken for one that is done."""

import os
import signal

import pytest

from imagekit import parallel

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def test_results_come_in_the_order_of_the_shares() -> None:
    shares = [[1, 2], [3], [], [4, 5, 6]]
    assert parallel.map_shares(sum, shares) == [3, 3, 0, 15]
    assert parallel.map_shares(sum, []) == []


def test_each_share_but_the_first_has_its_own_process() -> None:
    pids = parallel.map_shares(lambda _: os.getpid(), range(4))
    assert pids[0] == os.getpid()
    assert len(set(pids)) == 4


def test_a_large_result_does_not_block() -> None:
    assert [len(result) for result in parallel.map_shares(bytes, [1, 1 << 22, 1 << 22])] == [
        1,
        1 << 22,
        1 << 22,
    ]


def test_a_process_that_is_killed_is_an_error() -> None:
    parent = os.getpid()

    def work(_: int) -> None:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match="ended with -9"):
        parallel.map_shares(work, [0, 1])


def test_an_error_in_a_process_is_an_error_here() -> None:
    with pytest.raises(ChildProcessError, match="ended with 1"):
        parallel.map_shares(lambda share: 1 // share, [1, 0])
