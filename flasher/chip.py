"""One STM32WB behind a debug probe: which chip it is, its registers, its option bytes, and CPU1.

Sequences: psdb (devices/stm32/flash_type1.py, devices/stm32wb55/ipc.py). registers.py has the sources of the numbers.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from flasher import registers as reg
from flasher.device import Identity, Options
from flasher.errors import ChipError, ProbeError, SilentError, TargetUnavailableError, TransferError
from flasher.probe import Clock, Probe
from flasher.retry import Wait, retry, retry_until, wait_until
from imagekit.targets import TARGETS, Series, Target

T = TypeVar("T")

_PAUSE_SECONDS = 0.2
_CONNECT_ATTEMPTS = 5
RECONNECT = Wait("the chip answers again", 10.0, 0.0)
_HALT = Wait("CPU1 halts", 0.2, 0.01)
_LOOP = struct.pack("<III", reg.SRAM1 + 512, reg.SRAM1 + 8 | 1, 0xE7FE)
"""Stack pointer, entry, and a Thumb branch to itself: CPU1 boots it and does nothing (psdb, ipc.py)."""


class ChipDriver:
    """The chip. Every method raises ProbeError when it cannot be reached."""

    def __init__(self, probe: Probe, clock: Clock) -> None:
        self.probe, self.clock = probe, clock
        self._identity: Identity | None = None
        self._found_debug = (0, 0)
        """DBGMCU_CR and DBGMCU_APB1FZR1 as they were found."""
        self.holds_cpu1 = False
        """Whether CPU1 is kept halted; otherwise an application may run."""

    # --- the link

    @property
    def identity(self) -> Identity:
        """Which chip it is. The chip that answers later must be the same."""
        assert self._identity is not None  # noqa: S101 - connect() comes first
        return self._identity

    def connect(self, *, under_reset: bool = False) -> Identity:
        """Attach, and identify the chip. Raises ChipError for a chip that is not an STM32WB of a known size.

        `under_reset`: pull the reset pin if the chip does not answer otherwise. Never while FUS may be running.
        """
        try:  # a chip that was just reset does not answer for a moment
            retry(self.probe.connect, _CONNECT_ATTEMPTS, TargetUnavailableError, self._pause)
        except TargetUnavailableError:
            if not under_reset:
                raise
            self.probe.connect(under_reset=True)
        self._found_debug = (self.word(reg.DBGMCU_CR), self.word(reg.DBGMCU_APB1FZR1))
        self.probe.write32(reg.DBGMCU_CR, reg.DEBUG_IN_LOW_POWER)
        dev_id = self.word(reg.DBGMCU_IDCODE) & reg.DEV_ID_MASK
        flash_kib = self.word(reg.FLASH_SIZE) & reg.FLASH_SIZE_MASK
        self._identity = Identity(
            target=self._target(dev_id, flash_kib), dev_id=dev_id, flash_kib=flash_kib, uid=self._uid()
        )
        return self._identity

    def disconnect(self) -> None:
        """Release the probe. Low-power modes and watchdogs are as before if CPU1 runs. Never raises."""
        if not self.holds_cpu1:
            with suppress(ProbeError):
                self.put(reg.DBGMCU_CR, self._found_debug[0])
                self.put(reg.DBGMCU_APB1FZR1, self._found_debug[1])
        self.probe.close()

    def reconnect(self) -> None:
        """Open the probe again and attach to the same chip. Nothing volatile in the chip is reliable afterwards."""
        uid = retry_until(self.clock, RECONNECT, self._attach_again, ProbeError)
        if uid != self.identity.uid:
            raise TargetUnavailableError(
                f"another chip answers (UID {uid}, not {self.identity.uid}): the chip was swapped during the work"
            )

    def _attach_again(self) -> str:
        self.probe.close()
        self._pause()
        self.probe.connect()
        self.probe.write32(reg.DBGMCU_CR, reg.DEBUG_IN_LOW_POWER)
        return self._uid()

    def _pause(self) -> None:
        self.clock.sleep(_PAUSE_SECONDS)

    def _uid(self) -> str:
        return self.probe.read(reg.UID, 12).hex()

    def _target(self, dev_id: int, flash_kib: int) -> Target:
        """Return the target of a part (RM0434 42.2; SEGGER's wiki for the sizes)."""
        if dev_id == reg.DEV_ID_WB1X:
            series = {Series.WB1X}
        elif dev_id == reg.DEV_ID_WB5X_WB3X:
            series = {Series.WB5X, Series.WB3X}
        else:  # OpenOCD lists 0x496 for WB3x, where CMSIS has 0x495; a number with one source is refused
            raise ChipError(f"DEV_ID 0x{dev_id:03X} is not an STM32WB with FUS: expected 0x495 or 0x494")
        targets = [target for target in TARGETS if target.series in series and target.flash_kib == flash_kib]
        if len(targets) > 1:  # WB3x and WB5x share DEV_ID and flash size, but not the size of SRAM1 (CMSIS)
            wanted = Series.WB3X
            if self._has_large_sram1():
                wanted = Series.WB5X
            targets = [target for target in targets if target.series is wanted]
        if not targets:
            raise ChipError(f"DEV_ID 0x{dev_id:03X} with {flash_kib} KiB of flash is not a known part")
        return targets[0]

    def _has_large_sram1(self) -> bool:
        """Whether SRAM1 continues after the smallest size. Asked twice: an access may fail for other reasons.

        That an access there fails on a WB3x is derived from the sizes (CMSIS); it was not seen on hardware.
        """
        return self._can_read_large_sram1() or self._can_read_large_sram1()

    def _can_read_large_sram1(self) -> bool:
        try:
            self.word(reg.SRAM1 + reg.SMALLEST_SRAM1)
        except TransferError:
            self.word(reg.SRAM1)  # raises when the chip does not answer at all
            return False
        return True

    # --- registers

    def word(self, address: int) -> int:
        """Read a word."""
        return self.probe.read32(address)

    def put(self, address: int, value: int) -> None:
        """Write a word."""
        self.probe.write32(address, value)

    def wait_for(self, address: int, mask: int, value: int, wait: Wait) -> int:
        """Wait until the masked word has a value, and return the word. Raises SilentError."""
        word = 0

        def look() -> int | None:
            nonlocal word
            word = self.word(address)
            if word & mask == value:
                return word
            return None

        try:
            return wait_until(self.clock, wait, look)
        except SilentError as error:
            raise SilentError(f"{error}: 0x{address:08X} reads 0x{word:08X}") from error

    # --- CPU1

    def halt_cpu1(self) -> None:
        """Halt CPU1, catch it at its reset vector, and write a loop to SRAM1, which it can boot from there."""
        self.holds_cpu1 = True
        self.put(reg.DBGMCU_APB1FZR1, self._found_debug[1] | reg.STOP_WATCHDOGS)
        self.put(reg.DHCSR, reg.DBGKEY | reg.C_DEBUGEN | reg.C_HALT)
        self.put(reg.DEMCR, reg.VC_CORERESET)
        self.wait_for(reg.DHCSR, reg.S_HALT, reg.S_HALT, _HALT)
        self.probe.write(reg.SRAM1, _LOOP)

    def reset(self) -> None:
        """Reset the chip, CPU1 halted at its vector. Never while FUS may be running: boards died of that."""
        self.probe.reset(halt=True)
        if self.word(reg.PWR_CR4) & reg.C2BOOT:
            raise ChipError("a reset of the chip did not reach CPU2")

    def reset_running(self) -> None:
        """Reset the chip, CPU1 running."""
        self.put(reg.DEMCR, 0)
        self.probe.reset(halt=False)

    def resume_cpu1(self) -> None:
        """Let CPU1 run, as without a debugger."""
        self.put(reg.DEMCR, 0)
        self.put(reg.DHCSR, reg.DBGKEY)
        self.holds_cpu1 = False

    # --- option bytes

    def options(self) -> Options:
        """Return the option registers in force.

        OPTR reads 0 while an application sleeps (psdb, devices/stm32wb55/flash.py): CPU1 is halted for the read then.
        Raises ChipError when OPTR reads 0 all the same.
        """
        words = self._option_words()
        if not words["OPTR"]:
            words = self._halted(self._option_words)
        if not words["OPTR"]:
            raise ChipError("the option bytes cannot be read (OPTR reads 0); power-cycle the board and try again")
        return Options(words, self.identity.target)

    def optr(self) -> int:
        """Return OPTR as it is in force, as `options` does."""
        return self.word(reg.OPTION_REGISTERS["OPTR"]) or self.options().words["OPTR"]

    def sfsa(self) -> int:
        """Return SFSA as it is in force."""
        return self.word(reg.OPTION_REGISTERS["SFR"]) & reg.SFSA_MASK

    def has_damaged_options(self) -> bool:
        """Whether option bytes were loaded that lost their power while they were written: they give an SFSA of 0.

        OPTR must be readable and SFSA must be 0 twice, CPU1 halted: a sleeping application makes both read 0.
        """
        if self.sfsa():
            return False
        return self.options().sfsa == 0 and self._halted(self.sfsa) == 0

    def _option_words(self) -> dict[str, int]:
        return {name: self.word(address) for name, address in reg.OPTION_REGISTERS.items()}

    def _halted(self, read: Callable[[], T]) -> T:
        """Read something while CPU1 is halted; afterwards it runs again, unless it is held anyway."""
        self.put(reg.DHCSR, reg.DBGKEY | reg.C_DEBUGEN | reg.C_HALT)
        try:
            self.wait_for(reg.DHCSR, reg.S_HALT, reg.S_HALT, _HALT)
            return read()
        finally:
            if not self.holds_cpu1:
                self.put(reg.DHCSR, reg.DBGKEY)
