"""A plan as commands for other tools: STM32_Programmer_CLI, and a J-Link Commander script.

Sources: release notes of STM32CubeWB v1.23.0, "How to flash the Wireless Coprocessor Binary via SWD/JTAG (Command Line
Interface)", steps 1 - 9, and v1.11.0 for -fwdelete; UM2237 (-fwupgrade, -startwirelessstack); SEGGER's pages ST_STM32WB
and STM32WB55 ("- FUS" devices). Neither script was run on a chip.
"""

import string
from collections.abc import Iterator

from imagekit import __version__
from imagekit.errors import EmitError
from imagekit.fus_versions import given_fus, is_small_wb5x, needs_fus_first
from imagekit.image.model import Version
from imagekit.report.address import arithmetic
from imagekit.report.plan import title
from imagekit.targets import Series
from imagekit.text import hex_word, printable
from imagekit.upgrade.plan import UpgradePlan
from imagekit.upgrade.steps import AS_WANTED, Action, UpgradeStep

# No shell, cmd or PowerShell interprets these between double quotes. PowerShell takes typographic quotes for straight
# ones, and dashes of every kind for "-", so all other characters are left out.
_SAFE = frozenset(string.ascii_letters + string.digits + " ._+@:/\\()-")
_TOOL = "STM32_Programmer_CLI -c port=swd"
_READ_FUS = f"{_TOOL} -startfus\n{_TOOL} mode=UR -r32 0x20030030 1\n{_TOOL} mode=UR -r32 0x20010010 1"
"""The version is at the first address; while ST's FUS operator runs, at the second (release notes, step 4)."""


def cubeprogrammer(plan: UpgradePlan, part: str) -> str:
    """Return the plan as commands of STM32_Programmer_CLI over ST-LINK, for sh and PowerShell. Raises EmitError."""
    lines = [
        *_head(plan, part, "STM32_Programmer_CLI 2.20 or later, over SWD with an ST-LINK"),
        "Do NOT interrupt or repeat -fwupgrade. Give one command at a time and look at its answer (imagekit explain",
        "ANSWER). Stop after an error. A FUS upgrade that ended with an error may have worked: read the version first.",
        "STM32CubeProgrammer writes its own program to the start of flash, and overwrites your application.",
    ]
    if not plan.steps:
        return _joined("# ", [*lines, "Nothing to do."])
    text = _joined("# ", lines) + f"\n{_READ_FUS}\n# expected at one of the two: {_word(plan.start.fus)}\n"
    for number, step in enumerate(plan.steps, start=1):
        text += "\n" + _joined("# ", _comment(number, step)) + f"\n{_cubeprogrammer(step)}\n"
    text += "\n# Boot options: ST's default (release notes, step 9). If yours were different, set those."
    return text + f"\n{_TOOL} mode=UR -ob nSWboot0=1 nboot1=1 nboot0=1\n\n# Now program your application again."


def _cubeprogrammer(step: UpgradeStep) -> str:
    """Return the command of a step, and what must follow it."""
    if step.action is Action.DELETE_STACK:
        return f"{_TOOL} -fwdelete"
    if step.action is Action.START_STACK:
        return f"{_TOOL} -startwirelessstack"
    command = f"{_TOOL} mode=UR -fwupgrade {_file(step)} {_address(step)} firstinstall=0"
    if step.action is Action.INSTALL_FUS and step.candidate:
        command += (
            f"\n{_READ_FUS}\n# expected at one of the two: {_word(given_fus(step.candidate.image))}; if not, stop"
        )
    return command


def jlink(plan: UpgradePlan, part: str) -> str:
    """Return the first image of the plan as a J-Link Commander script, the rest in comments.

    One run installs one image: such a script cannot wait for FUS, and an interrupted FUS upgrade destroys a chip.

    Raises:
        EmitError: it is not known whether SEGGER's FUS support can do it.
    """
    target = plan.start.target
    device = _device(plan)
    lines = [
        *_head(plan, part, "J-Link Commander V7.86f or later: JLinkExe -CommandFile FILE (Windows: JLink.exe)"),
        "The J-Link library deletes the stack before each image by itself, writes the image, and starts FUS.",
        'It prints O.K. even when FUS finds no image: look for "No valid image or signature found" in its output.',
        "The version of FUS, while FUS runs: mem32 0x20030000, 1 gives the address of its table. The fourth word of",
        "mem32 ADDRESS, 4 is the version (01020000 is 1.2.0), if the first is A94656B9.",
    ]
    if is_small_wb5x(target):
        lines.append(
            "WARNING: on a WB55CE, J-Link before V7.86f looked for the image in other sectors than ST's and "
            "did nothing. There is no report about later versions. Read the version of the stack afterwards."
        )
    if target.series is Series.WB1X:
        lines.append(
            "WARNING: on a WB15, an upgrade failed with J-Link before V7.86f for an unknown reason. There is no report "
            "about later versions. Read the version of the stack afterwards."
        )
    if not plan.steps:
        return _joined("// ", [*lines, "Nothing to do."])
    parts = [_joined("// ", lines), "ExitOnError 1", f"device {device}", "si SWD", "speed 4000", "connect"]
    images = 0
    for number, step in enumerate(plan.steps, start=1):
        images += step.placement is not None
        parts.append("\n" + _joined("// ", [*_comment(number, step), *_jlink_words(step, images)]))
        if step.placement and images == 1:
            parts.append(f"{_loadbin(step)}\nexit")
    return "\n".join(parts)


