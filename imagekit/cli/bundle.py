"""The commands about bundles: create, show, verify, payload, attach, extract."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.console import about, complain, painter, print_json, print_result, public_keys, shown, terminal_width
from imagekit.cli.options import group, output_name, part_numbers, target_of, write_result
from imagekit.errors import BundleError, NotABundleError
from imagekit.files import read_bundle, read_text
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.bundle.manifest import Manifest
    from imagekit.bundle.unverified import UnverifiedBundle
    from imagekit.bundle.verified import VerifiedBundle

bundle = group(app, "bundle", "Signed bundles: images for a product.")

Bundle = typer.Argument(metavar="BUNDLE", help="A bundle, such as product.wbz.")
Trust = typer.Option(
    "--trust", envvar="IMAGEKIT_TRUST", metavar="FILE", help="PEM file with public keys that may sign bundles."
)
Threshold = typer.Option("--threshold", envvar="IMAGEKIT_THRESHOLD", min=1, help="How many of them must have signed.")


class FusPolicyChoice(StrEnum):
    """When the FUS images of a bundle are installed."""

    NEEDED = "needed"
    ALWAYS = "always"


AsJson = typer.Option("--json", envvar="IMAGEKIT_JSON", help="Print one JSON document.")


@bundle.command()
def create(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The bundle to write, such as product.wbz; not there yet.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="FUS images, and one stack or Safeboot.")],
    parts: Annotated[
        list[str],
        typer.Option(
            "--part",
            "-p",
            envvar="IMAGEKIT_PART",
            metavar="PART",
            help="A part it is for; may be given several times.",
            autocompletion=part_numbers,
        ),
    ],
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            envvar="IMAGEKIT_KEY",
            metavar="FILE",
            help="Private key to sign with (`imagekit keys generate`). Without one, sign it later with bundle attach.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(envvar="IMAGEKIT_NAME", help="The product; by default OUT's name.", show_default=False),
    ] = None,
    sequence: Annotated[
        int,
        typer.Option(
            envvar="IMAGEKIT_SEQUENCE", min=0, help="Only ever rises: for one name, the flasher takes no chip lower."
        ),
    ] = 0,
    waive: Annotated[
        list[str] | None,
        typer.Option(
            envvar="IMAGEKIT_WAIVE",
            metavar="RULE=REASON",
            help="Accept an error of `imagekit check` in writing, of one image: it is signed, and shown to whoever "
            "installs. When several have it: RULE:FILE=REASON.",
            show_default=False,
        ),
    ] = None,
    fus_policy: Annotated[
        FusPolicyChoice,
        typer.Option(
            "--fus-policy",
            envvar="IMAGEKIT_FUS_POLICY",
            help="Install the FUS images only where the stack needs them, or always when the FUS on the chip is older.",
        ),
    ] = FusPolicyChoice.NEEDED,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            envvar="IMAGEKIT_EXPIRES",
            metavar="DATE",
            help="Refuse the bundle from then on: 2027-01-31 (the end of that day, UTC) or 2027-01-31T12:00:00Z.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a signed bundle.

    Order, addresses and what cannot be undone are computed, never given. Refuses (3) what `imagekit check` refuses.
    With SOURCE_DATE_EPOCH set, the same inputs and key give the same bytes.

    Example: imagekit bundle create my.wbz -p STM32WB55RG --key my.pem stack.bin
    """
    from imagekit.bundle import manifest, unverified, write
    from imagekit.cli import bundle_inputs as given

    targets = list(dict.fromkeys(target_of(part) for part in parts))
    given.refuse_own_inputs(out, [*files, *(keys or [])])
    given.refuse_image_as_out(out)
    given.refuse_what_is_there(out)
    product = given.product_name(name, out)
    expiry = _expiry(expires)
    signing = given.signing_keys(keys or [])
    inputs = given.read_inputs(files, targets)
    with about(output_name(out)), given.as_typed(inputs.paths):
        waivers = given.waivers_of(waive or [], inputs)
        stated = write.make_manifest(
            list(inputs.contents.values()),
            targets,
            name=product,
            sequence=sequence,
            created=given.now(),
            waivers=waivers,
            fus_policy=manifest.FusPolicy(fus_policy.value),
            expires=expiry,
        )
        given.tell_findings(inputs)
        payload = manifest.dumps(stated)
        signatures = [write.signature(key, payload) for key in signing]
        data = write.write_bundle(payload, signatures, list(inputs.contents.values()))
        unverified.read(data)  # nobody gets what nobody will take
    write_result(out, data)
    given.tell_waivers(waivers, inputs)
    unsigned = "" if signing else "; nobody has signed it: `imagekit bundle payload`, then `bundle attach`"
    complain(f"{output_name(out)}: {counted(len(stated.images), 'image')}, sequence {stated.sequence}{unsigned}")


