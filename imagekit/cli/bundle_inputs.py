"""The inputs of `bundle create`: images with their names, waivers, keys, a name, a time."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imagekit.bundle.manifest import LONGEST_REASON, NAME_IN_WORDS, Waiver, is_name
from imagekit.bundle.strict_json import is_plain
from imagekit.bundle.verified import errors_of, is_waivable
from imagekit.bundle.write import BundleContent
from imagekit.cli.console import about, complain, shown
from imagekit.cli.key_files import private_key
from imagekit.errors import BundleError, ExitCode
from imagekit.files import exists, is_device, is_folder, is_same, read_image
from imagekit.rules import RULES, findings
from imagekit.rules.check import for_every_part
from imagekit.rules.registry import Chip, Finding, Severity
from imagekit.rules.waivers import Place

if TYPE_CHECKING:
    from imagekit.bundle.keys import PrivateKey
    from imagekit.rules.waivers import WaiverFile
    from imagekit.targets import Target


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images that were given, by their paths, and what the rules find for the targets."""

    contents: dict[str, BundleContent]
    """Path as typed -> image."""
    errors: dict[str, list[Finding]]
    """SHA-256 -> the errors that `check` finds in the image for the targets, apart from those about its name."""
    findings: list[tuple[str, Finding]]
    """Path and finding: all that the rules find in each file for the targets, including its name."""

    @property
    def paths(self) -> dict[str, str]:
        """SHA-256 -> path as typed; of two files with the same content, the first."""
        return {content.assessment.image.sha256: path for path, content in reversed(self.contents.items())}


def read_inputs(paths: Sequence[str], targets: "Sequence[Target]") -> Inputs:
    """Read images; exits when a file is not one."""
    return judged_inputs({path: _content(path) for path in paths}, targets)


def judged_inputs(contents: dict[str, BundleContent], targets: "Sequence[Target]") -> Inputs:
    """Apply the rules to images, once."""
    errors = errors_of(targets, {content.assessment.image.sha256: content.assessment for content in contents.values()})
    found = [pair for path, content in contents.items() for pair in _found(path, content, targets)]
    return Inputs(contents, errors, found)


def _found(path: str, content: BundleContent, targets: "Sequence[Target]") -> Iterator[tuple[str, Finding]]:
    found = [(target.name, findings(content.assessment, Chip(target=target), path=path)) for target in targets]
    for finding in for_every_part(found):
        yield path, finding


def _content(path: str) -> BundleContent:
    from imagekit.assessment import assess
    from imagekit.image.model import Image

    with about(path):
        data = read_image(path)
        return BundleContent(assessment=assess(Image.parse(data)), data=data)


def tell_findings(inputs: Inputs) -> None:
    """Print the warnings of every image. Raises BundleError `image` for a name that contradicts the image."""
    for path, finding in inputs.findings:
        if finding.severity is Severity.WARNING:
            complain(f"{shown(path)}: warning: {finding.rule} {finding.text}")
    for path, finding in inputs.findings:
        sha256 = inputs.contents[path].assessment.image.sha256
        if finding.severity is Severity.ERROR and replace(finding, part=None) not in inputs.errors[sha256]:
            raise BundleError("image", f"{shown(path)}: {finding.rule} {finding.text}")


# --- Waivers


def waivers_of(texts: Sequence[str], inputs: Inputs) -> list[Waiver]:
    """Return the waivers of `--waive RULE=REASON` and `--waive RULE:FILE=REASON`; exits with wrong usage for others."""
    waivers = [_waiver(text, inputs) for text in texts]
    if len({(waiver.rule, waiver.image) for waiver in waivers}) < len(waivers):
        raise typer.BadParameter("one rule is waived twice for the same image", param_hint="--waive")
    return waivers


def _waiver(text: str, inputs: Inputs) -> Waiver:
    rule, rest = text.lstrip()[:5].upper(), text.lstrip()[5:]
    # The longest name that fits: a name may hold `=` and `:` itself.
    path = max((path for path in inputs.contents if rest.startswith(f":{path}=")), key=len, default=None)
    prefix = f":{path}=" if path is not None else "="
    reason = rest[len(prefix) :].strip()
    if rule not in RULES or not reason or (path is None and not rest.startswith("=")):
        raise typer.BadParameter(
            f"{text!r}: write it as WB201='why it may ship', or WB201:FILE='why' with one of the given FILEs",
            param_hint="--waive",
        )
    _refuse_reason(rule, reason, "--waive")
    if path is None:
        return Waiver(rule, _image_with(rule, inputs), reason)
    return Waiver(rule, inputs.contents[path].assessment.image.sha256, reason)


def _image_with(rule: str, inputs: Inputs) -> str:
    """Return the one image that has an error of this rule. Raises BundleError `image` when there is none."""
    hit = [sha256 for sha256, errors in inputs.errors.items() if any(error.rule == rule for error in errors)]
    if not hit:
        raise BundleError("image", f"{rule} is waived, but no image has this error. Remove the waiver.")
    if len(hit) > 1:
        files = " and ".join(shown(inputs.paths[sha256]) for sha256 in hit)
        raise typer.BadParameter(
            f"{files} have {rule}, and a waiver is for one image: write {rule}:FILE=REASON", param_hint="--waive"
        )
    return hit[0]


