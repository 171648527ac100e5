"""Values as text and JSON documents: chips, plans, events. No decisions.

JSON: docs/json.md; addresses as `0x080D0000`, hashes in lower case.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from flasher.device import Identity, Options
from flasher.facts import option_verdicts
from flasher.mailbox import DeviceInfo, NvmJob
from flasher.plan import InstallPlan, InstallStep
from flasher.probe import FoundProbe, ProbeInfo
from flasher.session import Event
from imagekit.bundle.manifest import known_as
from imagekit.option_bytes.verdicts import FieldVerdict, Grade
from imagekit.text import counted, printable

_SEVERITIES = {Grade.ERROR: "error", Grade.WARNING: "warning", Grade.NOTE: "note"}


# --- probes


def probe_document(probe: ProbeInfo) -> dict[str, str]:
    """Return a probe for `info --json`."""
    return {
        "kind": probe.kind,
        "product": probe.product,
        "serial": probe.serial,
        "firmware": probe.firmware,
        "library": probe.library,
    }


def list_document(probes: Iterable[FoundProbe]) -> dict[str, Any]:
    """Return the connected probes for `list --json`."""
    documents = [
        {
            "probe": probe.name,
            "product": probe.product,
            "connection": probe.connection,
            "kind": probe.kind,
            "serial": probe.serial,
            "board": probe.board,
        }
        for probe in probes
    ]
    return {"schema": "flasher.list/1", "probes": documents}


def found_line(probe: FoundProbe) -> str:
    """Return a connected probe in one line."""
    parts = [probe.name, printable(probe.product), probe.connection]
    if probe.board:
        parts.append(printable(probe.board))
    return "  ".join(parts)


# --- chips


def chip_document(chip: Identity) -> dict[str, Any]:
    """Return a chip for `info --json` and `plan --json`."""
    return {
        "target": chip.target.name,
        "dev_id": f"0x{chip.dev_id:03X}",
        "flash_kib": chip.flash_kib,
        "uid": chip.uid,
    }


def info_document(
    probe: ProbeInfo, chip: Identity, options: Options, info: DeviceInfo | None, refusals: Iterable[str]
) -> dict[str, Any]:
    """Return `info --json`."""
    verdicts = [
        {"severity": _SEVERITIES[verdict.grade], "message": _verdict_text(verdict)} for verdict in _bad(options)
    ]
    verdicts += [{"severity": "error", "message": _refusal_text(reason)} for reason in refusals]
    if info is not None and info.nvm_job is not None:
        verdicts.append({"severity": "warning", "message": _job_text(info.nvm_job)})
        info = None  # what else the table holds meanwhile is unknown (shci.h v1.24.0 has the type alone)
    return {
        "schema": "flasher.info/1",
        "probe": probe_document(probe),
        "chip": chip_document(chip),
        "option_bytes": {name: f"0x{word:08X}" for name, word in options.words.items()},
        "fus": {"version": info.fus.text} if info else None,
        "stack": _stack_document(info),
        "running": _running(info),
        "verdicts": verdicts,
    }


def _stack_document(info: DeviceInfo | None) -> dict[str, Any] | None:
    if info is None or info.stack is None:
        return None
    stack = info.stack
    return {"version": stack.text, "full_version": stack.full_text, "sectors": info.stack_sectors}


def _running(info: DeviceInfo | None) -> str:
    if info is None:
        return "unknown"
    if info.is_fus:
        return "fus"
    return "stack"


def info_lines(
    probe: ProbeInfo, chip: Identity, options: Options, info: DeviceInfo | None, refusals: Iterable[str]
) -> list[str]:
    """Return `info` for people: the versions, and the option bytes that are not as they should be."""
    lines = [
        f"chip          {chip.target.name}, {chip.flash_kib} KiB of flash, DEV_ID 0x{chip.dev_id:03X}, UID {chip.uid}",
        f"probe         {probe.product} {probe.serial}, library {probe.library}",
    ]
    if info is not None and info.nvm_job is not None:
        lines.append(f"running       {_job_text(info.nvm_job)}")
    elif info is not None:
        lines += [
            f"FUS           {info.fus.text}",
            f"stack         {_stack_text(info)}",
            f"running       {'FUS' if info.is_fus else 'the stack'}",
        ]
    good = sum(verdict.grade is Grade.GOOD for verdict in option_verdicts(options))
    lines.append(f"option bytes  {good} fields as expected")
    lines += [f"  {_SEVERITIES[verdict.grade]}: {_verdict_text(verdict)}" for verdict in _bad(options)]
    return [*lines, *map(_refusal_text, refusals)]


def _job_text(job: NvmJob) -> str:
    return f"{job.value}: do NOT power off or reset the board"


def _stack_text(info: DeviceInfo) -> str:
    """Return the version that `info --json` has too, and the one with the build number that ST's tools print."""
    if info.stack is None:
        return "none installed"
    return f"{info.stack.text} (in full {info.stack.full_text})"


