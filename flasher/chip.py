"""One STM32WB behind a probe: who it is, its option bytes, its flash, CPU1 out of the way. Register writes only.

Flash can be changed within an Area alone, whole pages below SFSA, and an Area is made by the plan alone. Sequences:
psdb (devices/stm32/flash_type1.py), RM0434 3.3 as quoted there; registers.py has the sources of every number.
"""

import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from flasher import registers as reg
from flasher.errors import ChipError, FlashError, ProbeError, SilentError, TargetUnavailableError, TransferError
from flasher.probe import Clock, Probe
from imagekit.targets import TARGETS, Series, Target

RECONNECT_SECONDS = 10.0
_PAUSE_SECONDS = 0.2
_ERASE_SECONDS = 0.025  # a page takes about 22 ms; HAL gives any flash operation 1 s
_FLASH_SECONDS, _HALT_SECONDS = 1.0, 0.2
_BLOCK = 32 * 1024
_ATTEMPTS = 5
_LOOP = struct.pack("<III", reg.SRAM1 + 512, reg.SRAM1 + 8 | 1, 0xE7FE)
"""Stack pointer, entry, and Thumb's branch to itself: CPU1 boots it and does nothing (psdb, ipc.py)."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which chip it is; `uid` is its 96-bit number in hex."""

    target: Target
    dev_id: int
    flash_kib: int
    uid: str


@dataclass(frozen=True, slots=True)
class Options:
    """The option registers as they are in force, by name."""

    words: Mapping[str, int]
    target: Target

    @property
    def sfsa(self) -> int:
        """The first secure sector."""
        return self.words["SFR"] & reg.SFSA_MASK

    @property
    def sbrv(self) -> int:
        """Where CPU2 boots, in words from the start of flash."""
        return self.words["SRRVR"] & reg.SBRV_MASK

    @property
    def open_sram2_kib(self) -> tuple[int | None, int | None]:
        """KiB of SRAM2A and SRAM2B that CPU1 may use; None: all of it."""
        word = self.words["SRRVR"]
        mask_b = reg.AREA_B_MASK_WB1X if self.target.series is Series.WB1X else reg.AREA_MASK
        sram2a = None if word & reg.SRAM2A_IS_OPEN else word >> reg.SBRSA_SHIFT & reg.AREA_MASK
        return sram2a, None if word & reg.SRAM2B_IS_OPEN else word >> reg.SNBRSA_SHIFT & mask_b


