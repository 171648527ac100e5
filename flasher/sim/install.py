"""What FUS does to flash and option bytes: put images in their place, remove them, choose what CPU2 boots next.

Sources: release notes and ST's answers (where a stack ends up), hardware dumps (SFSA, SBRV, SBRSA, SNBRSA), field
reports (what is left of an operation that was interrupted).
"""

import hashlib
from dataclasses import dataclass

from flasher.sim import nvm
from flasher.sim.behaviour import Behaviour
from flasher.sim.flash import SimulatedFlash
from flasher.sim.image import FUS, FUS_1_2_0, StagedImage
from flasher.sim.option_bytes import SBRV_SAFEBOOT, OptionByteRegisters
from flasher.sim.parts import FLASH_BASE, Part
from flasher.sim.secret import Operation, Secret, Stack
from flasher.sim.verdict import UNKNOWN

_SBRV_OF_DEAD_BOARDS = 0x17000  # four boards that were reset in the middle read so


@dataclass(frozen=True, slots=True)
class Installer:
    """Carries out what FUS has decided."""

    part: Part
    behaviour: Behaviour
    flash: SimulatedFlash
    options: OptionByteRegisters
    secret: Secret

    def is_below_its_address(self, image: StagedImage) -> bool:
        """Whether a stack was put below the address of ST's tables, the highest one with room for it."""
        if image.magic == FUS or image.is_safeboot:
            return False
        stack, size = self.secret.stack, (image.sectors + image.gap_sectors) * self.part.page
        if stack is None:
            return image.start < self._highest_start(image, self.part.image_limit(self.secret.fus_version))
        return image.start + size < stack.address

    def _highest_start(self, image: StagedImage, limit: int) -> int:
        """Where an image starts that ends as high as it may below `limit`, above which old or no stack stands.

        The section for bonding data stays free, and so does the room that an image of the new format wants for it.
        """
        gap = image.gap_sectors * self.part.page
        end = limit - gap
        if self.secret.nvm_sectors:  # it lies where the gap would
            highest = self.part.image_limit(self.secret.fus_version) - gap
            end = min(limit, highest, nvm.section_start(self.part, self.secret))
        return end - image.sectors * self.part.page

    def target(self, image: StagedImage) -> int:
        """Where a stack will stand: where it was put, or moved up."""
        stack = self.secret.stack
        if stack is not None and self.behaviour.update_placement == "moved-up":
            old_end = stack.address + (stack.sectors + stack.gap_sectors) * self.part.page
            return self._highest_start(image, old_end)
        if stack is None and self.behaviour.lower_address == "moved-up":
            return self._highest_start(image, self.part.image_limit(self.secret.fus_version))
        return image.start

    def break_off(self, operation: Operation, why: str) -> None:
        """Leave the option bytes as boards had them whose FUS was interrupted while it wrote."""
        self.secret.dead = f"{why} while FUS was busy ({operation.kind})"
        if self.secret.stack is not None and operation.kind == "stack":
            sfsa = (operation.staged_start - FLASH_BASE) // self.part.page
            self.options.set_by_cpu2(SFSA=sfsa, SBRV=operation.target - FLASH_BASE >> 2)
        else:
            vector = _SBRV_OF_DEAD_BOARDS
            if self.part.series == "WB1x":  # no report, and that one lies above its flash: a page that FUS leaves free
                vector = (self.base_page() - 1) * self.part.page >> 2
            self.options.set_by_cpu2(SFSA=self.base_page(), SBRV=vector)
        self.options.load()

    def lock_for_ever(self, reason: str) -> None:
        """CPU2 finds nothing to boot any more."""
        self.secret.dead = reason
        self.secret.operation = None
        self.options.set_by_cpu2(SBRV=SBRV_SAFEBOOT)

    def is_staged(self, operation: Operation) -> bool:
        """Whether the image that was examined is still there: it must stay untouched to the end (psdb)."""
        return hashlib.sha256(self._staged(operation)).hexdigest() == operation.sha256

    def _staged(self, operation: Operation) -> bytes:
        return self.flash.read_cells(operation.staged_start, operation.staged_end - operation.staged_start)

    def erase_staged(self, start: int, end: int) -> None:
        """Erase the pages of an image where it was put."""
        last = -(-end // self.part.page) * self.part.page
        self.flash.erase_cells(start, last - start)

    def is_stack_whole(self) -> bool:
        """Whether the installed stack's cells are as they were installed."""
        stack = self.secret.stack
        if stack is None:
            return False
        return hashlib.sha256(self.flash.read_cells(stack.address, stack.size)).hexdigest() == stack.sha256

    def install_stack(self, operation: Operation) -> None:
        """Put the staged stack where it will stand, and select it."""
        content, old = self._staged(operation), self.secret.stack
        self.erase_staged(operation.staged_start, operation.staged_end)
        if old is not None:
            self.flash.erase_cells(old.address, old.sectors * self.part.page)
        self.flash.put_cells(operation.target, content)
        self.secret.stack = Stack(
            version=operation.version,
            address=operation.target,
            size=len(content),
            sectors=operation.sectors,
            gap_sectors=operation.gap_sectors,
            sram2a_kib=operation.sram2a_kib,
            sram2b_kib=operation.sram2b_kib,
            sha256=operation.sha256,
        )
        nvm.stack_installed(self.behaviour, self.secret, old)
        self.select_stack()

    def install_fus(self, operation: Operation) -> None:
        """Replace FUS. With a stack installed, that can kill the chip."""
        if self.secret.stack is not None:  # only with `fus_over_stack` dead
            self.secret.dead = "FUS was updated over an installed stack"
            self.options.set_by_cpu2(SBRV=SBRV_SAFEBOOT)
            return
        self.secret.fus_version = operation.version
        self.secret.user_keys.clear()  # a FUS update destroys the keys in the secure enclave (Flipper)
        if self.behaviour.fus_update_erases:
            self.erase_staged(operation.staged_start, operation.staged_end)
        self.select_fus()

    def install_safeboot(self, operation: Operation) -> None:
        """A new Safeboot begins with a factory reset."""
        self.factory_reset()
        self.secret.safeboot_version = operation.version
        self.secret.report = UNKNOWN  # tools print FUS_UFB_CORRUPT once; the byte is not known

    def factory_reset(self) -> None:
        """Remove the stack, erase CPU1's code, boot FUS (release notes on Safeboot)."""
        self.flash.erase_cells(FLASH_BASE, self.part.fus_base(self.secret.fus_version) - FLASH_BASE)
        self.secret.stack = None
        self.secret.nvm_job = None
        nvm.purged(self.secret)
        self.options.state.damaged = False
        self.select_fus()

    def remove_stack(self) -> None:
        """Erase the stack; the secure area is FUS again, and the section for bonding data if there is one."""
        if (stack := self.secret.stack) is not None:
            self.flash.erase_cells(stack.address, stack.sectors * self.part.page)
        self.secret.stack = None
        nvm.stack_deleted(self.behaviour, self.secret, stack)
        self.select_fus()

    def purge(self) -> None:
        """Erase the stack and the section for bonding data."""
        self.remove_stack()
        nvm.purged(self.secret)
        self.select_fus()

    # --- who boots next

    def base_page(self) -> int:
        """The page at which FUS itself starts."""
        return (self.part.fus_base(self.secret.fus_version) - FLASH_BASE) // self.part.page

    def select_fus(self) -> None:
        """Write the option bytes with which CPU2 boots FUS."""
        stack, base = self.secret.stack, self.part.fus_base(self.secret.fus_version)
        own = (32, 16)  # footers of the FUS images
        if self.part.series == "WB1x":
            own = (26 if self.secret.fus_version < FUS_1_2_0 + 1 else 20, 0)
        limits = own
        if stack:
            limits = (stack.sram2a_kib, stack.sram2b_kib)
        secure_page = self.base_page()
        if stack is not None:
            secure_page = (stack.address - FLASH_BASE) // self.part.page
        elif self.secret.nvm_sectors:
            secure_page = (nvm.section_start(self.part, self.secret) - FLASH_BASE) // self.part.page
        self.options.set_security(
            sfsa=secure_page,
            sbrv=base - FLASH_BASE >> 2,
            sram2a_kib=own[0] if self.behaviour.fus_limits == "fus" else limits[0],
            sram2b_kib=own[1] if self.behaviour.fus_limits == "fus" else limits[1],
        )

    def select_stack(self) -> None:
        """Write the option bytes with which CPU2 boots the stack, if there is one."""
        stack = self.secret.stack
        if stack is None:
            return
        self.options.set_security(
            sfsa=(stack.address - FLASH_BASE) // self.part.page,
            sbrv=stack.address - FLASH_BASE >> 2,
            sram2a_kib=stack.sram2a_kib,
            sram2b_kib=stack.sram2b_kib,
        )
