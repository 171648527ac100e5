"""Work in forked processes: every share once, in order; a process that dies is not taken for a finished one."""

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


def test_the_share_of_a_process_that_is_killed_is_done_again() -> None:
    parent = os.getpid()

    def work(share: int) -> int:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return share

    assert parallel.map_shares(work, [1, 2, 3]) == [1, 2, 3]


def test_an_error_in_a_process_is_that_error_here() -> None:
    with pytest.raises(ZeroDivisionError):
        parallel.map_shares(lambda share: 1 // share, [1, 0])


def test_no_process_is_left() -> None:
    parallel.map_shares(sum, [[1], [2], [3]])
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_no_process_is_left_when_the_first_share_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        parallel.map_shares(lambda share: 1 // share, [0, 1, 2])
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
