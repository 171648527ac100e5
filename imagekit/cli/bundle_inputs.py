"""What `bundle create` is given, and what it makes of it: images with their names, waivers, a name, a time."""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imagekit.bundle.manifest import LONGEST_REASON, NAME_IN_WORDS, Waiver, is_name
from imagekit.bundle.strict_json import is_plain
from imagekit.bundle.verified import errors_of
from imagekit.bundle.write import BundleContent
from imagekit.cli.console import about, complain, shown
from imagekit.cli.options import private_key
from imagekit.errors import BundleError, ExitCode, PlacementError
from imagekit.files import read_image
from imagekit.rules import RULES, findings
from imagekit.rules.registry import Chip, Finding, Severity

if TYPE_CHECKING:
    from imagekit.bundle.keys import PrivateKey
    from imagekit.targets import Target


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images that were given, by their paths, and what is wrong with them on the targets that they are for."""

    contents: dict[str, BundleContent]
    """Path, as it was typed -> image."""
    errors: dict[str, list[Finding]]
    """SHA-256 -> the errors that `check` finds in the image on the targets, whatever its name is."""
    findings: list[tuple[str, Finding]]
    """Path and finding: what the rules find in each file on the targets, those about its name among them."""

    @property
    def paths(self) -> dict[str, str]:
        """SHA-256 -> path, as it was typed; of two files with one content the first."""
        return {one.assessment.image.sha256: path for path, one in reversed(self.contents.items())}


def read_inputs(paths: Sequence[str], targets: "Sequence[Target]") -> Inputs:
    """Read images; exits with one line for what is none."""
    return judged_inputs({path: _content(path) for path in paths}, targets)


def judged_inputs(contents: dict[str, BundleContent], targets: "Sequence[Target]") -> Inputs:
    """Apply the rules to images, once."""
    errors = errors_of(targets, {one.assessment.image.sha256: one.assessment for one in contents.values()})
    return Inputs(contents, errors, [pair for path, one in contents.items() for pair in _found(path, one, targets)])


def _found(path: str, content: BundleContent, targets: "Sequence[Target]") -> Iterator[tuple[str, Finding]]:
    found = (findings(content.assessment, Chip(target=target), path=path) for target in targets)
    yield from ((path, finding) for finding in dict.fromkeys(one for some in found for one in some))


def _content(path: str) -> BundleContent:
    from imagekit.assessment import assess
    from imagekit.image.model import Image

    with about(path):
        data = read_image(path)
        return BundleContent(assessment=assess(Image.parse(data)), data=data)


def tell_findings(inputs: Inputs) -> None:
    """Print the warnings of every image. Raises BundleError `image` for a name that says what the image is not."""
    for path, finding in inputs.findings:
        if finding.severity is Severity.WARNING:
            complain(f"{shown(path)}: warning: {finding.rule} {finding.message}")
    for path, finding in inputs.findings:
        sha256 = inputs.contents[path].assessment.image.sha256
        if finding.severity is Severity.ERROR and finding not in inputs.errors[sha256]:
            raise BundleError("image", f"{shown(path)}: {finding.rule} {finding.message}")


# --- Waivers


def waivers_of(texts: Sequence[str], inputs: Inputs) -> list[Waiver]:
    """What `--waive RULE=REASON` and `--waive RULE:FILE=REASON` say; exits with wrong usage when that is nothing."""
    waivers = [_waiver(text, inputs) for text in texts]
    if len({(one.rule, one.image) for one in waivers}) < len(waivers):
        raise typer.BadParameter("one rule is waived twice for one image", param_hint="--waive")
    return waivers


def _waiver(text: str, inputs: Inputs) -> Waiver:
    rule, rest = text.lstrip()[:5].upper(), text.lstrip()[5:]
    # The longest name that fits: a name may hold `=` and `:` itself.
    path = max((path for path in inputs.contents if rest.startswith(f":{path}=")), key=len, default=None)
    reason = (rest[len(path) + 2 :] if path is not None else rest[1:]).strip()
    if rule not in RULES or not reason or (path is None and not rest.startswith("=")):
        raise typer.BadParameter(
            f"{text!r}: write it as WB201='why it may ship', or WB201:FILE='why' with a FILE that is given",
            param_hint="--waive",
        )
    if not is_plain(reason) or len(reason) > LONGEST_REASON:
        raise typer.BadParameter(
            f"the reason for {rule} is not 1 to {LONGEST_REASON} characters of printable ASCII", param_hint="--waive"
        )
    return Waiver(rule, _image_of(path, inputs) if path is not None else _image_with(rule, inputs), reason)


def _image_of(path: str, inputs: Inputs) -> str:
    return inputs.contents[path].assessment.image.sha256


def _image_with(rule: str, inputs: Inputs) -> str:
    """The one image that has an error of this rule. Raises BundleError `image` when none has."""
    hit = [sha256 for sha256, some in inputs.errors.items() if any(one.rule == rule for one in some)]
    if not hit:
        raise BundleError("image", f"{rule} is waived, and nothing was found that needs it")
    if len(hit) > 1:
        files = " and ".join(shown(inputs.paths[one]) for one in hit)
        raise typer.BadParameter(
            f"{files} have {rule}, and a waiver is for one image: write {rule}:FILE=REASON", param_hint="--waive"
        )
    return hit[0]


def tell_waivers(waivers: Sequence[Waiver], inputs: Inputs) -> None:
    """Say of each waiver which file it is for, and what it accepts."""
    for waiver in waivers:
        what = "; ".join(one.message for one in inputs.errors[waiver.image] if one.rule == waiver.rule)
        complain(f"{shown(inputs.paths[waiver.image])}: waived {waiver.rule}, {what}: {waiver.reason}")


@contextmanager
def as_typed(paths: Mapping[str, str]) -> Iterator[None]:
    """Name files in what is refused: whoever makes a bundle knows no `images/SHA-256`."""
    try:
        yield
    except (BundleError, PlacementError) as error:
        text = str(error)
        for sha256, path in paths.items():
            text = text.replace(f"images/{sha256}", shown(path))
        raise type(error)(error.reason, text) from error


# --- The rest


def product_name(name: str | None, out: str) -> str:
    """The name of the product: what was given, or OUT's; exits with wrong usage for what can be none."""
    found = Path(out).stem if name is None else name
    if not is_name(found):
        where = "OUT gives no name for the product, and --name none" if name is None else "the name of the product"
        raise typer.BadParameter(f"{found!a}: {where}: {NAME_IN_WORDS}", param_hint="--name")
    return found


