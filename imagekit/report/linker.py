"""Memory regions as the linkers of GCC, IAR and Keil take them, in the form of ST's example projects (STM32CubeWB)."""

from collections.abc import Sequence

from imagekit.linker import Region
from imagekit.report.layout import Json
from imagekit.text import hex_word

LINKER_SCHEMA = "imagekit.linker/1"


def text(linker: str, regions: Sequence[Region], part: str, stack: str) -> str:
    """Return the regions as a piece of a script for `gcc`, `iar` or `keil`."""
    about = f"{part} with {stack}: flash below the stack, and the SRAM2 that it leaves to the application."
    return _WRITERS[linker](regions, about)


_GCC_ACCESS = {"FLASH": "(rx)"}


def _gcc(regions: Sequence[Region], about: str) -> str:
    lines = [f"/* {about} */", "MEMORY", "{"]
    for region in regions:
        head = f"{region.name} {_GCC_ACCESS.get(region.name, '(xrw)')}"
        lines.append(f"{head:<27}: ORIGIN = {hex_word(region.start)}, LENGTH = {_length(region.size)}")
    lines += [
        "}",
        "",
        "/* In SECTIONS, in this order: CPU2 looks for MAPPING_TABLE at the start of RAM_SHARED. */",
        "/*   MAPPING_TABLE (NOLOAD) : { *(MAPPING_TABLE) } >RAM_SHARED */",
        "/*   MB_MEM1 (NOLOAD)       : { *(MB_MEM1) } >RAM_SHARED */",
        "/*   MB_MEM2 (NOLOAD)       : { *(MB_MEM2) } >RAM_SHARED */",
    ]
    return "\n".join(lines)


def _length(size: int) -> str:
    """Return a size as ST writes it: in K where that is whole."""
    if size % 1024:
        return f"0x{size:X}"
    return f"{size // 1024}K"


_ICF_NAMES = {"FLASH": "ROM", "RAM1": "RAM"}


def _iar(regions: Sequence[Region], about: str) -> str:
    lines = [f"/* {about} */"]
    names = [(_ICF_NAMES.get(region.name, region.name), region) for region in regions]
    for name, region in names:
        lines.append(f"define symbol __ICFEDIT_region_{name}_start__ = {hex_word(region.start)};")
        lines.append(f"define symbol __ICFEDIT_region_{name}_end__   = {hex_word(region.end)};")
    lines.append("")
    for name, _ in names:
        first, last = f"__ICFEDIT_region_{name}_start__", f"__ICFEDIT_region_{name}_end__"
        lines.append(f"define region {name}_region = mem:[from {first} to {last}];")
    lines += [
        "",
        "/* CPU2 looks for MAPPING_TABLE at the start of RAM_SHARED. */",
        "place at start of RAM_SHARED_region { section MAPPING_TABLE };",
        "place in RAM_SHARED_region { section MB_MEM1, section MB_MEM2 };",
    ]
    return "\n".join(lines)


_SCATTER_NAMES = {
    "FLASH": "ER_IROM1",
    "RAM1": "RW_IRAM1",
    "RAM_SHARED": "RW_RAM_SHARED",
    "RAMB_SHARED": "RW_RAMB_SHARED",
}
_SCATTER_CONTENTS = {
    "FLASH": ("*.o (RESET, +First)", "*(InRoot$$Sections)", ".ANY (+RO)"),
    "RAM1": (".ANY (+RW +ZI)",),
    "RAM_SHARED": ("*(MAPPING_TABLE, +First)", "*(MB_MEM1)", "*(MB_MEM2)"),
}


def _keil(regions: Sequence[Region], about: str) -> str:
    flash = regions[0]
    lines = [f"; {about}", f"LR_IROM1 {hex_word(flash.start)} {hex_word(flash.size)}  {{"]
    for region in regions:
        lines.append(f"  {_SCATTER_NAMES[region.name]} {hex_word(region.start)} {hex_word(region.size)}  {{")
        lines += [f"    {content}" for content in _SCATTER_CONTENTS.get(region.name, ())]
        lines.append("  }")
    lines.append("}")
    return "\n".join(lines)


_WRITERS = {"gcc": _gcc, "iar": _iar, "keil": _keil}


def document(linker: str, regions: Sequence[Region], part: str, stack: str, sha256: str) -> Json:
    """Return what `map --linker --json` prints."""
    return {
        "schema": LINKER_SCHEMA,
        "part": part,
        "stack": stack,
        "sha256": sha256,
        "linker": linker,
        "regions": [{"name": region.name, "start": hex_word(region.start), "size": region.size} for region in regions],
        "text": text(linker, regions, part, stack),
    }