def _bad(options: Options) -> Iterator[FieldVerdict]:
    """Return the verdicts that are worth a line."""
    return (verdict for verdict in option_verdicts(options) if verdict.grade in _SEVERITIES)


def _refusal_text(reason: str) -> str:
    return f"nothing can be installed: {reason}"


def _verdict_text(verdict: FieldVerdict) -> str:
    field = f"{verdict.name} {verdict.value}".strip()
    return f"{field}: {verdict.meaning}"


def chip_line(chip: Identity, info: DeviceInfo) -> str:
    """Return the chip and its versions in one line."""
    stack = "no stack"
    if info.stack:
        stack = f"stack {info.stack.full_text}"
    return f"{chip.target.name} with FUS {info.fus.text} and {stack}"


# --- plans


def plan_document(plan: InstallPlan) -> dict[str, Any]:
    """Return `plan --json`."""
    return {
        "schema": "flasher.plan/1",
        "chip": chip_document(plan.facts.identity),
        "steps": [_step_document(plan, step) for step in plan.steps],
        "refusals": list(plan.refusals),
    }


def _step_document(plan: InstallPlan, step: InstallStep) -> dict[str, Any]:
    return {
        "action": step.action,
        "image": step.image,
        "version": step.version.text if step.version else None,
        "address": f"0x{step.area.start:08X}" if step.area else None,
        "irreversible": step.is_irreversible,
        "bonding_data": step.bonding_data.document if step.bonding_data else None,
        "erases_bytes": step.area.end - step.area.start if step.area else 0,
        "writes_bytes": image_size(plan, step) if step.staging else 0,
    }


def image_size(plan: InstallPlan, step: InstallStep) -> int:
    """Return the size of the image's file, as `imagekit inspect` prints it: without padding to double words."""
    return len(plan.bundle.images[step.image or ""])


def plan_lines(plan: InstallPlan) -> list[str]:
    """Return a plan for people: one line for each step, with what it costs."""
    lines = [chip_line(plan.facts.identity, plan.facts.info)]
    if not plan.steps and not plan.refusals:
        return [*lines, "nothing to do: the chip has what the bundle holds"]
    manifest = plan.bundle.manifest
    signers = ", ".join(fingerprint[:16] for fingerprint in plan.bundle.signers)
    lines.append(f"bundle {manifest.name}, sequence {manifest.sequence}, signed by {signers}")
    lines += [
        f"waived when the bundle was made: {waiver.rule} of {waiver.image[:8]}: {waiver.reason}"
        for waiver in manifest.waivers
    ]
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"{number}. {_step_text(plan, step)}")
        if step.bonding_data is not None:
            lines.append(f"   {step.bonding_data.text}")
    return lines


def _step_text(plan: InstallPlan, step: InstallStep) -> str:
    parts = [step.title]
    if step.image is not None:
        name = known_as(plan.bundle.assessments[step.image])  # by content: the bundle may call it anything
        if name:
            parts.append(name)
    if step.staging and step.area:
        parts.append(f"{image_size(plan, step):,} bytes, {counted(len(step.area.pages), 'sector')}")
    if step.is_irreversible:
        parts.append("IRREVERSIBLE")
    parts.append(f"({step.why})")
    return "   ".join(parts)


# --- events and reports


def event_document(event: Event) -> dict[str, Any]:
    """Return one line of `--json-lines`."""
    document: dict[str, Any] = {"event": event.event, "step": event.step}
    if event.of:
        document |= {"done": event.done, "of": event.of}
    if event.text:
        document["text"] = event.text
    return document


def anonymous(value: Any, *serials: str, salt: bytes) -> Any:
    """Return a JSON value in which serial numbers and UIDs are pseudonyms, and the user's folder is `~`.

    `salt`: without it, the pseudonyms of all possible numbers could be listed.
    """
    if isinstance(value, dict):
        return {key: anonymous(member, *serials, salt=salt) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [anonymous(member, *serials, salt=salt) for member in value]
    if isinstance(value, str):
        return _anonymous_text(value, serials, salt)
    return value


def _anonymous_text(text: str, serials: Sequence[str], salt: bytes) -> str:
    def pseudonym(match: re.Match[str]) -> str:
        return f"sha256:{hashlib.sha256(salt + match[0].encode()).hexdigest()[:12]}"

    known = [rf"\b{re.escape(serial)}\b" for serial in serials if serial]
    numbers = "|".join([r"\b[0-9a-f]{24}\b", r"(?<=J-Link )[0-9]{6,10}\b", *known])
    text = re.sub(numbers, pseudonym, text)
    home = _home()
    if len(home) < _SHORTEST_HOME:
        return text
    return re.sub(rf"(?<![\w.\-/\\]){re.escape(home)}(?![\w.\-])", "~", text)


_SHORTEST_HOME = 4
"""Characters: in a container the home may be `/`, which is in every path."""


def _home() -> str:
    """Return the user's folder; empty when there is none."""
    try:
        return str(Path.home())
    except RuntimeError:
        return ""
