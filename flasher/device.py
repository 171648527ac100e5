"""What the flasher knows about one STM32WB, and the two interfaces through which a plan is carried out.

`install` and its steps use `Flash` and `Fus` only. How they are reached (today: a debug probe and the mailbox) is not
their subject.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from flasher import registers as reg
from flasher.mailbox import DeviceInfo
from imagekit.targets import Series, Target

Progress = Callable[[int], None]
"""Is called with the number of bytes that were moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which chip it is. `uid` is its 96-bit number in hex."""

    target: Target
    dev_id: int
    flash_kib: int
    uid: str


@dataclass(frozen=True, slots=True)
class Options:
    """The option registers in force, by name."""

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
        """KiB of SRAM2A and SRAM2B that are left to the application; None: all of it."""
        word, mask_b = self.words["SRRVR"], reg.AREA_MASK
        if self.target.series is Series.WB1X:
            mask_b = reg.AREA_B_MASK_WB1X
        sram2a: int | None = word >> reg.SBRSA_SHIFT & reg.AREA_MASK
        sram2b: int | None = word >> reg.SNBRSA_SHIFT & mask_b
        if word & reg.SRAM2A_IS_OPEN:
            sram2a = None
        if word & reg.SRAM2B_IS_OPEN:
            sram2b = None
        return sram2a, sram2b


@dataclass(frozen=True, slots=True)
class Area:
    """Whole sectors of user flash. Raises ValueError for anything else."""

    start: int
    end: int
    target: Target

    def __post_init__(self) -> None:
        """Refuse addresses that are not whole sectors of the target's own flash."""
        is_inside = reg.FLASH_BASE <= self.start < self.end <= self.target.limit
        if not is_inside or (self.start | self.end) % self.target.sector_size:
            raise ValueError(f"not whole sectors of {self.target.name}: 0x{self.start:08X} - 0x{self.end:08X}")

    @property
    def pages(self) -> range:
        """Sector numbers, as the register field PNB has them."""
        size = self.target.sector_size
        return range((self.start - reg.FLASH_BASE) // size, (self.end - reg.FLASH_BASE) // size)

    @property
    def text(self) -> str:
        """First and last byte: `0x080D0000-0x080EFFFF`."""
        return f"0x{self.start:08X}-0x{self.end - 1:08X}"


@dataclass(frozen=True, slots=True)
class Staging:
    """The bytes of an image, padded to double words, and the area at whose start they are programmed."""

    area: Area
    data: bytes

    def __post_init__(self) -> None:
        """Refuse data that does not fit."""
        if len(self.data) % 8 or not 0 < len(self.data) <= self.area.end - self.area.start:
            raise ValueError(f"{len(self.data)} bytes do not fit into {self.area.text}")


class Flash(Protocol):
    """User flash. Every method raises ProbeError when the chip cannot be reached."""

    def read(self, start: int, end: int, progress: Progress = ...) -> bytes:
        """Return the bytes from `start` up to `end`."""

    def erase(self, area: Area) -> None:
        """Erase an area. Raises FlashError, and ChipError for an area that is not user flash."""

    def program(self, staging: Staging, progress: Progress) -> None:
        """Program an erased area and read it back. Raises FlashError, and ChipError as `erase` does."""


class Fus(Protocol):
    """FUS, and the stack that it installs. Every method raises ChipError, and ProbeError for a lost link."""

    @property
    def info(self) -> DeviceInfo:
        """Versions, and which program runs, as they were read last."""

    def begin(self) -> DeviceInfo:
        """Take CPU2 over, wait until FUS is idle, and return `info`."""

    def restart(self) -> None:
        """Reset the chip and read `info` again."""

    def enter_fus(self) -> None:
        """Run FUS instead of the stack, and wait until it is idle."""

    def delete_stack(self) -> None:
        """Delete the stack. Raises FusError."""

    def purge_nvm(self) -> None:
        """Delete the stack and all bonding data of the radio core. Raises FusError."""

    def upgrade(self, what: str, is_done: Callable[[DeviceInfo], bool]) -> None:
        """Install the staged image. Raises FusError."""

    def start_stack(self) -> None:
        """Start the installed stack. Raises FusError."""