def _expiry(text: str | None) -> str | None:
    """The time of `--expires` in the spelling of bundles; exits with wrong usage for anything else."""
    from imagekit.bundle.manifest import is_time

    if text is None:
        return None
    time = text
    if "T" not in text:
        time = f"{text}T23:59:59Z"
    if not is_time(time):
        raise typer.BadParameter(
            f"not a time {shown(text)}: write it as 2027-01-31 or 2027-01-31T12:00:00Z", param_hint="--expires"
        )
    return time


@bundle.command()
def show(file: Annotated[str, Bundle], json: Annotated[bool, AsJson] = False) -> None:
    """Show what a bundle says.

    Who signed it is told, and not verified: that is `bundle verify`.

    Example: imagekit bundle show product.wbz
    """
    from imagekit.report.bundle import document, text

    opened = _unverified(file)
    if json:
        print_json(document(opened.manifest, opened.assessments, None))
        return
    verdict = ("NOT VERIFIED: who signed it is for `imagekit bundle verify` to say", "warning")
    signed = [(f"by {one.keyid}: NOT VERIFIED", "warning") for one in opened.envelope.signatures]
    signed = signed or [("by nobody", "error")]
    print_result(text(opened.manifest, opened.assessments, [verdict, *signed], width=terminal_width(), paint=painter()))


