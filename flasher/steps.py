"""Carry out the steps of a plan, one function for each action."""

from collections.abc import Callable
from dataclasses import dataclass

from flasher import boot_guard
from flasher import registers as reg
from flasher.acceptance import Range
from flasher.device import Area, Staging
from flasher.errors import ChipError, FusError
from flasher.plan import InstallPlan, InstallStep
from flasher.session import Session
from imagekit.flash_scan import find_images
from imagekit.image.model import Version

_NOTHING: Range = (reg.FLASH_BASE, reg.FLASH_BASE)


@dataclass(slots=True)
class WorkingFlash:
    """What user flash holds, kept up to date while steps change it."""

    session: Session
    cells: bytearray

    def at(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to `end`."""
        return bytes(self.cells[start - reg.FLASH_BASE : end - reg.FLASH_BASE])

    def erase(self, area: Area) -> None:
        """Erase an area, and note that it is blank."""
        self.session.retried(lambda: self.session.flash.erase(area), self.session.prepare_fus)
        self._note(area.start, b"\xff" * (area.end - area.start))

    def read_again(self, area: Area) -> None:
        """Read an area that FUS may have changed."""
        self._note(area.start, self.session.retried(lambda: self.session.flash.read(area.start, area.end)))

    def stage(self, step: InstallStep, staging: Staging) -> None:
        """Program an image, unless the chip holds it already."""
        area, data = staging.area, staging.data
        end = area.start + len(data)
        if self.at(area.start, end) == data:
            self.read_again(area)  # it was read some time ago
        if self.at(area.start, end) == data:
            return
        session = self.session

        def write() -> None:
            session.flash.erase(area)
            session.flash.program(staging, session.progress(len(data)))

        session.retried(write, session.prepare_fus)
        session.journal.note("staged", step=step.title)
        self._note(area.start, data.ljust(area.end - area.start, b"\xff"))

    def extend(self) -> None:
        """Read what has become user flash. It belonged to CPU2, and is erased where it is not blank."""
        session, target = self.session, self.session.chip.identity.target
        start = reg.FLASH_BASE + len(self.cells)
        end = min(target.sector_address(session.retried(session.chip.sfsa)), target.limit)
        if start >= end:
            return
        self.cells += session.retried(lambda: session.flash.read(start, end))
        blank = b"\xff" * target.sector_size
        for sector in range(start, end, target.sector_size):
            if self.at(sector, sector + target.sector_size) != blank:
                self.erase(Area(sector, sector + target.sector_size, target))

    def remove_images(self, keep: Range = _NOTHING) -> None:
        """Erase images that an earlier step has left. Raises ChipError for an image that the plan does not know."""
        target, staged = self.session.chip.identity.target, self.session.journal.history.staged
        for image in find_images(bytes(self.cells), target):
            if keep[0] <= image.start and image.end <= keep[1]:
                continue
            if not any(start <= image.start and image.end <= end for start, end in staged):
                raise ChipError(
                    f"an image at 0x{image.start:08X} was not there when the plan was made; nothing was erased: plan "
                    "again"
                )
            self.erase(Area(image.start, image.end, target))

    def _note(self, start: int, data: bytes) -> None:
        self.cells[start - reg.FLASH_BASE : start - reg.FLASH_BASE + len(data)] = data


def carry_out_step(session: Session, plan: InstallPlan, step: InstallStep, flash: WorkingFlash) -> None:
    """Carry out one step. Raises ChipError, FusError, ProbeError."""
    _ACTIONS[step.action](session, plan, step, flash)


def _erase(session: Session, _plan: InstallPlan, step: InstallStep, flash: WorkingFlash) -> None:
    assert step.area is not None  # noqa: S101 - by the plan
    session.fus.enter_fus()  # a stack that uses its radio delays the flash
    flash.erase(step.area)


def _delete(session: Session, _plan: InstallPlan, _step: InstallStep, flash: WorkingFlash) -> None:
    """Delete the stack. SFSA then frees what belonged to CPU2; an image that is left in it is erased too."""
    delete_stack(session)
    flash.extend()
    flash.remove_images()


def delete_stack(session: Session) -> None:
    """Have FUS delete the stack, whatever happens to the link."""
    session.fus.enter_fus()
    session.retried(session.fus.delete_stack, session.prepare_fus)


def _purge(session: Session, _plan: InstallPlan, _step: InstallStep, flash: WorkingFlash) -> None:
    """Delete the stack and all bonding data of the radio core; otherwise as `_delete`."""
    session.fus.enter_fus()
    session.retried(session.fus.purge_nvm, session.prepare_fus)
    flash.extend()
    flash.remove_images()


def _install(session: Session, _plan: InstallPlan, step: InstallStep, flash: WorkingFlash) -> None:
    """Stage an image, and have FUS install it."""
    assert step.staging is not None  # noqa: S101 - by the plan
    assert step.version is not None  # noqa: S101 - by the plan
    area, version = step.staging.area, step.version
    session.fus.enter_fus()
    flash.remove_images(keep=(area.start, area.end))
    flash.stage(step, step.staging)
    session.tell("state", "FUS installs the image: do NOT power off or reset the board")
    if step.action == "install-fus":
        session.fus.upgrade(step.title, lambda info: info.fus == version)
        flash.read_again(area)
        flash.remove_images()
    elif step.action == "install-stack":
        session.fus.upgrade(step.title, lambda info: info.stack == version and _has_secure_sectors(session))
    else:
        _install_safeboot(session, step.title, version)


def _has_secure_sectors(session: Session) -> bool:
    """Whether SFSA shows that sectors below FUS are secure, as they are with a stack."""
    target = session.chip.identity.target
    return target.sector_address(session.chip.sfsa()) < target.limit


def _install_safeboot(session: Session, title: str, version: Version) -> None:
    """Install Safeboot. FUS reports an error once although it succeeds (release notes of v1.24.0, "Safeboot")."""
    try:
        session.fus.upgrade(title, lambda info: info.safeboot.text == version.text)
    except FusError:
        session.fus.restart()
        if session.fus.info.safeboot.text != version.text:
            raise


def _start(session: Session, _plan: InstallPlan, _step: InstallStep, _flash: WorkingFlash) -> None:
    """Start the stack, unless FUS has started it by itself."""
    if session.fus.info.is_fus:
        session.fus.start_stack()


def _boot_from_flash(session: Session, plan: InstallPlan, _step: InstallStep, _flash: WorkingFlash) -> None:
    boot_guard.note_boot_from_flash(session, plan.facts)


_ACTIONS: dict[str, Callable[[Session, InstallPlan, InstallStep, WorkingFlash], None]] = {
    "boot-from-flash": _boot_from_flash,
    "erase": _erase,
    "delete-stack": _delete,
    "purge-nvm": _purge,
    "install-fus": _install,
    "install-stack": _install,
    "install-safeboot": _install,
    "start-stack": _start,
}
