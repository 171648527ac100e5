"""CPU1: halt and resume as a debugger asks for them, where it boots from, and an application that gets in the way.

Sources: Arm v7-M (DHCSR, DEMCR, AIRCR, DCRSR), psdb and CubeProgrammer logs (boot sources).
"""

from dataclasses import dataclass, field

from flasher.sim.behaviour import Behaviour
from flasher.sim.errors import AccessError
from flasher.sim.flash import SimulatedFlash
from flasher.sim.memory import ChipClock, Ram
from flasher.sim.option_bytes import OptionByteRegisters
from flasher.sim.parts import FLASH_BASE, SRAM1_BASE, SYSTEM_MEMORY_BASE, SYSTEM_MEMORY_SIZE

CPUID, AIRCR, DHCSR, DCRSR, DCRDR, DEMCR = 0xE000_ED00, 0xE000_ED0C, 0xE000_EDF0, 0xE000_EDF4, 0xE000_EDF8, 0xE000_EDFC
REGISTERS = (CPUID, AIRCR, DHCSR, DCRSR, DCRDR, DEMCR)

_CPUID_M4 = 0x410F_C241
_VECTKEY, _VECTKEYSTAT, _SYSRESETREQ = 0x05FA, 0xFA05, 1 << 2
_DBGKEY, _C_DEBUGEN, _C_HALT = 0xA05F, 1 << 0, 1 << 1
_S_REGRDY, _S_HALT, _S_LOCKUP, _S_RESET_ST = 1 << 16, 1 << 17, 1 << 19, 1 << 25
_VC_CORERESET = 1 << 0
_REGWNR, _SP, _PC, _XPSR = 1 << 16, 13, 15, 16  # numbers as in DCRSR.REGSEL
_THUMB_SHIFT = 24  # XPSR.T: an M4 without it faults at the first instruction
_LOOP = 0xE7FE  # Thumb: branch to itself (psdb leaves this in SRAM1)

APPLICATION_SECONDS = 0.02  # from reset until the application starts CPU2; not measured


@dataclass(slots=True)
class Cpu1State:
    """Debug registers, the core's registers as far as a debugger sees them, and what CPU1 is up to.

    `runs`: application, bootloader, loop or lockup. `step_due`: when the application does its next thing.
    """

    debug_enabled: bool = False
    halted: bool = False
    vector_catch: bool = False
    reset_seen: bool = True
    demcr: int = 0
    dcrdr: int = 0
    core: list[int] = field(default_factory=lambda: [0] * 21)
    runs: str = "bootloader"
    step_due: float | None = None
    has_booted: bool = False