def _device(plan: UpgradePlan) -> str:
    """Return the J-Link device with FUS. Raises EmitError when there is none, or when it would not find the image."""
    target = plan.start.target
    device = {Series.WB5X: "STM32WB55xx - FUS", Series.WB1X: "STM32WB15CC - FUS"}.get(target.series)
    if device is None:
        raise EmitError(f"SEGGER names no J-Link device with FUS for {target.name}: use --emit cubeprogrammer")
    if needs_fus_first(target, plan.start.fus):
        raise EmitError("J-Link deletes the stack first, but ST requires a newer FUS first: use --emit cubeprogrammer")
    for step in plan.steps:
        if step.action is Action.INSTALL_SAFEBOOT:
            raise EmitError("it is not known whether J-Link Commander installs Safeboot: use --emit cubeprogrammer")
        # "... a valid signature in the last 5 unsecured sectors" (SEGGER, STM32WB55; log in forum thread 7375).
        if step.placement and step.placement.gap_sectors + step.placement.spare_sectors > _SEARCHED - 1:
            raise EmitError(
                f"J-Link looks for an image in the last {_SEARCHED} sectors below FUS, but this one ends "
                f"{step.placement.gap_sectors} sectors below: use --emit cubeprogrammer"
            )
    return device


_SEARCHED = 5


def _jlink_words(step: UpgradeStep, images: int) -> Iterator[str]:
    """Yield what there is to know about a step that is not a command of the script."""
    if step.action is Action.DELETE_STACK:
        yield "the next loadbin does this"
    elif step.action is Action.START_STACK:
        yield "FUS starts it without a command. If it does not run, reset the chip."
    elif images > 1:
        yield f"in a separate run, after FUS {step.fus.text} was read back: {_loadbin(step)}"


def _loadbin(step: UpgradeStep) -> str:
    return f"loadbin {_file(step)}, {_address(step)}"


def _head(plan: UpgradePlan, part: str, tool: str) -> Iterator[str]:
    """Yield what every script begins with."""
    start = plan.start
    yield f"imagekit {__version__}: {part} ({start.target.name}) with FUS {start.fus.text} to {plan.goal.title}"
    yield f"For {tool}. Not tried on a chip by the authors of imagekit."
    for warning in plan.warnings:
        yield f"WARNING: {warning}"
    if not plan.steps:
        yield from plan.notes


def _comment(number: int, step: UpgradeStep) -> Iterator[str]:
    """Yield a step in words: what it does, whether it is irreversible, how its address was computed."""
    heading = f"{number}. {title(step)}"
    if step.irreversible:
        heading += ": IRREVERSIBLE"
    yield heading
    if step.why != AS_WANTED:
        yield step.why
    yield f"needs {step.needs}; gives {step.gives}"
    yield from step.afterwards
    if step.placement:
        yield f"address: {arithmetic(step.placement)}"


def _word(fus: Version) -> str:
    """Return the version of FUS as it is in memory (shci.h): `0x010200xx`, without the build."""
    word = f"0x{fus.major:02X}{fus.minor:02X}{fus.sub:02X}xx"
    if fus == Version(2, 1, 0):
        word += " (step 4 of ST's notes of v1.23.0 prints 02000X00 for it)"
    return word


def _joined(mark: str, lines: list[str] | Iterator[str]) -> str:
    return "\n".join(mark + printable(line) for line in lines)


def _file(step: UpgradeStep) -> str:
    """Return the path in double quotes. Raises EmitError for a path that a shell would interpret."""
    path = ""
    if step.candidate:
        path = step.candidate.path
    # A backslash is a separator on Windows, but sh removes one before the closing quote, and one of two.
    if not path or path.startswith("-") or path.endswith("\\") or "\\\\" in path or not set(path) <= _SAFE:
        raise EmitError(
            f"{printable(path)}: a script cannot name this file safely. Copy it to a name of A-Z, a-z, 0-9, "
            "space, and . _ + @ : / ( ) - and plan again"
        )
    return f'"{path}"'


def _address(step: UpgradeStep) -> str:
    if step.placement is None:
        return ""
    return hex_word(step.placement.address)
