"""A plan as the commands of other tools: STM32_Programmer_CLI, and a J-Link Commander script.

Sources: release notes of STM32CubeWB v1.23.0, "How to flash the Wireless Coprocessor Binary via SWD/JTAG (Command Line
Interface)", steps 1 - 9, and v1.11.0 for -fwdelete; UM2237 (-fwupgrade, -startwirelessstack); SEGGER's pages ST_STM32WB
and STM32WB55 ("- FUS" devices). Neither script was run on a chip.
"""

from collections.abc import Iterator

from imagekit import __version__
from imagekit.errors import EmitError
from imagekit.fus_versions import given_fus, is_small_wb5x, needs_fus_first
from imagekit.image.model import Version
from imagekit.report.inspect import arithmetic
from imagekit.report.plan import title
from imagekit.targets import Series
from imagekit.text import hex_word, printable
from imagekit.upgrade.plan import UpgradePlan
from imagekit.upgrade.steps import AS_WANTED, Action, UpgradeStep

# What a shell, cmd or PowerShell reads as its own between double quotes.
_UNSAFE = frozenset('"$`%!')
_TOOL = "STM32_Programmer_CLI -c port=swd"
_READ_FUS = f"{_TOOL} -startfus\n{_TOOL} mode=UR -r32 0x20030030 1\n{_TOOL} mode=UR -r32 0x20010010 1"
"""The version is at the first address; while ST's FUS operator runs, at the second (release notes, step 4)."""


def cubeprogrammer(plan: UpgradePlan, part: str) -> str:
    """Return the plan as commands of STM32_Programmer_CLI over ST-LINK, for sh and PowerShell. Raises EmitError."""
    lines = [
        *_head(plan, part, "STM32_Programmer_CLI 2.20 or later, over SWD with an ST-LINK"),
        "Give one command at a time and look at its answer: imagekit explain ANSWER. Do not go on after an error, and",
        "never repeat or interrupt -fwupgrade. A FUS upgrade that ended with an error may have worked: read the",
        "version first.",
        "STM32CubeProgrammer writes its own program to the start of flash, over your application.",
    ]
    if not plan.steps:
        return _joined("# ", [*lines, "Nothing to do."])
    text = _joined("# ", lines) + f"\n{_READ_FUS}\n# expected at one of the two: {_word(plan.start.fus)}\n"
    for number, step in enumerate(plan.steps, start=1):
        text += "\n" + _joined("# ", _comment(number, step)) + f"\n{_cubeprogrammer(step)}\n"
    text += "\n# Boot options: ST's default (release notes, step 9); if yours were others, set those"
    return text + f"\n{_TOOL} mode=UR -ob nSWboot0=1 nboot1=1 nboot0=1\n\n# Now flash your application again."