class Cpu1:
    """The application core."""

    def __init__(
        self, behaviour: Behaviour, clock: ChipClock, ram: Ram, flash: SimulatedFlash, options: OptionByteRegisters
    ) -> None:
        self._behaviour, self._clock, self._ram, self._flash, self._options = behaviour, clock, ram, flash, options
        self.boot0_pin = False
        self.state = Cpu1State()
        self.wants_reset = False

    @property
    def now(self) -> float:
        """Simulated time in seconds."""
        return self._clock.now

    # --- boot

    def boot_source(self) -> int:
        """The address CPU1 takes its vectors from: main flash, system memory or SRAM1 (RM0434 2.3, psdb, logs)."""
        get = self._options.get
        if get("nSWBOOT0"):
            boot0 = self.boot0_pin
        elif get("nBOOT0"):
            system = self._behaviour.nswboot0_clear == "system-memory" and get("nBOOT1")
            if system:
                return SYSTEM_MEMORY_BASE
            return FLASH_BASE
        else:
            boot0 = True
        if boot0:
            if get("nBOOT1"):
                return SYSTEM_MEMORY_BASE
            return SRAM1_BASE
        is_empty = self._flash.read_cells(FLASH_BASE, 4) == b"\xff" * 4
        if is_empty:
            return SYSTEM_MEMORY_BASE
        return FLASH_BASE

    def forget_vector_catch(self) -> None:
        """Clear VC_CORERESET, as a reset that no debugger can catch does (hardware-review 9)."""
        self.state.vector_catch = False
        self.state.demcr &= ~_VC_CORERESET

    def reset(self, *, halt: bool, debug_lost: bool) -> None:
        """A reset: debug registers live on unless power or option loading took them."""
        old = self.state
        self.state = (
            Cpu1State()
            if debug_lost
            else Cpu1State(
                debug_enabled=old.debug_enabled, vector_catch=old.vector_catch, demcr=old.demcr, dcrdr=old.dcrdr
            )
        )
        stack_pointer, entry = self._vectors(self.boot_source())
        self.state.core[_SP], self.state.core[_PC] = stack_pointer, entry & ~1
        self.state.core[_XPSR] = (entry & 1) << _THUMB_SHIFT
        self.state.runs = self._what_runs()
        if halt or (self.state.debug_enabled and self.state.vector_catch):
            self.state.debug_enabled = self.state.halted = True
        else:
            self._go()

    def _vectors(self, source: int) -> tuple[int, int]:
        if source == SRAM1_BASE:
            return self._ram.word(source), self._ram.word(source + 4)
        if source == SYSTEM_MEMORY_BASE:
            return 0x2000_1000, SYSTEM_MEMORY_BASE + 0x101
        words = self._flash.read_cells(FLASH_BASE, 8)
        return int.from_bytes(words[:4], "little"), int.from_bytes(words[4:], "little")

    def _what_runs(self) -> str:
        """What the core does from its PC on, wherever that came from: the vectors or a debugger."""
        code = self.state.core[_PC]
        if not self.state.core[_XPSR] >> _THUMB_SHIFT & 1:
            return "lockup"
        if SYSTEM_MEMORY_BASE <= code < SYSTEM_MEMORY_BASE + SYSTEM_MEMORY_SIZE:
            return "bootloader"
        secure = self._options.secure_start
        if FLASH_BASE <= code < min(self._flash.end, secure if secure is not None else self._flash.end):
            return "application"
        loops = self._ram.find(code, 2) is not None and self._ram.read(code, 2) == _LOOP.to_bytes(2, "little")
        if loops:
            return "loop"
        return "lockup"

    def _go(self) -> None:
        self.state.halted = False
        if self.state.runs == "application":
            self.state.step_due = self._clock.now + (0.001 if self.state.has_booted else APPLICATION_SECONDS)

    def halt(self) -> None:
        """Halt the core."""
        self.state.debug_enabled = self.state.halted = True
        self.state.step_due = None

    def resume(self) -> None:
        """Let the core run on."""
        if self.state.halted:
            self.state.runs = self._what_runs()
            self._go()

    # --- registers

    def read_register(self, address: int) -> int:
        """Read one of `REGISTERS`."""
        state = self.state
        if address == DHCSR:
            value = self._debug_status()
            state.reset_seen = False
            return value
        return {CPUID: _CPUID_M4, AIRCR: _VECTKEYSTAT << 16, DCRDR: state.dcrdr, DEMCR: state.demcr}.get(address, 0)

    def _debug_status(self) -> int:
        """DHCSR as it reads."""
        state, value = self.state, _S_REGRDY
        if state.halted:
            value |= _S_HALT | _C_HALT
        elif state.runs == "lockup":
            value |= _S_LOCKUP
        if state.reset_seen:
            value |= _S_RESET_ST
        if state.debug_enabled:
            value |= _C_DEBUGEN
        return value

    def write_register(self, address: int, value: int) -> None:
        """Write one of `REGISTERS`. Raises AccessError for core registers of a running core."""
        state = self.state
        if address == DHCSR and value >> 16 == _DBGKEY:
            self._write_dhcsr(value)
        elif address == AIRCR and value >> 16 == _VECTKEY and value & _SYSRESETREQ:
            self.wants_reset = True
        elif address == DEMCR:
            state.demcr, state.vector_catch = value, bool(value & _VC_CORERESET)
        elif address == DCRDR:
            state.dcrdr = value
        elif address == DCRSR:
            self._transfer(value)

    def _write_dhcsr(self, value: int) -> None:
        if value & _C_DEBUGEN and value & _C_HALT:
            self.halt()
            return
        self.resume()
        self.state.debug_enabled = bool(value & _C_DEBUGEN)

    def _transfer(self, value: int) -> None:
        if not self.state.halted:
            raise AccessError(DCRSR, "core registers of a running core")
        register = value & 0x7F
        if register >= len(self.state.core):
            return
        if value & _REGWNR:
            self.state.core[register] = self.state.dcrdr & (~1 if register == _PC else ~0)
        else:
            self.state.dcrdr = self.state.core[register]