def signing_keys(paths: Sequence[str]) -> "list[PrivateKey]":
    """The private keys that sign; exits with wrong usage for one that is given twice, or for too many."""
    from imagekit.bundle.envelope import MOST_SIGNATURES
    from imagekit.bundle.keys import fingerprint

    if len(paths) > MOST_SIGNATURES:
        raise typer.BadParameter(
            f"{len(paths)} keys: a bundle has {MOST_SIGNATURES} signatures at most", param_hint="--key"
        )
    keys = [private_key(path) for path in paths]
    if len({fingerprint(key.public_key()) for key in keys}) < len(keys):
        raise typer.BadParameter("one key is given twice: it signs once", param_hint="--key")
    return keys


def refuse_own_inputs(out: str, inputs: Sequence[str]) -> None:
    """Exit with wrong usage when the result would overwrite what it is made from."""
    for path in inputs:
        if os.path.realpath(path) == os.path.realpath(out):
            raise typer.BadParameter(f"{shown(out)} is one of the inputs: name another file", param_hint="OUT")


def refuse_what_is_there(out: str) -> None:
    """Exit when a file is there already; a device, and standard output, take what is written."""
    is_device = os.path.exists(out) and not os.path.isfile(out) and not os.path.isdir(out)  # noqa: PTH110, PTH112, PTH113
    if out != "-" and os.path.lexists(out) and not is_device:
        complain(f"{shown(out)}: is there already: delete it, or name another")
        raise typer.Exit(ExitCode.UNREADABLE)


def refuse_image_as_out(out: str) -> None:
    """Exit with wrong usage when OUT was forgotten, and the first image stands in its place."""
    is_device = os.path.exists(out) and not os.path.isfile(out)  # noqa: PTH110, PTH113 - the path as the user typed it
    if out != "-" and not out.lower().endswith(".wbz") and not is_device:
        raise typer.BadParameter(
            f"{shown(out)} does not end with .wbz: OUT comes first, then the images", param_hint="OUT"
        )


def now() -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH where it is set (reproducible-builds.org/specs/source-date-epoch)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return int(time.time())
    if not re.fullmatch("[0-9]{1,12}", epoch) or int(epoch) > 253402300799:  # 9999-12-31T23:59:59Z
        raise typer.BadParameter(f"{epoch!r} is no number of seconds", param_hint="SOURCE_DATE_EPOCH")
    return int(epoch)