def waivers_in(waiver_file: "WaiverFile", earlier: Sequence[Waiver], inputs: Inputs) -> list[Waiver]:
    """Return the waivers that a waiver file has for errors of the images, apart from those that were typed.

    An error that no waiver can accept is left out: the reason for its refusal is then the error itself. Waivers of the
    file that match nothing are not reported here, because the same file serves `imagekit check` for other images.
    """
    waived = {(waiver.rule, waiver.image) for waiver in earlier}
    waivers = []
    for path, content in inputs.contents.items():
        sha256 = content.assessment.image.sha256
        for rule in dict.fromkeys(error.rule for error in inputs.errors[sha256]):
            reason = waiver_file.accept(Place(rule=rule, path=path, sha256=sha256))
            if reason is None or (rule, sha256) in waived or not is_waivable(rule, content.assessment):
                continue
            _refuse_reason(rule, reason, waiver_file.name)
            waived.add((rule, sha256))
            waivers.append(Waiver(rule, sha256, reason))
    for warning in waiver_file.expired():
        complain(f"warning: {warning}")
    return waivers


def _refuse_reason(rule: str, reason: str, option: str) -> None:
    """Exit with wrong usage for a reason that a bundle cannot hold; `option` names where it was written."""
    if not is_plain(reason) or len(reason) > LONGEST_REASON:
        raise typer.BadParameter(
            f"the reason for {rule} is not 1 to {LONGEST_REASON} characters of printable ASCII", param_hint=option
        )


def tell_waivers(waivers: Sequence[Waiver], inputs: Inputs) -> None:
    """Print for each waiver which file it is for, and what it accepts."""
    for waiver in waivers:
        what = "; ".join(error.message for error in inputs.errors[waiver.image] if error.rule == waiver.rule)
        complain(f"{shown(inputs.paths[waiver.image])}: waived {waiver.rule}, {what}: {waiver.reason}")


# --- Name, keys, output, time


def product_name(name: str | None, out: str) -> str:
    """Return the name of the product: the one given, or that of OUT; exits with wrong usage when it is not valid."""
    found = Path(out).stem if name is None else name
    if not is_name(found):
        raise typer.BadParameter(f"{found!a} cannot be the name of the product: {NAME_IN_WORDS}", param_hint="--name")
    return found


def signing_keys(paths: Sequence[str], passphrase_file: str | None = None) -> "list[PrivateKey]":
    """Return the private keys that sign; exits with wrong usage for a key that is given twice, or for too many."""
    from imagekit.bundle.envelope import MOST_SIGNATURES
    from imagekit.bundle.keys import fingerprint

    if len(paths) > MOST_SIGNATURES:
        raise typer.BadParameter(
            f"{len(paths)} keys: a bundle has at most {MOST_SIGNATURES} signatures", param_hint="--key"
        )
    keys = [private_key(path, passphrase_file) for path in paths]
    if len({fingerprint(key.public_key()) for key in keys}) < len(keys):
        raise typer.BadParameter("the same key is given twice", param_hint="--key")
    return keys


def refuse_output(out: str, inputs: Sequence[str]) -> None:
    """Exit when OUT cannot be a new bundle: it is an input, it exists, or it was forgotten and is the first image."""
    refuse_own_inputs(out, inputs)
    is_file = out != "-" and not is_device(out) and not is_folder(out)
    if is_file and not out.lower().endswith(".wbz"):
        raise typer.BadParameter(
            f"{shown(out)} does not end with .wbz: OUT comes first, then the images", param_hint="OUT"
        )
    refuse_existing(out)


def refuse_own_inputs(out: str, inputs: Sequence[str]) -> None:
    """Exit with wrong usage when the result would overwrite what it is made from."""
    if any(is_same(path, out) for path in inputs):
        raise typer.BadParameter(f"{shown(out)} is one of the inputs: name another file", param_hint="OUT")


def refuse_existing(out: str) -> None:
    """Exit when a file exists already; a device, and standard output, can be written to."""
    if out != "-" and exists(out) and not is_device(out):
        complain(f"{shown(out)}: exists already. Delete it, or name another file.")
        raise typer.Exit(ExitCode.UNREADABLE)


def now() -> int:
    """Return the time in seconds since 1970: SOURCE_DATE_EPOCH if set (reproducible-builds.org, source-date-epoch)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return int(time.time())
    if not re.fullmatch("[0-9]{1,12}", epoch) or int(epoch) > 253402300799:  # 9999-12-31T23:59:59Z
        raise typer.BadParameter(f"{epoch!r} is not a number of seconds", param_hint="SOURCE_DATE_EPOCH")
    return int(epoch)