@dataclass(frozen=True, slots=True)
class Area:
    """Whole pages of user flash: what may be erased. Raises ValueError for anything else."""

    start: int
    end: int
    target: Target

    def __post_init__(self) -> None:
        """Refuse what is not made of whole pages of the target's own flash."""
        page, base = self.target.sector_size, reg.FLASH_BASE
        if not base <= self.start < self.end <= self.target.limit or (self.start | self.end) % page:
            raise ValueError(f"no area of {self.target.name}: 0x{self.start:08X} - 0x{self.end:08X}")

    @property
    def pages(self) -> range:
        """Page numbers."""
        page = self.target.sector_size
        return range((self.start - reg.FLASH_BASE) // page, (self.end - reg.FLASH_BASE) // page)

    @property
    def text(self) -> str:
        """`0x080D0000-0x080EFFFF`: first and last byte."""
        return f"0x{self.start:08X}-0x{self.end - 1:08X}"


@dataclass(frozen=True, slots=True)
class Staging:
    """An image's bytes, padded to whole double words, and the area that they are written to the start of."""

    area: Area
    data: bytes

    def __post_init__(self) -> None:
        """Refuse data that does not fit."""
        if len(self.data) % 8 or not 0 < len(self.data) <= self.area.end - self.area.start:
            raise ValueError(f"{len(self.data)} bytes do not fit into {self.area.text}")


class ChipDriver:
    """The chip. Every method raises ProbeError when it cannot be reached."""

    def __init__(self, probe: Probe, clock: Clock) -> None:
        self.probe, self.clock = probe, clock
        self._identity: Identity | None = None
        self._debug, self._is_quiet = (0, 0), False

    # --- the link

    @property
    def identity(self) -> Identity:
        """Which chip it is: whoever answers later must be the same."""
        assert self._identity is not None  # noqa: S101 - connect() comes first
        return self._identity

    def connect(self, *, under_reset: bool = False) -> Identity:
        """Attach, and find out which chip it is. Raises ChipError for one that is no STM32WB of a known size.

        `under_reset`: pull the reset pin if the chip does not answer otherwise. Never while FUS may be at work.
        """
        for attempt in range(_ATTEMPTS):  # a chip that has just been reset does not answer for a moment
            try:
                self.probe.connect()
                break
            except TargetUnavailableError:
                if attempt == _ATTEMPTS - 1 and not under_reset:
                    raise
                self.clock.sleep(_PAUSE_SECONDS)
        else:
            self.probe.connect(under_reset=True)
        self._debug = (self.word(reg.DBGMCU_CR), self.word(reg.DBGMCU_APB1FZR1))
        self.probe.write32(reg.DBGMCU_CR, reg.DEBUG_IN_LOW_POWER)
        dev_id = self.word(reg.DBGMCU_IDCODE) & reg.DEV_ID_MASK
        flash_kib = self.word(reg.FLASH_SIZE) & reg.FLASH_SIZE_MASK
        self._identity = Identity(
            target=self._target(dev_id, flash_kib), dev_id=dev_id, flash_kib=flash_kib, uid=self._uid()
        )
        return self._identity

    def disconnect(self) -> None:
        """Let the probe go, and low-power modes and watchdogs be as they were if CPU1 runs. Never raises."""
        with suppress(ProbeError):
            for address, word in zip((reg.DBGMCU_CR, reg.DBGMCU_APB1FZR1), self._debug, strict=True):
                if not self._is_quiet:
                    self.put(address, word)
        self.probe.close()

    def reconnect(self, seconds: float = RECONNECT_SECONDS) -> None:
        """Open the probe anew and attach to the same chip; nothing volatile in it may be relied on any more."""
        end = self.clock.now() + seconds
        while True:
            self.probe.close()
            self.clock.sleep(_PAUSE_SECONDS)
            try:
                self.probe.connect()
                self.probe.write32(reg.DBGMCU_CR, reg.DEBUG_IN_LOW_POWER)
                uid = self._uid()
                break
            except ProbeError:
                if self.clock.now() >= end:
                    raise
        if uid != self.identity.uid:
            raise TargetUnavailableError(
                f"another chip answers (UID {uid}, not {self.identity.uid}): it was swapped while work was under way"
            )

    def _uid(self) -> str:
        return self.probe.read(reg.UID, 12).hex()

    def _target(self, dev_id: int, flash_kib: int) -> Target:
        """The target of a part (RM0434 42.2; SEGGER's wiki for the sizes)."""
        if dev_id == reg.DEV_ID_WB1X:
            series = {Series.WB1X}
        elif dev_id == reg.DEV_ID_WB5X_WB3X:
            series = {Series.WB5X, Series.WB3X}
        else:
            raise ChipError(f"DEV_ID 0x{dev_id:03X} is no STM32WB with FUS: 0x495 or 0x494 is expected")
        found = [one for one in TARGETS if one.series in series and one.flash_kib == flash_kib]
        if len(found) > 1:  # DEV_ID and flash size of WB3x and WB5x are the same; SRAM1 is not (CMSIS)
            wanted = Series.WB5X if self._has_large_sram1() else Series.WB3X
            found = [one for one in found if one.series is wanted]
        if not found:
            raise ChipError(f"DEV_ID 0x{dev_id:03X} with {flash_kib} KiB of flash is no part that is known")
        return found[0]

    def _has_large_sram1(self) -> bool:
        """Whether SRAM1 goes on behind the smallest one; twice, since an access may fail for other reasons."""
        for _ in range(2):
            try:
                self.word(reg.SRAM1 + reg.SMALLEST_SRAM1)
            except TransferError:
                self.word(reg.SRAM1)
            else:
                return True
        return False

    # --- words

    def word(self, address: int) -> int:
        """Read a word."""
        return self.probe.read32(address)

    def put(self, address: int, value: int) -> None:
        """Write a word."""
        self.probe.write32(address, value)

    def wait_for(self, address: int, mask: int, value: int, seconds: float, pause: float, what: str) -> int:
        """Wait until the masked word has a value; return the word. Raises SilentError."""
        end = self.clock.now() + seconds
        while (word := self.word(address)) & mask != value:
            if self.clock.now() >= end:
                raise SilentError(f"{what} not within {seconds:g} s: 0x{address:08X} reads 0x{word:08X}")
            self.clock.sleep(pause)
        return word

    # --- CPU1

    def quieten(self) -> None:
        """Halt CPU1, have it caught at its reset vector, and leave a loop where it boots from SRAM1."""
        self._is_quiet = True
        self.put(reg.DBGMCU_APB1FZR1, self._debug[1] | reg.STOP_WATCHDOGS)
        self.put(reg.DHCSR, reg.DBGKEY | reg.C_DEBUGEN | reg.C_HALT)
        self.put(reg.DEMCR, reg.VC_CORERESET)
        self.wait_for(reg.DHCSR, reg.S_HALT, reg.S_HALT, _HALT_SECONDS, 0.01, "CPU1 halts")
        self.probe.write(reg.SRAM1, _LOOP)

    def reset(self) -> None:
        """Reset the chip, CPU1 halted at its vector. Never while FUS may be busy: boards died of that."""
        self.probe.reset(halt=True)
        if self.word(reg.PWR_CR4) & reg.C2BOOT:
            raise ChipError("a reset of the chip did not reach CPU2")

    def reset_running(self) -> None:
        """Reset the chip, CPU1 running."""
        self.put(reg.DEMCR, 0)
        self.probe.reset(halt=False)

    def resume(self) -> None:
        """Let CPU1 run, as if no debugger had been there."""
        self.put(reg.DEMCR, 0)
        self.put(reg.DHCSR, reg.DBGKEY)
        self._is_quiet = False

    # --- option bytes

    def options(self) -> Options:
        """The option registers in force."""
        words = {name: self.word(address) for name, address in reg.OPTION_REGISTERS.items()}
        return Options(words, self.identity.target)

    def write_optr(self, value: int) -> None:
        """Program what CPU1 boots, as in this OPTR, and have it loaded, which resets the chip. Raises ChipError.

        Every other bit stays as it is found: who has protected the chip since must not lose its flash to an old RDP.
        Never while FUS may be busy.
        """
        for _ in range(_ATTEMPTS):
            try:
                self._program_optr(value)
            except FlashError:
                with suppress(ProbeError):
                    self.reset()  # a key sequence that was cut short shuts the controller until a reset
            except ProbeError:
                pass
            else:
                # The register reads what was loaded last, not what is programmed: only from here on is it proof.
                with suppress(ProbeError):  # loading ends the connection
                    self.put(reg.FLASH_CR, reg.CR_OBL_LAUNCH)
                self.reconnect()
                if (loaded := self._loaded_optr()) is not None and not (loaded ^ value) & reg.OPTR_BOOT:
                    return
                continue
            self.reconnect()
        raise ChipError(f"OPTR does not boot CPU1 as 0x{value:08X} after {_ATTEMPTS} attempts; run this again")

    def _loaded_optr(self) -> int | None:
        """OPTR as it was loaded; None when the chip did not answer. Raises ChipError for damaged option bytes."""
        try:
            if self.has_damaged_options():
                raise ChipError("the power went while the option bytes were being written; run this again")
            return self.word(reg.OPTION_REGISTERS["OPTR"])
        except ProbeError:
            self.reconnect()
            return None

    def has_damaged_options(self) -> bool:
        """Whether option bytes that lost their power while they were written were loaded: they give an SFSA of 0."""
        return self.options_sfsa() == 0

    def _program_optr(self, value: int) -> None:
        """Program what CPU1 boots; it counts once loaded. Raises FlashError, ChipError for damaged option bytes."""
        if self.has_damaged_options():
            raise ChipError("the power went while the option bytes were being written; run this again")
        self._unlock()
        self.put(reg.FLASH_SR, reg.SR_ERRORS)
        if self.word(reg.FLASH_CR) & reg.CR_OPTLOCK:
            for key in reg.OPTION_KEYS:
                self.put(reg.FLASH_OPTKEYR, key)
        if self.word(reg.FLASH_CR) & reg.CR_OPTLOCK:
            raise FlashError("the option bytes stay locked")
        found = self.word(reg.OPTION_REGISTERS["OPTR"])
        if found & reg.RDP_MASK != reg.RDP_LEVEL_0:
            raise ChipError("the chip is read-protected: its option bytes are left alone")
        self.put(reg.OPTION_REGISTERS["OPTR"], found & ~reg.OPTR_BOOT | value & reg.OPTR_BOOT)
        self.put(reg.FLASH_CR, reg.CR_OPTSTRT)
        self._finish(_ERASE_SECONDS)

    # --- flash

    def read_flash(self, start: int, end: int, progress: Progress) -> bytes:
        """Read flash; `progress` is told how many bytes came."""
        parts = []
        for at in range(start, end, _BLOCK):
            parts.append(self.probe.read(at, min(_BLOCK, end - at)))
            progress(len(parts[-1]))
        return b"".join(parts)

    def erase(self, area: Area) -> None:
        """Erase an area, page by page. Raises FlashError; ChipError for what is not user flash any more."""
        self._prove(area)
        self._unlock()
        for page in area.pages:
            self.put(reg.FLASH_SR, reg.SR_ERRORS)
            command = reg.CR_PER | page << reg.CR_PAGE_SHIFT
            self.put(reg.FLASH_CR, command)
            self.put(reg.FLASH_CR, command | reg.CR_STRT)
            self.clock.sleep(_ERASE_SECONDS)
            self._finish(_ERASE_SECONDS, f"erasing the page at 0x{reg.FLASH_BASE + page * area.target.sector_size:08X}")
        self.put(reg.FLASH_CR, reg.CR_LOCK)

    def program(self, staging: Staging, progress: Progress) -> None:
        """Program an erased area and read it back. Raises FlashError; ChipError for what is not user flash any more."""
        area, data = staging.area, staging.data
        self._prove(area)
        self._unlock()
        self.put(reg.FLASH_SR, reg.SR_ERRORS)
        self.put(reg.FLASH_CR, reg.CR_PG)
        for at in range(0, len(data), area.target.sector_size):
            block = data[at : at + area.target.sector_size]
            self.probe.write(area.start + at, block)
            self._finish(0.001, f"programming 0x{area.start + at:08X}")
            progress(len(block))
        self.put(reg.FLASH_CR, reg.CR_LOCK)
        if self.read_flash(area.start, area.start + len(data), lambda _: None) != data:
            raise FlashError(f"{area.text} reads back otherwise than it was programmed")

    def _prove(self, area: Area) -> None:
        """Raise ChipError unless an area lies below SFSA as it is now."""
        secure = self.identity.target.sector_address(self.options_sfsa())
        if area.target != self.identity.target or area.end > secure:
            raise ChipError(f"{area.text} is not user flash any more: SFSA says 0x{secure:08X}; plan again")

    def options_sfsa(self) -> int:
        """SFSA as it is in force."""
        return self.word(reg.OPTION_REGISTERS["SFR"]) & reg.SFSA_MASK

    def _unlock(self) -> None:
        """Unlock the flash controller, but never twice: keys for what is open are a wrong sequence (MicroPython)."""
        self._wait_flash(_ERASE_SECONDS, "the flash is ready")
        if self.word(reg.FLASH_CR) & reg.CR_LOCK:
            for key in reg.KEYS:
                self.put(reg.FLASH_KEYR, key)
        if self.word(reg.FLASH_CR) & reg.CR_LOCK:
            raise FlashError("the flash controller stays locked until the chip is reset")

    def _finish(self, pause: float, what: str = "programming the option bytes") -> None:
        """Wait for the end of a flash operation and judge it; what was there before was cleared: OPTVERR always is."""
        status = self._wait_flash(pause, what)
        if errors := status & reg.SR_ERRORS:
            raise FlashError(f"{what} failed: FLASH_SR 0x{status:08X}, errors 0x{errors:X}")

    def _wait_flash(self, pause: float, what: str) -> int:
        """Wait until the flash is ready. Raises FlashError: a half-written double word keeps it busy until a reset."""
        try:
            return self.wait_for(reg.FLASH_SR, reg.SR_BUSY, 0, _FLASH_SECONDS, pause, what)
        except SilentError as error:
            raise FlashError(str(error)) from error
