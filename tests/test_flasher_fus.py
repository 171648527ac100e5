"""flasher/fus.py where CPU2 does not do what it should: nothing is reset that may be at work, and every wait ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flasher import cpu2 as cpu2_module
from flasher import fus as module
from flasher.cpu2 import Contact
from flasher.errors import ChipError, FusError, SilentError
from flasher.fus import FusClient
from flasher.registers import C2BOOT, PWR_CR4, SRAM2A
from flasher.retry import Wait
from flasher.sim.chip import SimulatedChip
from flasher.sim.dll_link import Survives
from flasher.sim.faults import Fault
from flasher.sim.fus import SimulatedFus
from tests.support.flashing import EVERYTHING, Bench, opened, simulated
from tests.support.jlinks import own_locks_and_no_sleep

__all__ = ["own_locks_and_no_sleep"]


@pytest.fixture
def taken(tmp_path: Path) -> Callable[..., tuple[Bench, FusClient]]:
    """A connected chip whose CPU2 is not taken over yet."""

    def make(chip: SimulatedChip, *faults: Fault) -> tuple[Bench, FusClient]:
        bench = Bench(chip, tmp_path, faults, after_reset=Survives())
        return bench, FusClient(bench.connect(), lambda _event, _text: None)

    return make


def started_without_mailbox(chip: SimulatedChip) -> None:
    """C2BOOT over zeros, as a tool that only reads FUS's version does (hardware dump)."""
    chip.halt()
    chip.write(SRAM2A, bytes(256), 4)
    chip.write(PWR_CR4, C2BOOT.to_bytes(4, "little"), 4)
    chip.advance(1)


# --- taking over


def test_a_fus_without_a_mailbox_is_watched_before_it_is_reset(taken: Callable[..., Any]) -> None:
    chip = simulated()
    started_without_mailbox(chip)
    before = chip.clock
    _, cpu2 = taken(chip)
    assert cpu2.begin().is_fus
    assert chip.clock - before > 120
    assert cpu2.contact is Contact.IDLE


