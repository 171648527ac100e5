"""What the parts of an image mean: kind, version, series, sizes. Tolerant: a strange value is kept, not judged.

Sources: ST's mbox_def.h (version and memory size words), AN5185; magics and what goes with them:
docs/image-format.md, measured on all images ST released.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from imagekit.errors import VersionError
from imagekit.image import container
from imagekit.image import diagnosis as not_an_image
from imagekit.image.container import (
    FOOTER_MARKER,
    FUS_2_STACK_MAGIC,
    FUS_MAGIC,
    OTHER_MAGIC,
    SAFEBOOT_2_0_1_MAGIC,
    STACK_MAGIC,
    ImageFooter,
    SignatureBlock,
)
from imagekit.targets import SECTOR_SIZES, SRAM2A_KIB, SRAM2B_KIB, Series

SAFEBOOT_INFO1 = 0x5AFE_B007
"""`info1` of Safeboot 2.0.0, which carries the magic of a stack."""

GAP_SECTORS = {
    (STACK_MAGIC, FOOTER_MARKER): 0,
    (STACK_MAGIC, SAFEBOOT_INFO1): 0,
    (FUS_MAGIC, FOOTER_MARKER): 0,
    (SAFEBOOT_2_0_1_MAGIC, FOOTER_MARKER): 0,
    (FUS_2_STACK_MAGIC, 0x0401_04CD): 4,
    (FUS_2_STACK_MAGIC, 0x0802_08CD): 8,
}
"""Magic and `info1` of every format that ST has released → sectors to leave free above the image.

That the second byte of `info1` holds the gap is inferred from ST's addresses, not documented: so no other value is
ever computed from it (docs/image-format.md, "Gap").
"""

_HIDDEN_VERSION = (0xFF, 0xFF, 0xFF, 0xFF)
_VERSION_WORD = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{8})")
_VERSION = re.compile(r"[vV]?([0-9]{1,3})" + r"(?:\.([0-9]{1,3}))?" * 3)


class ImageKind(Enum):
    """What an image is; the values are those of `inspect --json`."""

    STACK = "stack"
    FUS = "fus"
    SAFEBOOT = "safeboot"
    OTHER = "other"
    UNKNOWN = "unknown"


_KINDS = {
    STACK_MAGIC: ImageKind.STACK,
    FUS_2_STACK_MAGIC: ImageKind.STACK,
    FUS_MAGIC: ImageKind.FUS,
    SAFEBOOT_2_0_1_MAGIC: ImageKind.SAFEBOOT,
    OTHER_MAGIC: ImageKind.OTHER,
}


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A firmware version, ordered. Fields as in mbox_def.h; `branch` and `build` are four bits each."""

    major: int
    minor: int
    sub: int
    branch: int = 0
    build: int = 0

    @classmethod
    def from_text(cls, text: str) -> "Version":
        """Read `1.2.0`, `v1.2`, `2` or, as ST's tools print it, `1.2.0.3` (branch and build as one number).

        Eight hex digits are the word that stands in a chip's memory (mbox_def.h): `01020000` is 1.2.0.
        """
        word = _VERSION_WORD.fullmatch(text.strip())
        if word is not None:
            major, minor, sub, low = bytes.fromhex(word[1])
            return cls(major, minor, sub, low >> 4, low & 0xF)
        match = _VERSION.fullmatch(text.strip())
        numbers = [int(number or 0) for number in match.groups()] if match else []
        if not numbers or max(numbers) > 0xFF:
            raise VersionError(f"no firmware version {text!r}: write it as 1.2.0")
        major, minor, sub, low = numbers
        return cls(major, minor, sub, low >> 4, low & 0xF)

    @property
    def text(self) -> str:
        """`major.minor.sub`, as ST's release notes print it."""
        return f"{self.major}.{self.minor}.{self.sub}"

    @property
    def without_build(self) -> "Version":
        """The version without branch and build."""
        return Version(self.major, self.minor, self.sub)

    @property
    def full_text(self) -> str:
        """`major.minor.sub.n`, as ST's tools print it: branch and build as one number."""
        return f"{self.text}.{self.branch << 4 | self.build}"


FUS_2 = Version(2, 0, 0)
"""The first FUS that installs "FUS_v2 only" images (release notes of STM32CubeWB v1.22.1)."""
FUS_1_2 = Version(1, 2, 0)
"""The FUS that FUS 2.x is installed from; its own image hides its version (AN5185, p. 26)."""


