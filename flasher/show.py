"""Values into texts and JSON documents: chips, plans, events. No decisions.

JSON: docs/json.md; addresses as `0x080D0000`, hashes in lower case.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flasher.chip import Identity, Options
from flasher.install import Event
from flasher.mailbox import DeviceInfo
from flasher.plan import InstallPlan, InstallStep, option_verdicts
from flasher.probe import ProbeInfo
from imagekit.bundle.manifest import known_as
from imagekit.option_bytes.verdicts import FieldVerdict, Grade

_SEVERITIES = {Grade.ERROR: "error", Grade.WARNING: "warning", Grade.NOTE: "note"}


def probe_document(probe: ProbeInfo) -> dict[str, str]:
    """A probe in `info --json`."""
    return {
        "kind": probe.kind,
        "product": probe.product,
        "serial": probe.serial,
        "firmware": probe.firmware,
        "library": probe.library,
    }


def chip_document(chip: Identity) -> dict[str, Any]:
    """A chip in `info --json` and `plan --json`."""
    return {
        "target": chip.target.name,
        "dev_id": f"0x{chip.dev_id:03X}",
        "flash_kib": chip.flash_kib,
        "uid": chip.uid,
    }


def info_document(
    probe: ProbeInfo, chip: Identity, options: Options, info: DeviceInfo | None, hindrances: Iterable[str]
) -> dict[str, Any]:
    """`info --json`."""
    verdicts = [
        {"severity": _SEVERITIES[one.grade], "message": _verdict_text(one)}
        for one in option_verdicts(options)
        if one.grade in _SEVERITIES
    ]
    verdicts += [{"severity": "error", "message": f"nothing can be installed: {why}"} for why in hindrances]
    return {
        "schema": "flasher.info/1",
        "probe": probe_document(probe),
        "chip": chip_document(chip),
        "option_bytes": {name: f"0x{word:08X}" for name, word in options.words.items()},
        "fus": {"version": info.fus.text} if info else None,
        "stack": {"version": info.stack.text, "sectors": info.stack_sectors} if info and info.stack else None,
        "running": ("fus" if info.is_fus else "stack") if info else "unknown",
        "verdicts": verdicts,
    }


def info_lines(
    probe: ProbeInfo, chip: Identity, options: Options, info: DeviceInfo | None, hindrances: Iterable[str]
) -> list[str]:
    """`info` for people: what matters, and of the option bytes what is not as it should be."""
    lines = [
        f"chip          {chip.target.name}, {chip.flash_kib} KiB of flash, DEV_ID 0x{chip.dev_id:03X}, UID {chip.uid}",
        f"probe         {probe.product} {probe.serial}, library {probe.library}",
    ]
    if info is not None:
        lines += [
            f"FUS           {info.fus.text}",
            f"stack         {info.stack.full_text if info.stack else 'none installed'}",
            f"running       {'FUS' if info.is_fus else 'the stack'}",
        ]
    good = [one.name for one in option_verdicts(options) if one.grade is Grade.GOOD]
    lines.append(f"option bytes  {len(good)} as they should be")
    lines += [
        f"  {_SEVERITIES[one.grade]}: {_verdict_text(one)}"
        for one in option_verdicts(options)
        if one.grade in _SEVERITIES
    ]
    return [*lines, *(f"nothing can be installed: {why}" for why in hindrances)]


def _verdict_text(one: FieldVerdict) -> str:
    return f"{f'{one.name} {one.value}'.strip()}: {one.meaning}"


def plan_document(plan: InstallPlan) -> dict[str, Any]:
    """`plan --json`."""
    return {
        "schema": "flasher.plan/1",
        "chip": chip_document(plan.facts.identity),
        "steps": [_step_document(step) for step in plan.steps],
        "refusals": list(plan.refusals),
    }


def _step_document(step: InstallStep) -> dict[str, Any]:
    return {
        "action": step.action,
        "image": step.image,
        "version": step.version.text if step.version else None,
        "address": f"0x{step.area.start:08X}" if step.area else None,
        "irreversible": step.is_irreversible,
        "bonding_data": step.bonding_data.document if step.bonding_data else None,
        "erases_bytes": step.area.end - step.area.start if step.area else 0,
        "writes_bytes": len(step.staging.data) if step.staging else 0,
    }


def chip_line(chip: Identity, info: DeviceInfo) -> str:
    """The chip in one line, above a plan."""
    stack = f"stack {info.stack.full_text}" if info.stack else "no stack"
    return f"{chip.target.name} with FUS {info.fus.text} and {stack}"


def plan_lines(plan: InstallPlan) -> list[str]:
    """A plan for people: one line a step, with what it costs."""
    lines = [chip_line(plan.facts.identity, plan.facts.info)]
    if not plan.steps and not plan.refusals:
        return [*lines, "nothing to do: the chip has what the bundle holds"]
    manifest, assessments = plan.bundle.manifest, plan.bundle.assessments
    signers = ", ".join(one[:16] for one in plan.bundle.signers)
    lines.append(f"{manifest.name}, sequence {manifest.sequence}, signed by {signers}")
    lines += [f"waived by its maker: {one.rule} of {one.image[:8]}: {one.reason}" for one in manifest.waivers]
    known = {sha256: known_as(one) for sha256, one in assessments.items()}  # not what the bundle's maker calls it
    for number, step in enumerate(plan.steps, start=1):
        name = known.get(step.image or "")
        cost = f"{len(step.staging.data)} bytes, {len(step.area.pages)} pages" if step.staging and step.area else ""
        mark = "IRREVERSIBLE" if step.is_irreversible else ""
        lines.append(
            "   ".join(part for part in (f"{number}. {step.title}", name, cost, mark, f"({step.why})") if part)
        )
    return lines


def event_document(event: Event) -> dict[str, Any]:
    """One line of `--json-lines`."""
    document: dict[str, Any] = {"event": event.event, "step": event.step}
    if event.of:
        document |= {"done": event.done, "of": event.of}
    return document | ({"text": event.text} if event.text else {})


def anonymous(text: str, *serials: str) -> str:
    """A text in which serial numbers and UIDs are pseudonyms, and the user's folder is `~`."""
    known = [rf"\b{one}\b" for one in serials if one]
    numbers = "|".join([r"\b[0-9a-f]{24}\b", r"(?<=J-Link )[0-9]{6,10}\b", *known])
    text = re.sub(numbers, lambda one: f"sha256:{hashlib.sha256(one[0].encode()).hexdigest()[:12]}", text)
    return text.replace(str(Path.home()), "~") if os.environ.get("HOME") else text
