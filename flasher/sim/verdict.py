"""How FUS judges what it finds in flash after FW_UPGRADE: an image to install, or an error code.

Sources: shci.h and AN5185 table 12 (codes), release notes (upgrade path, FUS 2 format, Safeboot), field reports of
each refusal; what is not known is a switch of `Behaviour`.
"""

from dataclasses import dataclass

from flasher.sim import image as images
from flasher.sim import nvm
from flasher.sim.behaviour import Behaviour
from flasher.sim.flash import SimulatedFlash
from flasher.sim.image import StagedImage, Trace
from flasher.sim.parts import FLASH_BASE, FUS_0_5_3, Part
from flasher.sim.secret import ANTI_ROLLBACK_TRAP, Secret

IMG_NOT_FOUND, IMG_CORRUPT, IMG_NOT_AUTHENTIC, IMG_NOT_ENOUGH_SPACE = 0x01, 0x02, 0x03, 0x04  # shci.h
USR_ABORT, ERASE_ERROR, WRITE_ERROR, AUTH_TAG_ST_NOT_FOUND, AUTH_TAG_CUSTOMER_NOT_FOUND = 0x05, 0x06, 0x07, 0x08, 0x09
AUTH_KEY_LOCKED, ROLLBACK_ERROR, NOT_RUNNING, UNKNOWN = 0x0A, 0x11, 0xFE, 0xFF

NOTHING_TO_DO = 0x100
"""No error byte: FUS stays idle and says nothing (fus2-nvm 6)."""

_FUS_1_0_2, _FUS_1_1_0, _FUS_1_2_0, _FUS_2 = 0x01_0002, 0x01_0100, 0x01_0200, 0x02_0000


