"""Which of ST's stacks a chip has, by what it reports of itself."""

from collections.abc import Sequence

from imagekit.catalogue import Catalogue, Content
from imagekit.doctor.chip_report import ChipReport
from imagekit.targets import SRAM2A_KIB, SRAM2B_KIB, Series

VARIANTS_OF_TYPE = {
    0x01: ("BLE_Stack_full", "BLE_Stack"),
    0x02: ("BLE_HCILayer",),
    0x03: ("BLE_Stack_light",),
    0x05: ("BLE_Stack_basic",),
    0x06: ("BLE_Stack_full_extended",),
    0x07: ("BLE_HCILayer_extended",),
    0x10: ("Thread_FTD",),
    0x11: ("Thread_MTD",),
    0x30: ("Zigbee_FFD", "Zigbee_FFD_Full", "zigbee_full"),
    0x31: ("Zigbee_RFD",),
    0x40: ("Mac_802_15_4",),
    0x50: ("BLE_Thread_static", "BLE_Thread"),
    0x51: ("BLE_Thread_dynamic",),
    0x61: ("Phy_802_15_4", "rfmonitor_phy802_15_4"),
    0x63: ("BLE_LLD",),
    0x70: ("BLE_Zigbee_FFD_static", "BLE_Zigbee_static"),
    0x71: ("BLE_Zigbee_RFD_static",),
    0x78: ("BLE_Zigbee_FFD_dynamic",),
    0x79: ("BLE_Zigbee_RFD_dynamic",),
    0x90: ("BLE_Mac_802_15_4",),
}
"""Stack type as a chip reports it -> ST's variants of that type (shci.h v1.24.0, INFO_STACK_TYPE_*)."""


def stacks_like(report: ChipReport, catalogue: Catalogue, series: Series | None = None) -> tuple[Content, ...]:
    """Return every stack of ST's that fits what the chip reports; empty when it reports none, or none fits."""
    if report.stack is None:
        return ()
    version = report.stack.full_text
    if report.stack.build == 0 and report.stack.branch == 0:
        version = report.stack.text  # a tool that left branch and build out
    candidates = catalogue.identify(series=series, version=version, sectors=report.sectors)
    return tuple(content for content in candidates if content.kind == "stack" and _fits(content, report))


def _fits(content: Content, report: ChipReport) -> bool:
    """Whether type and SRAM2 agree, as far as they were reported.

    A chip reports what the stack uses, the catalogue has what is left to the application: together they are the whole
    (one real WB55, stm32duino/STM32duinoBLE pull request 17).
    """
    if report.stack_type:
        variants = VARIANTS_OF_TYPE.get(report.stack_type)
        if variants is not None and not set(variants) & set(content.variants):
            return False
    for used, left, whole in (
        (report.stack_sram2a_kib, content.sram2a_kib, {SRAM2A_KIB}),
        (report.stack_sram2b_kib, content.sram2b_kib, {SRAM2B_KIB[Series(name)] for name in content.series}),
    ):
        if used is not None and left is not None and used + left not in whole:
            return False
    return True


def variant_names(contents: Sequence[Content]) -> tuple[str, ...]:
    """Return `BLE_Stack_full 1.24.0` for each variant and version among contents, each once."""
    names = []
    for content in contents:
        version = ".".join((content.version or "").split(".")[:3])
        names += [f"{variant} {version}" for variant in content.variants]
    return tuple(sorted(set(names)))
