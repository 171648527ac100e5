"""The registers outside memory: RCC, PWR, EXTI, IPCC, flash, DBGMCU and those of CPU1's debug unit.

An address that is not modelled faults: better a loud gap than a register that silently means nothing. Sources: CMSIS
stm32wb55xx.h, the same on all parts; psdb (C2BOOT is 0 after every reset; IPCC needs its clock).
"""

from dataclasses import dataclass, field

from flasher.sim import cpu1 as debug
from flasher.sim import ipcc as ipcc_registers
from flasher.sim.behaviour import Behaviour
from flasher.sim.cpu1 import Cpu1
from flasher.sim.cpu2 import SimulatedCpu2
from flasher.sim.errors import AccessError
from flasher.sim.flash import SimulatedFlash
from flasher.sim.identity import IDCODE, FactoryConstants
from flasher.sim.ipcc import Ipcc
from flasher.sim.option_bytes import REGISTERS as OPTION_REGISTERS

RCC_BASE, PWR_BASE, EXTI_BASE, IPCC_BASE, FLASH_REGISTERS = (
    0x5800_0000,
    0x5800_0400,
    0x5800_0800,
    0x5800_0C00,
    0x5800_4000,
)
RCC_AHB3ENR, RCC_CSR, PWR_CR4 = RCC_BASE + 0x50, RCC_BASE + 0x94, PWR_BASE + 0x0C
IPCCEN, C2BOOT, RMVF = 1 << 20, 1 << 15, 1 << 23
CSR_OBL, CSR_PIN, CSR_BOR, CSR_SOFTWARE = 1 << 25, 1 << 26, 1 << 27, 1 << 28
_CSR_FLAGS = 0x7F << 25
_SYSTEM_CONTROL = 0xE000_E000  # Arm v7-M
_PLAIN = ((RCC_BASE, 0x400), (PWR_BASE, 0xA0), (EXTI_BASE, 0x100), (_SYSTEM_CONTROL, 0x1000))  # cleared by every reset
_DBGMCU = (IDCODE, 0x60)


@dataclass(slots=True)
class RegisterState:
    """Words as written; those of DBGMCU live as long as there is power."""

    words: dict[int, int] = field(default_factory=dict)
    dbgmcu: dict[int, int] = field(default_factory=dict)
    csr: int = 0


class Registers:
    """Decoder of the peripheral addresses. `c2boot_rose` asks the chip to start CPU2."""

    def __init__(
        self,
        behaviour: Behaviour,
        flash: SimulatedFlash,
        ipcc: Ipcc,
        cpu1: Cpu1,
        cpu2: SimulatedCpu2,
        identity: FactoryConstants,
    ) -> None:
        self._behaviour, self._flash, self._ipcc, self._cpu1, self._cpu2 = behaviour, flash, ipcc, cpu1, cpu2
        self._identity = identity
        self.state = RegisterState()
        self.c2boot_rose = False

    def reset(self, flags: int, *, power: bool) -> None:
        """Clear what a reset clears, and say in RCC_CSR which it was."""
        dbgmcu = self.state.dbgmcu
        if power:
            dbgmcu = {}
        self.state = RegisterState(dbgmcu=dbgmcu, csr=flags if power else self.state.csr | flags)

    def read(self, address: int) -> int:
        """Read a word. Raises AccessError where nothing answers."""
        constant = self._identity.read(address)
        if constant is not None:
            return constant
        if address in debug.REGISTERS:
            return self._cpu1.read_register(address)
        if _is_in(address, (FLASH_REGISTERS, 0x400)):
            return self._read_flash_register(address - FLASH_REGISTERS)
        if _is_in(address, (IPCC_BASE, 0x20)):
            return self._read_ipcc(address - IPCC_BASE)
        if _is_in(address, _DBGMCU):
            return self.state.dbgmcu.get(address, 0)
        if address == RCC_CSR:
            return self.state.csr
        if any(_is_in(address, area) for area in _PLAIN):
            return self.state.words.get(address, 0)
        raise AccessError(address)

    def _read_ipcc(self, offset: int) -> int:
        if not self._has_ipcc_clock:
            return 0
        return self._ipcc.read(offset)

    def _read_flash_register(self, offset: int) -> int:
        """The option registers read 0 while an application sleeps (hardware-review 6)."""
        state = self._cpu1.state
        is_asleep = state.runs == "application" and not state.halted
        if offset in OPTION_REGISTERS and is_asleep and self._behaviour.options_readable == "halted":
            return 0
        return self._flash.read_register(offset)

    def write(self, address: int, value: int) -> None:
        """Write a word. Raises AccessError where nothing answers, or where the unit refuses."""
        if address in debug.REGISTERS:
            self._cpu1.write_register(address, value)
        elif _is_in(address, (FLASH_REGISTERS, 0x400)):
            self._flash.write_register(address - FLASH_REGISTERS, value)
        elif _is_in(address, (IPCC_BASE, 0x20)):
            self._write_ipcc(address, value)
        elif _is_in(address, _DBGMCU):
            self.state.dbgmcu[address] = value  # IDCODE reads as it is whatever was written
        else:
            self._write_plain(address, value)

    def _write_plain(self, address: int, value: int) -> None:
        if address == RCC_CSR:
            self.state.csr &= ~_CSR_FLAGS if value & RMVF else ~0
        elif address == PWR_CR4:
            self._write_cr4(value)
        elif any(_is_in(address, area) for area in _PLAIN):
            self.state.words[address] = value
        else:
            raise AccessError(address)

    def _write_cr4(self, value: int) -> None:
        """C2BOOT stays until reset; writing it again does nothing (RM0434 6.6.4 as quoted, psdb)."""
        started = self.state.words.get(PWR_CR4, 0) & C2BOOT
        self.state.words[PWR_CR4] = value | started
        self.c2boot_rose = bool(value & C2BOOT and not started)

    @property
    def _has_ipcc_clock(self) -> bool:
        return bool(self.state.words.get(RCC_AHB3ENR, 0) & IPCCEN)

    def _write_ipcc(self, address: int, value: int) -> None:
        if not self._has_ipcc_clock:
            if self._behaviour.ipcc_without_clock == "error":
                raise AccessError(address, "IPCC has no clock")
            return
        offset = address - IPCC_BASE
        self._ipcc.write(offset, value)
        if offset == ipcc_registers.C1SCR:
            self._cpu2.rung()


def _is_in(address: int, area: tuple[int, int]) -> bool:
    return area[0] <= address < area[0] + area[1]
