"""flasher/mailbox.py against mbox_def.h and tl.h by hand, and against tables and packets that were read from chips."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flasher import mailbox
from flasher.errors import ChipError
from flasher.mailbox import (
    GET_STATE,
    OURS,
    QUEUE,
    FusAnswer,
    NvmJob,
    parse_answer,
    parse_device_info,
    parse_ready_event,
    tables,
)

BASE = 0x20030000
WORDS = struct.unpack(f"<{len(tables()) // 4}I", tables())
COMMAND_SIZE, EVENT_SIZE = 267, 266  # TL_CmdPacket_t, TL_EvtPacket_t

# WB55CG, FUS 1.1.1, no stack, from 0x20030024; WB55 with FUS 1.2.0 and stack 1.15.0.3, FUS running; words as dumped.
FRESH = (
    "A94656B9 00000001 01010000 01010100 00000006 00000000 00000000 00000000 00000000 00000000 00658473 0080E126 496"
)
WITH_STACK = "A94656B9 1 01010000 01020000 6 010F0003 26 0 0 0 00658473 0080E126 496"


def word(address: int) -> int:
    return int(WORDS[(address - BASE) // 4])


def table(text: str) -> bytes:
    words = [int(one, 16) for one in text.split()]
    return struct.pack(f"<{len(words)}I", *words)


# --- the tables


def test_the_mailbox_fits_where_the_largest_stack_leaves_room() -> None:
    """BLE_Stack_full_extended leaves CPU1 2 KiB of SRAM2A."""
    assert len(tables()) == 2048


NOTHING = BASE + 0x728


def test_the_reference_table_has_no_null_pointer() -> None:
    assert WORDS[:10] == (OURS.info, BASE + 0x5F0, NOTHING, BASE + 0x60, BASE + 0x70, *[NOTHING] * 5)


def test_the_unused_tables_are_zeros() -> None:
    assert tables()[0x728:] == bytes(2048 - 0x728)


def test_the_ble_table_has_real_buffers_and_an_empty_queue() -> None:
    """A stack that finds NULL there may leave 0x3DE96F61 and never start."""
    command, channel, queue, acl = WORDS[0x5F0 // 4 : 0x5F0 // 4 + 4]
    assert (command, acl) == (BASE + 0x600, command)
    assert channel == BASE + 0x710
    assert (word(queue), word(queue + 4)) == (queue, queue)


def test_the_system_table_names_command_buffer_and_queue() -> None:
    assert (word(BASE + 0x60), word(BASE + 0x64)) == (OURS.command, QUEUE)


def test_the_queues_are_empty() -> None:
    """A node that points to itself, both ways."""
    free = word(BASE + 0x70 + 0x10)
    for queue in (QUEUE, free):
        assert (word(queue), word(queue + 4)) == (queue, queue)


def test_the_memory_managers_table_is_filled() -> None:
    """FUS 0.5.3 sends no event without it."""
    spare_ble, spare_system, pool, size, free, traces, traces_size = WORDS[0x70 // 4 : 0x70 // 4 + 7]
    assert all((spare_ble, spare_system, pool, free))
    assert (size, traces, traces_size) == (550, 0, 0)


def test_nothing_overlaps_and_nothing_is_unaligned() -> None:
    spare_ble, spare_system, pool, size, free = WORDS[0x70 // 4 : 0x70 // 4 + 5]
    pieces = sorted([
        (BASE, 0x28), (OURS.info, 0x34), (BASE + 0x60, 8), (QUEUE, 8), (BASE + 0x70, 0x1C), (free, 8),
        (OURS.command, COMMAND_SIZE), (spare_ble, EVENT_SIZE), (spare_system, EVENT_SIZE), (pool, size),
        (BASE + 0x5F0, 16), (BASE + 0x600, COMMAND_SIZE), (BASE + 0x710, 15), (BASE + 0x720, 8), (NOTHING, 16),
    ])  # fmt: skip
    assert all(at % 4 == 0 for at, _ in pieces)
    assert all(at + length <= following for (at, length), (following, _) in pairwise(pieces))
    assert pieces[-1][0] + pieces[-1][1] <= BASE + 2048


# --- packets


def test_a_command_has_header_type_opcode_and_no_payload() -> None:
    assert mailbox.command(GET_STATE) == bytes(8) + bytes.fromhex("10 52 FC 00")


def test_an_answer_with_state_and_error() -> None:
    assert parse_answer(bytes.fromhex("11 0E 05 FF 52 FC 10 04 00 00 00 00"), GET_STATE) == FusAnswer(0x10, 0x04)


def test_an_answer_without_an_error_byte_has_error_0() -> None:
    """Towards the end of an installation; what stands behind it is older."""
    assert parse_answer(bytes.fromhex("11 0E 04 01 52 FC FF 99"), GET_STATE) == FusAnswer(0xFF, 0)


@pytest.mark.parametrize(
    "data",
    [
        "10 0E 05 FF 52 FC 00 00",
        "11 0F 05 FF 52 FC 00 00",
        "11 0E 05 FF 53 FC 00 00",
        "11 0E 03 FF 52 FC 00 00",
        "11 0E 04 FF FE 00 FE 00",  # FUS 0.5.3 to what it does not know
        "00 00 00 00 00 00 00 00 10 52 FC 00",  # the command still stands there
    ],
)
def test_a_foreign_answer_is_refused(data: str) -> None:
    with pytest.raises(ChipError, match=r"CPU2 answered [0-9a-f ]{23} to 0xFC52: not an answer to it"):
        parse_answer(bytes.fromhex(data).ljust(12, b"\0"), GET_STATE)


# --- ready events


def ready_event(payload: int, event: int = 0x9200) -> bytes:
    return bytes(8) + struct.pack("<BBBHB", 0x12, 0xFF, 3, event, payload) + bytes(2)


@pytest.mark.parametrize(
    ("payload", "job"), [(0x00, None), (0x01, None), (0x10, NvmJob.BACKUP), (0x11, NvmJob.RESTORE)]
)
def test_a_ready_event_reports_an_nvm_job(payload: int, job: NvmJob | None) -> None:
    """shci.h v1.24.0, SHCI_SysEvt_Ready_Rsp_t."""
    assert parse_ready_event(ready_event(payload)) is job


def test_another_event_reports_no_nvm_job() -> None:
    assert parse_ready_event(ready_event(0x10, event=0x9201)) is None


# --- device information


@pytest.mark.parametrize(("stack_type", "job"), [("F0", NvmJob.BACKUP), ("F1", NvmJob.RESTORE), ("1", None)])
def test_the_stack_type_reports_an_nvm_job(stack_type: str, job: NvmJob | None) -> None:
    info = parse_device_info(table(f"01010000 02010000 6 0 01180001 0A0F0020 {stack_type} 0 0 0 0 0 0"))
    assert (info.nvm_job, info.is_fus) == (job, False)


def test_a_memory_size_of_fus_is_not_a_stack_type() -> None:
    assert parse_device_info(table(WITH_STACK.replace(" 26 ", " F0 "))).nvm_job is None


def test_fus_without_a_stack() -> None:
    info = parse_device_info(table(FRESH))
    assert (info.is_fus, info.fus.text, info.stack, info.stack_sectors) == (True, "1.1.1", None, 0)
    assert info.safeboot.text == "1.1.0"


def test_fus_with_a_stack() -> None:
    info = parse_device_info(table(WITH_STACK))
    assert info.stack is not None
    assert (info.is_fus, info.fus.text, info.stack.full_text, info.stack_sectors) == (True, "1.2.0", "1.15.0.3", 38)


def test_a_running_stack_has_another_layout() -> None:
    info = parse_device_info(table("01010000 02010000 6 0 01180001 0A0F0020 1 0 0 0 0 0 0"))
    assert info.stack is not None
    assert (info.is_fus, info.fus.text, info.stack.full_text, info.stack_sectors) == (False, "2.1.0", "1.24.0.1", 32)


def test_branch_and_build_of_fus_count_for_nothing() -> None:
    """2.0.0.3 is 2.0.0 for every rule of ST's."""
    assert parse_device_info(table(FRESH.replace("01010100", "02000003"))).fus.text == "2.0.0"


def test_a_stacks_size_counts_only_with_a_stack() -> None:
    assert parse_device_info(table("A94656B9 1 0 01020000 6 0 26 0 0 0 0 0 0")).stack_sectors == 0


@given(st.binary(min_size=mailbox.TABLE_SIZE, max_size=mailbox.TABLE_SIZE))
def test_any_table_is_read(data: bytes) -> None:
    info = parse_device_info(data)
    assert info.is_fus == (data[:4] == bytes.fromhex("B95646A9"))


@given(st.binary(min_size=12, max_size=12))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    try:
        answer = parse_answer(data, GET_STATE)
    except ChipError:
        return
    assert data[:2] + data[4:6] == bytes.fromhex("11 0E 52 FC")
    assert answer.status == data[6]