@dataclass(frozen=True)
class Image:
    """What one coprocessor image says of itself. Its bytes are not kept: thousands of images take little memory."""

    footer: ImageFooter
    signatures: tuple[SignatureBlock, ...]
    """ST's, then a customer's if there is one."""
    size: int
    """Bytes in the whole file."""
    sha256: str
    """SHA-256 of the whole file, lower-case hex."""
    signed_digest: bytes
    """SHA-256 of what ST signs: body and image footer."""
    is_unencrypted: bool
    """Whether the body starts with a vector table."""
    lacks_carriage_returns: bool
    """Whether the body is long and without a byte 0x0D, as after a text-mode transfer."""

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview) -> "Image":
        """Read the bytes of a file as an image. Raises ParseError, nothing else."""
        data = bytes(data)
        parts = container.split(data)
        # The file is hashed once: the signed part first, then on to the end.
        body_size = len(parts.body)
        signed_size = body_size + container.FOOTER_SIZE
        digest = hashlib.sha256(memoryview(data)[:signed_size])
        signed_digest = digest.digest()
        digest.update(memoryview(data)[signed_size:])
        return cls(
            footer=parts.image_footer,
            signatures=parts.signatures,
            size=len(data),
            sha256=digest.hexdigest(),
            signed_digest=signed_digest,
            is_unencrypted=not_an_image.looks_unencrypted(data),
            lacks_carriage_returns=not_an_image.lacks_carriage_returns(data, body_size),
        )

    @cached_property
    def kind(self) -> ImageKind:
        """What the magic says; Safeboot 2.0.0 hides under the magic of a stack."""
        if self.footer.magic == STACK_MAGIC and self.footer.info1 == SAFEBOOT_INFO1:
            return ImageKind.SAFEBOOT
        return _KINDS.get(self.footer.magic, ImageKind.UNKNOWN)

    @cached_property
    def version(self) -> Version | None:
        """The version in the footer, None when it is hidden (FF FF FF FF, as in FUS 1.2.0)."""
        footer = self.footer
        if (footer.major, footer.minor, footer.sub, footer.branch_build) == _HIDDEN_VERSION:
            return None
        return Version(footer.major, footer.minor, footer.sub, footer.branch_build >> 4, footer.branch_build & 0xF)

    @cached_property
    def requires_fus(self) -> Version | None:
        """The lowest FUS that installs it, None where no minimum is known.

        Release notes of STM32CubeWB: "FUS_v2 only" stacks and Safeboot 2.0.1 need FUS 2.0.0; FUS 2.x is
        installed by FUS 1.2.0 or a FUS 2.
        """
        if self.footer.magic in (FUS_2_STACK_MAGIC, SAFEBOOT_2_0_1_MAGIC):
            return FUS_2
        if self.kind is ImageKind.FUS and self.version is not None and self.version >= FUS_2:
            return FUS_1_2
        return None

    @cached_property
    def is_fus_1(self) -> bool:
        """Whether this is a FUS 1.x image (a hidden version is FUS 1.2.0)."""
        return self.kind is ImageKind.FUS and (self.version is None or self.version < FUS_2)

    @property
    def is_hidden_fus(self) -> bool:
        """Whether this is a FUS image that hides its version: FUS 1.2.0."""
        return self.kind is ImageKind.FUS and self.version is None

    def sectors_by_size(self, sector_size: int) -> int:
        """Sectors that the whole file takes."""
        return -(-self.size // sector_size)

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """The series whose sector size makes the footer's sector count right; empty when none does."""
        return tuple(
            series
            for series, sector_size in SECTOR_SIZES.items()
            if self.sectors_by_size(sector_size) == self.footer.flash_sectors
        )

    @cached_property
    def gap_sectors(self) -> int | None:
        """Sectors to leave free above the image; None for a format whose gap is not known."""
        return GAP_SECTORS.get((self.footer.magic, self.footer.info1))

    @property
    def is_fus_2_format(self) -> bool:
        """Whether this is a stack in the format for FUS 2, which leaves room for bonding data above itself."""
        return self.footer.magic == FUS_2_STACK_MAGIC

    @property
    def stack_sram2a_kib(self) -> int:
        """KiB of SRAM2a used by the stack: what a chip reports (`stack_sram2_kib`)."""
        return stack_sram2_kib(SRAM2A_KIB, self.footer.sram2a_kib)

    @property
    def stack_sram2b_kib(self) -> int | None:
        """KiB of SRAM2b used by the stack; None where the series, and so the size of SRAM2b, is not known."""
        if not self.series:
            return None
        return stack_sram2_kib(SRAM2B_KIB[self.series[0]], self.footer.sram2b_kib)

    @cached_property
    def st_signature(self) -> SignatureBlock | None:
        """ST's signature, None when the file carries none. A strange magic does not make it another's."""
        return next((block for block in self.signatures if not _is_customers(block)), None)

    @property
    def customer_signature(self) -> SignatureBlock | None:
        """A customer's signature, None when the file carries none."""
        return next((block for block in self.signatures if _is_customers(block)), None)


def stack_sram2_kib(sram2_kib: int, app_kib: int) -> int:
    """Convert the KiB left to the application, out of all KiB of this SRAM2, to the KiB used by the stack.

    An image footer and the option bytes SBRSA and SNBRSA hold what is left to the application. The device information
    table of a chip holds what the stack uses. Source: SHCI_GetWirelessFwInfo on a WB55 with BLE_Stack_full 1.8.0
    (stm32duino/STM32duinoBLE, pull request 17) reports 22 and 17 KiB; the footer of that stack says 10 and 15 of 32.
    """
    return max(sram2_kib - app_kib, 0)


def _is_customers(block: SignatureBlock) -> bool:
    return block.footer.magic == container.CUSTOMER_SIGNATURE_MAGIC