def test_a_fus_without_a_mailbox_that_is_at_work_is_left_alone(
    taken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = simulated()
    started_without_mailbox(chip)
    epoch = chip.epoch
    _, cpu2 = taken(chip)
    monkeypatch.setattr(SimulatedFus, "works_on_flash", property(lambda _self: True))
    with pytest.raises(
        SilentError,
        match=r"^Do NOT power off or reset the board: FUS may still be running\. FUS works and cannot be asked",
    ):
        cpu2.begin()
    assert chip.epoch == epoch
    assert cpu2.contact is Contact.MAY_BE_BUSY


def test_a_stack_without_a_mailbox_is_taken_over(taken: Callable[..., Any]) -> None:
    chip = simulated(stack="stack-4k")
    started_without_mailbox(chip)
    _, cpu2 = taken(chip)
    info = cpu2.begin()
    assert (info.is_fus, info.stack.text) == (False, "1.13.3")
    assert cpu2.contact is Contact.IDLE


@pytest.mark.parametrize("stack", [None, "stack-4k"])
def test_a_cpu2_that_was_not_started_is_not_read(taken: Callable[..., Any], stack: str | None) -> None:
    chip = simulated(stack=stack)
    _, cpu2 = taken(chip)
    assert cpu2.peek() is None
    assert chip.read(PWR_CR4, 4, 4) == bytes(4)


def test_a_cpu2_behind_read_protection_is_not_looked_at(taken: Callable[..., Any]) -> None:
    """A debugger reads SRAM2 at level 0 only."""
    chip = simulated()
    started_without_mailbox(chip)
    chip.state.rdp = 0xBB
    chip.options.set_by_cpu2(RDP=0xBB)
    chip.options.load()
    _, cpu2 = taken(chip)
    assert cpu2.peek() is None


def test_a_cpu2_that_does_not_start(taken: Callable[..., Any]) -> None:
    chip = simulated()
    chip.fus.secret.dead = "for a test"
    _, cpu2 = taken(chip)
    with pytest.raises(SilentError, match="CPU2 is up: not within 15 s"):
        cpu2.begin()


@pytest.mark.parametrize(
    ("word", "told"), [(0x3DE96F61, "a pointer of the mailbox"), (0x1170FD0F, "CPU2 had a hard fault")]
)
def test_the_magic_word_of_a_dead_cpu2_is_reported(
    taken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, word: int, told: str
) -> None:
    chip = simulated(stack="stack-4k")
    monkeypatch.setattr(chip.cpu2, "_booted", lambda: chip.cpu2._hang(SRAM2A, word))
    _, cpu2 = taken(chip)
    with pytest.raises(ChipError, match=f"CPU2 hangs, and left 0x{word:08X}: .*{told}"):
        cpu2.begin()
    assert cpu2.contact is Contact.IDLE


def test_a_fus_that_only_says_unknown(taken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    chip = simulated()
    monkeypatch.setattr(SimulatedFus, "_get_state", lambda _self: b"\xff\xff")
    _, cpu2 = taken(chip)
    with pytest.raises(ChipError, match=r"FUS answers UNKNOWN \(FF/FF\) to every question, also after a reset"):
        cpu2.begin()


def test_an_answer_to_another_question(taken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    chip = simulated()
    _, cpu2 = taken(chip)
    cpu2.begin()
    monkeypatch.setattr(SimulatedFus, "answer", lambda _self, _opcode, _payload: b"")
    with pytest.raises(ChipError, match="to 0xFC52: not an answer to it"):
        cpu2.begin()


# --- giving way


def test_a_stack_that_never_gives_way(taken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    chip = simulated(stack="stack-4k")
    monkeypatch.setattr(chip.cpu2, "_stack_answer", lambda _opcode, _payload: b"\xff\xfe")
    _, cpu2 = taken(chip)
    cpu2.begin()
    with pytest.raises(ChipError, match="FUS does not start after 10 requests to the running stack"):
        cpu2.enter_fus()


# --- at work


def test_a_fus_that_never_ends_keeps_its_boot_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its duration is unknown; the next run waits again, and the option bytes are given back then."""
    monkeypatch.setattr(module, "UPGRADE", Wait("the installation", 60.0, 0.1))
    monkeypatch.setattr(cpu2_module, "ANSWER", Wait("CPU2 answers", 5.0, 0.1))
    chip = simulated(first_answer_seconds=1e9)
    before = chip.options.state.stored["OPTR"]
    with pytest.raises(SilentError, match=r"^Do NOT power off .* leave the board powered, then run the command again"):
        Bench(chip, tmp_path).install(opened("stack-larger-than-256k"))
    assert chip.options.state.stored["OPTR"] != before, "CPU1 must not start its application now"
    assert not chip.fus.secret.dead
    operation = chip.fus.secret.operation
    assert operation is not None
    operation.busy_until = operation.due = chip.clock + 30
    Bench(chip, tmp_path).install(opened("stack-larger-than-256k"))
    assert chip.fus.secret.stack is not None
    assert chip.options.state.stored["OPTR"] == before
    assert not chip.fus.secret.dead


def test_a_command_that_fus_forgets_is_not_sent_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FUS answers, says that it is idle, and nothing comes of it."""
    chip = simulated()
    sent: list[int] = []
    original = SimulatedFus.answer

    def answer(self: SimulatedFus, opcode: int, payload: bytes) -> bytes:
        if opcode == 0xFC54:
            sent.append(opcode)
            return b"\x00"
        return original(self, opcode, payload)

    monkeypatch.setattr(SimulatedFus, "answer", answer)
    with pytest.raises(ChipError, match=r"FUS stopped without a result of install-stack .*: state 0x00, no error"):
        Bench(chip, tmp_path).install(opened("stack-4k"))
    assert len(sent) == 1


def test_a_command_that_fus_refuses_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(self: SimulatedFus) -> bytes:
        self._fail("start", 0x01)
        return b"\x01"

    chip = simulated(stack="stack-4k")
    chip.fus.installer.select_fus()
    chip.power_cycle()
    monkeypatch.setattr(SimulatedFus, "_start_stack", refuse)
    with pytest.raises(FusError, match="FUS ended starting the stack with IMG_NOT_FOUND"):
        Bench(chip, tmp_path).install(opened("stack-4k"), EVERYTHING)


@pytest.mark.parametrize("word", [0x3DE96F61, 0x1170FD0F])
def test_a_cpu2_hung_by_an_application_is_restarted(tmp_path: Path, word: int) -> None:
    """The application gave it a bad mailbox: nothing is at work, so the chip may be reset."""
    it = simulated()
    it.advance(0.1)
    it.write(0x58000050, (1 << 20).to_bytes(4, "little"), 4)
    it.ram.put_words(SRAM2A, word)
    it.write(0x5800040C, (1 << 15).to_bytes(4, "little"), 4)
    it.cpu2.state.is_hung = True
    it.advance(0.1)
    it.ram.put_words(SRAM2A, word)
    Bench(it, tmp_path).install(opened("fus-2.2.0", "stack-fus2-4k"))
    assert it.fus.secret.stack is not None