@bundle.command()
def verify(
    file: Annotated[str, Bundle],
    trust: Annotated[list[str], Trust],
    threshold: Annotated[int, Threshold] = 1,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Verify a bundle as the flasher will.

    Signatures, every image, every address, the order. Exits with 3 when it is refused, with 4 when it is no bundle.
    Nothing of its content is printed then.

    Example: imagekit bundle verify product.wbz --trust release.pub
    """
    from imagekit.report.bundle import document, text

    opened, count = _verified(file, trust, threshold)
    if json:
        print_json(document(opened.manifest, opened.assessments, opened.signers))
        return
    needed = f", {threshold} needed" if count > 1 else ""
    verdict = f"valid: signed by {len(opened.signers)} of {counted(count, 'trusted key')}{needed}"
    signed = [(f"by {keyid}, which is trusted", "good") for keyid in opened.signers]
    signed += [(f"by {keyid} too, which is not trusted and was not counted", "warning") for keyid in opened.strangers]
    print_result(
        text(opened.manifest, opened.assessments, [(verdict, "good"), *signed], width=terminal_width(), paint=painter())
    )


@bundle.command()
def payload(
    file: Annotated[str, Bundle],
    out: Annotated[
        str,
        typer.Option("--out", "-o", envvar="IMAGEKIT_OUT", metavar="FILE", help="Where to write it; not there yet."),
    ],
) -> None:
    """Write the bytes that an HSM signs.

    An HSM, or any signer outside: the DSSE pre-authentication encoding. All but the signatures is checked first. Then:
    openssl pkeyutl -sign -rawin -inkey ed25519.pem -in FILE -out SIG, or openssl dgst -sha256 -sign p256.pem -out SIG
    FILE, or your HSM; then imagekit bundle attach.

    Example: imagekit bundle payload product.wbz -o product.pae
    """
    from imagekit.cli.bundle_inputs import refuse_own_inputs, refuse_what_is_there

    refuse_own_inputs(out, [file])
    refuse_what_is_there(out)
    opened = _unverified(file)
    write_result(out, opened.envelope.signed)
    next_ = f"`imagekit bundle attach {shown(file)} --signature SIG --key PUBLIC_KEY`"
    complain(f"{output_name(out)}: sign these bytes as they are, then {next_}")


@bundle.command()
def attach(
    file: Annotated[str, Bundle],
    signature: Annotated[
        str, typer.Option(envvar="IMAGEKIT_SIGNATURE", metavar="FILE", help="The signature: raw bytes.")
    ],
    key: Annotated[
        str, typer.Option(envvar="IMAGEKIT_PUBLIC_KEY", metavar="FILE", help="The public key in PEM that verifies it.")
    ],
) -> None:
    """Add a signature that an HSM made.

    An HSM, or any signer outside. It is verified first. BUNDLE itself is rewritten.

    Example: imagekit bundle attach my.wbz --signature my.sig --key hsm.pub
    """
    from imagekit.bundle.keys import fingerprint
    from imagekit.bundle.unverified import attach as attached

    keys = public_keys(key)
    if len(keys) != 1:
        raise typer.BadParameter(f"{shown(key)} holds {len(keys)} keys: give the one that signed", param_hint="--key")
    opened = _unverified(file)
    with about(signature):
        data = attached(opened, keys[0], read_text(signature))
    write_result(file, data)
    keyids = sorted([*(one.keyid for one in opened.envelope.signatures), fingerprint(keys[0])])
    complain(f"{shown(file)}: {counted(len(keyids), 'signature')} now: {', '.join(keyids)}")


@bundle.command()
def extract(
    file: Annotated[str, Bundle],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="An empty folder, or a new one.")],
    trust: Annotated[list[str], Trust],
    threshold: Annotated[int, Threshold] = 1,
) -> None:
    """Verify a bundle, and write its images.

    Images and manifest, into an empty folder, under names of imagekit's.

    Example: imagekit bundle extract product.wbz images/ --trust release.pub
    """
    from imagekit.cli.bundle_extract import write_folder

    opened, _ = _verified(file, trust, threshold)
    files = _named(opened.manifest, opened.images)
    with about(folder):
        write_folder(folder, files)
    for name, _data in files:
        print_result(shown(os.path.join(folder, name)))  # noqa: PTH118 - the path as the user typed it


def _named(stated: "Manifest", images: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """Names for what is extracted: made of nothing but a number, a role and a version."""
    from imagekit.bundle.manifest import dumps

    named = []
    for number, step in enumerate(stated.steps, start=1):
        role = next(one.role for one in stated.images if one.sha256 == step.image)
        named.append((f"{number}-{role}-{step.gives}.bin", images[step.image]))
    return [*named, ("manifest.json", dumps(stated))]


def _verified(file: str, trust: Sequence[str], threshold: int) -> "tuple[VerifiedBundle, int]":
    """A verified bundle, and how many keys are trusted."""
    from imagekit.bundle.verified import open_bundle

    trusted = [key for path in trust for key in public_keys(path)]
    if not 1 <= threshold <= len(trusted):
        raise typer.BadParameter(
            f"{threshold} signatures by {counted(len(trusted), 'trusted key')} cannot be", param_hint="--threshold"
        )
    with about(file), _advice():
        return open_bundle(read_bundle(file), trusted, threshold), len(trusted)
    raise AssertionError  # about() does not swallow errors


def _unverified(file: str) -> "UnverifiedBundle":
    from imagekit.bundle.unverified import read

    with about(file), _advice():
        return read(read_bundle(file))
    raise AssertionError  # about() does not swallow errors


@contextmanager
def _advice() -> Iterator[None]:
    """Say what to do about a file that nobody can have made so on purpose, but to deceive."""
    try:
        yield
    except BundleError as error:
        is_damage = error.reason == "archive" or (error.reason == "json" and str(error).startswith("envelope:"))
        if not is_damage or isinstance(error, NotABundleError):
            raise
        raise BundleError(error.reason, f"{error}: changed or damaged on the way: fetch it again") from error