def _cubeprogrammer(step: UpgradeStep) -> str:
    """The command of a step, and what it must be followed by."""
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

    One image for each run: nothing in such a script can wait for FUS, and an interrupted FUS upgrade is the end of a
    chip. Raises EmitError for what SEGGER's FUS support is not known to do.
    """
    target = plan.start.target
    device = _device(plan)
    lines = [
        *_head(plan, part, "J-Link Commander V7.86f or later: JLinkExe -CommandFile FILE (Windows: JLink.exe)"),
        "The J-Link library deletes the stack before each image by itself, writes the image, and starts FUS.",
        'It prints O.K. even when FUS found no image: look for "No valid image or signature found" in its output.',
        "FUS's version, while FUS runs: mem32 0x20030000, 1 gives its table's address; of mem32 ADDRESS, 4 the fourth",
        "word is the version (01020000 is 1.2.0), if the first is A94656B9.",
    ]
    if is_small_wb5x(target):
        lines.append(
            "WARNING: on a WB55CE a J-Link of before V7.86f looked for the image in other sectors than ST's, and did "
            "nothing; whether later ones find it nobody has reported. Read the stack's version afterwards"
        )
    if target.series is Series.WB1X:
        lines.append(
            "WARNING: on a WB15 an upgrade failed with a J-Link of before V7.86f, for no known reason; whether later "
            "ones do it nobody has reported. Read the stack's version afterwards"
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
    """The J-Link device with FUS; raises EmitError where there is none, or where it would not find the image."""
    target = plan.start.target
    device = {Series.WB5X: "STM32WB55xx - FUS", Series.WB1X: "STM32WB15CC - FUS"}.get(target.series)
    if device is None:
        raise EmitError(f"SEGGER names no J-Link device with FUS for {target.name}: use --emit cubeprogrammer")
    if needs_fus_first(target, plan.start.fus):
        raise EmitError("J-Link deletes the stack first, and ST wants a newer FUS first: use --emit cubeprogrammer")
    for step in plan.steps:
        if step.action is Action.INSTALL_SAFEBOOT:
            raise EmitError("no source tells whether J-Link Commander installs Safeboot: use --emit cubeprogrammer")
        # "... a valid signature in the last 5 unsecured sectors" (SEGGER, STM32WB55; log in forum thread 7375).
        if step.placement and step.placement.gap_sectors + step.placement.spare_sectors > _SEARCHED - 1:
            raise EmitError(
                f"J-Link looks for an image in the last {_SEARCHED} sectors below FUS, and this one ends "
                f"{step.placement.gap_sectors} sectors below: use --emit cubeprogrammer"
            )
    return device


_SEARCHED = 5


def _jlink_words(step: UpgradeStep, images: int) -> Iterator[str]:
    """What is to be said of a step that is no command of the script."""
    if step.action is Action.DELETE_STACK:
        yield "the next loadbin does it"
    elif step.action is Action.START_STACK:
        yield "FUS starts it by itself; J-Link Commander has no command for it. If it does not run, reset the chip"
    elif images > 1:
        yield f"in a run of its own, when FUS {step.fus.text} was read back: {_loadbin(step)}"


def _loadbin(step: UpgradeStep) -> str:
    return f"loadbin {_file(step)}, {_address(step)}"


def _head(plan: UpgradePlan, part: str, tool: str) -> Iterator[str]:
    """What every script begins with."""
    start = plan.start
    yield f"imagekit {__version__}: {part} ({start.target.name}) with FUS {start.fus.text} to {plan.goal.title}"
    yield f"For {tool}. Not tried on a chip by imagekit's authors."
    for warning in plan.warnings:
        yield f"WARNING: {warning}"
    if not plan.steps:
        yield from plan.notes


def _comment(number: int, step: UpgradeStep) -> Iterator[str]:
    """A step in words: what, what is irreversible, how the address came about."""
    yield f"{number}. {title(step)}" + (": CANNOT BE UNDONE" if step.irreversible else "")
    if step.why != AS_WANTED:
        yield step.why
    yield f"needs {step.needs}; gives {step.gives}"
    yield from step.afterwards
    if step.placement:
        yield f"address: {arithmetic(step.placement)}"


def _word(fus: Version) -> str:
    """FUS's version as it stands in memory (shci.h): `0x010200xx`, without the build."""
    word = f"0x{fus.major:02X}{fus.minor:02X}{fus.sub:02X}xx"
    return f"{word} (step 4 of ST's notes of v1.23.0 prints 02000X00 for it)" if fus == Version(2, 1, 0) else word


def _joined(mark: str, lines: list[str] | Iterator[str]) -> str:
    return "\n".join(mark + printable(line) for line in lines)


def _file(step: UpgradeStep) -> str:
    """The path between double quotes; raises EmitError for one that a shell would read as more than a path."""
    path = step.candidate.path if step.candidate else ""
    # A backslash is a separator on Windows; sh would take one before the closing quote, or one of two.
    if (
        not path
        or path.startswith("-")
        or path.endswith("\\")
        or "\\\\" in path
        or _UNSAFE & set(path)
        or not path.isprintable()
    ):
        raise EmitError(f"{printable(path)}: a script cannot name this file safely: copy it to a plain name")
    return f'"{path}"'


def _address(step: UpgradeStep) -> str:
    return hex_word(step.placement.address) if step.placement else ""