@dataclass(frozen=True, slots=True)
class Examiner:
    """What the examination needs to know of the chip. `keys`: points; `accepted`: SHA-256 of images of unknown key."""

    part: Part
    behaviour: Behaviour
    keys: tuple[str, ...]
    accepted: tuple[str, ...]
    flash: SimulatedFlash
    secret: Secret

    def examine(self) -> StagedImage | int:
        """Find the image to install; an error code when there is none, or it is refused."""
        limit = self._limit()
        content = self.flash.read_cells(FLASH_BASE, max(limit - FLASH_BASE, 0))
        traces = images.find_traces(content, FLASH_BASE)
        if not traces and self.behaviour.fus_silent:
            return NOTHING_TO_DO
        if not traces:
            if images.has_unsigned_footer(content):
                return AUTH_TAG_ST_NOT_FOUND
            return IMG_NOT_FOUND
        if len(traces) > 1 and self.behaviour.second_image == "not-authentic":
            return IMG_NOT_AUTHENTIC
        trace = traces[0 if self.behaviour.search == "first" else -1]
        if not trace.has_footer:
            return IMG_CORRUPT
        found = self._authentic(trace)
        if isinstance(found, int):
            return found
        return self._customer_error(found) or self._version_error(found) or self._space_error(found, limit) or found

    def _limit(self) -> int:
        stack = self.secret.stack
        if stack is not None:
            return min(stack.address, self.part.nominal_end)
        if self.secret.nvm_sectors:
            return nvm.section_start(self.part, self.secret)
        return min(self.part.fus_base(self.secret.fus_version), self.part.nominal_end)

    # --- whose it is

    def _authentic(self, trace: Trace) -> StagedImage | int:
        short = self.behaviour.short_sector_count == "installs"
        for start in images.starts(trace, self.part.page, allow_short_count=short):
            if start < FLASH_BASE:
                continue
            content = self.flash.read_cells(start, trace.end - start)
            image = images.image_at(start, trace, content, self.part.page)
            if self._is_authentic(image, content):
                return image
        return IMG_NOT_AUTHENTIC

    def _is_authentic(self, image: StagedImage, content: bytes) -> bool:
        """ST's signature. FUS 0.5.3 and 1.0.x know another scheme, which is unknown: the caller names such images."""
        fus = self.secret.fus_version >> 8
        if image.sha256 in self.accepted:
            return fus < _FUS_1_1_0 or image.magic != images.FUS
        if image.magic == images.FUS and fus == FUS_0_5_3 >> 8:
            return False  # field report: FUS 0.5.3 calls later FUS images not authentic
        return images.is_signed(content, self.keys)

    def _customer_error(self, image: StagedImage) -> int:
        if not self.secret.customer_key:
            return 0
        behind = self.flash.read_cells(image.end, images.SIGNATURE_SIZE + images.SIGNATURE_FOOTER_SIZE)
        signature = images.customer_block(behind)
        if signature is None:
            return AUTH_TAG_CUSTOMER_NOT_FOUND
        content = self.flash.read_cells(image.start, image.end - image.start)
        good = images.is_signed_by_customer(content, signature, self.secret.customer_key)
        if good:
            return 0
        return IMG_NOT_AUTHENTIC

    # --- whether it may follow what is there

    def _version_error(self, image: StagedImage) -> int:
        if image.is_safeboot:
            return self._safeboot_error(image)
        if image.magic == images.FUS:
            return self._fus_error(image)
        return self._stack_error(image)

    def _safeboot_error(self, image: StagedImage) -> int:
        """Safeboot 2.0.0 is for FUS 1.1.0 and 1.1.1 alone, 2.0.1 for FUS 2 (release notes)."""
        fus = self.secret.fus_version >> 8
        fits = fus >= _FUS_2 if image.magic == images.SAFEBOOT else _FUS_1_1_0 <= fus <= _FUS_1_1_0 + 1
        if fits:
            return 0
        return self.behaviour.fus_path_error

    def _fus_error(self, image: StagedImage) -> int:
        """No way back, never the same again, and no stage left out (release notes, btstack for 1.0.1 -> 1.0.2)."""
        old, new = self.secret.fus_version >> 8, image.told_version >> 8
        if new == old and self.behaviour.fus_silent:
            return NOTHING_TO_DO
        if new == old:
            if self.behaviour.same_version == "rollback":
                return ROLLBACK_ERROR
            return 0
        if new < old:
            return ROLLBACK_ERROR
        skips_1_2_0 = old < _FUS_1_2_0 and new > _FUS_1_2_0
        closed = (old, new) == (_FUS_1_0_2 - 1, _FUS_1_0_2)
        if skips_1_2_0 or closed:
            return self.behaviour.fus_path_error
        return 0

    def _stack_error(self, image: StagedImage) -> int:
        secret = self.secret
        if image.is_fus2_stack and secret.fus_version >> 8 < _FUS_2:
            return self.behaviour.fus2_image_error
        if secret.anti_rollback:
            trapped = secret.reference_version == ANTI_ROLLBACK_TRAP
            if trapped or image.version < secret.reference_version:
                return ROLLBACK_ERROR
        same = secret.stack is not None and secret.stack.version == image.version
        if same and self.behaviour.same_version == "rollback":
            return ROLLBACK_ERROR
        return 0

    # --- whether there is room

    def _space_error(self, image: StagedImage, limit: int) -> int:
        gap = max(image.gap_sectors - self.secret.nvm_sectors, 0)  # the section lies where the gap would
        room = (image.sectors + gap + self._spare_sectors(image)) * self.part.page
        if image.start + room > limit:
            return IMG_NOT_ENOUGH_SPACE
        return 0

    def _spare_sectors(self, image: StagedImage) -> int:
        """Sectors that must be free beyond the image and its gap."""
        stack = self.secret.stack
        if image.magic == images.FUS:
            big = self.part.series == "WB5x" and self.part.flash_kib == 1024
            if big and image.told_version >> 8 < _FUS_2 and self.behaviour.fus1_needs_spare:
                return 2
            return 0
        if stack is None or image.is_safeboot:
            return 0
        larger = image.sectors + image.gap_sectors - stack.sectors - stack.gap_sectors
        if larger <= 0:
            return 0
        if self.behaviour.larger_update == "one-sector":
            return 1
        return larger


def locks_small_part(part: Part, fus_version: int, image: StagedImage | None) -> bool:
    """Whether a C, E or Y part with FUS before 1.0.2 would lock permanently: anything but FUS 1.0.2 or newer (ST)."""
    if part.nominal_end >= part.newest_fus_base or fus_version >> 8 >= _FUS_1_0_2:
        return False
    return image is None or image.magic != images.FUS or image.told_version >> 8 < _FUS_1_0_2
