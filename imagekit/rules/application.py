"""Rules about the application on CPU1 beside an image: flash, SRAM2, mailbox (WB305 to WB307)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagekit.errors import PlacementError
from imagekit.image.model import Image, ImageKind
from imagekit.placement import place
from imagekit.rules.registry import Severity, Subject, image_rule
from imagekit.targets import FLASH_BASE, SRAM2A, SRAM2A_KIB, SRAM2B, SRAM2B_KIB, Target
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.application.model import Application


@image_rule("WB305", Severity.ERROR, "The application overlaps the image")
def application_overlaps_image(subject: Subject) -> Iterator[str]:
    """Only with `--app`: the application reaches to or above the address at which the image starts, so that one of the
    two overwrites the other. Once the image is installed, CPU1 faults where it reads there. Make the application
    smaller (its linker script says how large it can be), or use a smaller stack.
    """
    application, target = subject.chip.application, subject.chip.target
    if application is None or target is None:
        return
    start = _image_start(subject, target)
    if start is not None:
        yield from reaching(application, start, target, "the image")


def reaching(application: "Application", start: int, target: Target, what: str) -> Iterator[str]:
    """Say which part of an application lies at or above the address at which `what` starts; nothing if all is below."""
    above = application.above(start)
    if not above:
        return
    first, more = above[0], len(above) - 1
    begins_below = first.start < start
    text = f"{what} starts at 0x{start:08X}, and the application's 0x{first.start:08X}-0x{first.end - 1:08X} "
    text += "reaches into it" if begins_below else "lies above that"
    if more:
        text += f", with {counted(more, 'block')} more above"
    elif begins_below:
        excess = first.end - start
        sectors = counted(-(-excess // target.sector_size), "sector")
        text += f": {-(-excess // 1024)} KiB ({sectors}) too large"
    yield text


def _image_start(subject: Subject, target: Target) -> int | None:
    """Where the image starts on the part: where a HEX file puts it, or the install address; None: nowhere."""
    hex_address = subject.hex_address
    try:
        address = place(subject.image, target, fus=subject.chip.fus, variants=subject.assessment.fus_variants).address
    except PlacementError:
        return None  # WB301 or WB303 gives the reason
    if hex_address is not None and hex_address > FLASH_BASE:  # WB304 refuses FLASH_BASE itself
        return hex_address
    return address


@image_rule("WB306", Severity.ERROR, "The application uses SRAM2 that belongs to the stack")
def application_uses_stack_sram(subject: Subject) -> Iterator[str]:
    """Only with `--app` and an ELF file, which tells the RAM: the footer says how much of SRAM2a and SRAM2b is left to
    the application under this stack. The rest is secure: CPU1 faults when it accesses it. Other RAM is not checked.
    """
    application = subject.chip.application
    if application is None or subject.image.kind is not ImageKind.STACK:
        return
    for name, start, end, app_end in shared_ram(subject.image, subject.chip.target):
        above = [block for block in application.ram if block.meets(app_end, end)]
        if not above:
            continue
        used_end = min(max(block.end for block in above), end)
        text = f"the application uses {name} up to 0x{used_end - 1:08X}, but "
        text += f"{(app_end - start) // 1024} KiB of it are left to the application"
        if app_end > start:
            text += f", up to 0x{app_end - 1:08X}"
        yield text


def shared_ram(image: Image, target: Target | None) -> Iterator[tuple[str, int, int, int]]:
    """Yield name, start and end of SRAM2a and SRAM2b, and the end of CPU1's part of each under an image.

    The footer counts the KiB that stay with CPU1, from the start of each (measured: equal to SBRSA and SNBRSA of the
    option bytes once the stack is installed). Without a target, SRAM2b is as large as it can be.
    """
    kib_2b = SRAM2B_KIB[target.series] if target else max(SRAM2B_KIB.values())
    footer = image.footer
    for name, start, kib, app_kib in (
        ("SRAM2a", SRAM2A, SRAM2A_KIB, footer.sram2a_kib),
        ("SRAM2b", SRAM2B, kib_2b, footer.sram2b_kib),
    ):
        yield name, start, start + kib * 1024, start + min(app_kib, kib) * 1024


@image_rule("WB307", Severity.ERROR, "The application's mailbox is not where CPU2 looks for it")
def mailbox_is_misplaced(subject: Subject) -> Iterator[str]:
    """Only with `--app` and an ELF file that names ST's mailbox: `MAPPING_TABLE` (`TL_RefTable`) must be at
    0x20030000, where CPU2 looks for it while the option byte IPCCDBA is 0, and the buffers `MB_MEM1` and `MB_MEM2` must
    be in SRAM2. CPU2 does not answer otherwise. Place the sections as ST's linker scripts do; the names must agree with
    those in the source, without a dot in front.
    """
    application = subject.chip.application
    if application is None or subject.image.kind is not ImageKind.STACK:
        return
    for name, address in dict.fromkeys(application.mailbox):
        if name in _TABLES and address != SRAM2A:
            yield f"the application has {name} at 0x{address:08X}, and CPU2 looks for it at 0x{SRAM2A:08X}"
        elif name not in _TABLES and not SRAM2A <= address < _SRAM2_END:
            yield f"the application has {name} at 0x{address:08X}, outside of SRAM2 (0x{SRAM2A:08X}), which CPU2 reads"


# STM32CubeWB, tl_mbox.c: the reference table in MAPPING_TABLE, the buffers in MB_MEM1 and MB_MEM2. Buffers in SRAM1
# because of a wrong section name: community.st.com, "STM32WB55RG BLE advertising issue", message 127371.
_TABLES = ("MAPPING_TABLE", "TL_RefTable")
_SRAM2_END = SRAM2B + max(SRAM2B_KIB.values()) * 1024

APPLICATION_RULES = (application_overlaps_image, application_uses_stack_sram, mailbox_is_misplaced)
"""In the order in which findings are reported."""
