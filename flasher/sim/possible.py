"""What a chip's state can be, for states that come from a file: one that cannot be would fail later, in an access.

Numbers are words and times are finite before they come here: `codec` sees to it.
"""

from collections.abc import Iterator

from flasher.sim.behaviour import LARGEST_NVM_SECTORS, LONGEST_SECONDS, is_possible
from flasher.sim.chip import SimulatedChip
from flasher.sim.cpu1 import Cpu1State
from flasher.sim.flash_registers import KEYS, ROW_BYTES, Busy, FlashState
from flasher.sim.keys import MOST_USER_KEYS
from flasher.sim.parts import FLASH_BASE
from flasher.sim.secret import Operation, Secret


def refuse_impossible(chip: SimulatedChip) -> None:
    """Raise ValueError for a state that no chip is ever in."""
    for is_fine, what in _checks(chip):
        if not is_fine:
            raise ValueError(f"no chip has such {what}")


def _checks(chip: SimulatedChip) -> Iterator[tuple[bool, str]]:
    yield is_possible(chip.behaviour), "behaviour"
    yield {base: len(block) for base, block in chip.ram.state.blocks.items()} == chip.ram.sizes, "RAM"
    yield len(chip.cpu1.state.core) == len(Cpu1State().core), "registers of CPU1"
    yield max(chip.fus.state.error, chip.fus.state.error_state, chip.fus.state.forced_error) <= 0xFF, "errors of FUS"
    yield from _flash(chip, chip.flash.state)
    yield from _secret(chip, chip.fus.secret)


def _flash(chip: SimulatedChip, state: FlashState) -> Iterator[tuple[bool, str]]:
    yield max(state.key_step, state.option_key_step) < len(KEYS), "step of a key"
    for busy, begins in ((state.busy, chip.clock), (state.suspended, 0.0)):
        yield busy is None or _is_possible_busy(chip, busy, begins), "operation of flash"
    pages = range(FLASH_BASE, chip.part.die_end, chip.part.page)
    yield all(at in pages and len(line) == chip.part.page for at, line in state.cache.items()), "data cache"
    yield state.first_word is None or _is_flash(chip, state.first_word, 8), "address of a line"
    yield len(state.row) < ROW_BYTES and (not state.row or _is_flash(chip, state.row_address, ROW_BYTES)), "row"


def _is_possible_busy(chip: SimulatedChip, busy: Busy, begins: float) -> bool:
    is_inside = _is_flash(chip, busy.address, busy.size) or not busy.size
    return is_inside and busy.due <= begins + LONGEST_SECONDS


def _secret(chip: SimulatedChip, secret: Secret) -> Iterator[tuple[bool, str]]:
    yield secret.report <= 0xFF and len(secret.user_keys) <= MOST_USER_KEYS, "memory of FUS"
    yield secret.nvm_sectors <= LARGEST_NVM_SECTORS, "NVM section"
    if (stack := secret.stack) is not None:
        yield _is_flash(chip, stack.address, max(stack.size, stack.sectors * chip.part.page)), "stack"
        yield max(stack.sram2a_kib, stack.sram2b_kib) <= 0xFF, "memory of a stack"
    if (operation := secret.operation) is not None:
        yield _is_possible_operation(chip, operation), "operation of FUS"


def _is_possible_operation(chip: SimulatedChip, operation: Operation) -> bool:
    """Whether the image that is being installed, if one is, lies in flash where it is and where it goes."""
    if operation.kind not in ("stack", "fus", "safeboot") or not operation.is_writing:
        return True
    size = operation.staged_end - operation.staged_start
    room = max(size, operation.sectors * chip.part.page)
    memory = max(operation.sram2a_kib, operation.sram2b_kib)
    is_inside = _is_flash(chip, operation.staged_start, size) and _is_flash(chip, operation.target, room)
    return is_inside and memory <= 0xFF


def _is_flash(chip: SimulatedChip, address: int, size: int) -> bool:
    return FLASH_BASE <= address <= address + size <= chip.part.die_end
