"""The commands about bundles: create, show, verify, payload, attach, extract."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from imagekit.cli.app import SHIP, app
from imagekit.cli.console import about, complain, painter, print_json, print_result, public_keys, shown, terminal_width
from imagekit.cli.gate import WaiversOption, waivers_for
from imagekit.cli.key_files import PassphraseFile
from imagekit.cli.options import AsJson, Parts, group, is_stream, output_name, target_of, write_new_result
from imagekit.errors import BundleError, NotABundleError
from imagekit.files import create_folder, in_folder, locked_file, read_bundle, read_text, write_file
from imagekit.text import counted

if TYPE_CHECKING:
    from imagekit.bundle.manifest import Manifest
    from imagekit.bundle.unverified import UnverifiedBundle
    from imagekit.bundle.verified import VerifiedBundle
    from imagekit.report.bundle import Line

_Opened = TypeVar("_Opened")

bundle = group(app, "bundle", "Signed bundles: the images of a product.", SHIP)

_File = typer.Argument(metavar="BUNDLE", help="A bundle, such as product.wbz.")
_Trust = typer.Option(
    "--trust",
    envvar="IMAGEKIT_TRUST",
    metavar="FILE",
    help="PEM file with public keys that may sign bundles, or a folder of .pub and .pem files. Repeat it for several.",
)
_Threshold = typer.Option(
    "--threshold", envvar="IMAGEKIT_THRESHOLD", metavar="NUMBER", min=1, help="How many trusted keys must have signed."
)


class FusPolicyChoice(StrEnum):
    """When the FUS images of a bundle are installed."""

    NEEDED = "needed"
    ALWAYS = "always"


@bundle.command()
def create(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The new bundle, such as product.wbz.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="FUS images, and one stack or Safeboot.")],
    parts: Annotated[list[str], Parts],
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            envvar="IMAGEKIT_KEY",
            metavar="FILE",
            help="Private key to sign with (`imagekit keys generate`), or pkcs11:URI for a key on a token. Without "
            "one, sign later: `bundle attach`.",
            show_default=False,
        ),
    ] = None,
    passphrase_file: Annotated[str | None, PassphraseFile] = None,
    name: Annotated[
        str | None,
        typer.Option(
            envvar="IMAGEKIT_NAME", metavar="NAME", help="The product; by default the name of OUT.", show_default=False
        ),
    ] = None,
    sequence: Annotated[
        int,
        typer.Option(
            envvar="IMAGEKIT_SEQUENCE",
            metavar="NUMBER",
            min=0,
            help="Release number. The flasher refuses a lower number than the chip last received under this name.",
        ),
    ] = 0,
    waive: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE=REASON",
            help="Accept an error of `imagekit check` for one image, with a reason. It is signed, and shown by the "
            "flasher. If several images have the error: RULE:FILE=REASON.",
            show_default=False,
        ),
    ] = None,
    waivers: Annotated[str | None, WaiversOption] = None,
    fus_policy: Annotated[
        FusPolicyChoice,
        typer.Option(
            "--fus-policy",
            envvar="IMAGEKIT_FUS_POLICY",
            metavar="POLICY",
            help="needed: install the FUS images only where the stack needs them. "
            "always: install them wherever the FUS on the chip is older.",
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

    The order and the addresses are computed. Exits with 3 for an image that `imagekit check` refuses. With
    SOURCE_DATE_EPOCH set, the same inputs and key give the same bytes.

    Example: imagekit bundle create my.wbz -p STM32WB55RG --key my.pem stack.bin
    """
    from imagekit.cli import bundle_inputs
    from imagekit.cli.bundle_create import Request, made

    targets = list(dict.fromkeys(target_of(part) for part in parts))
    bundle_inputs.refuse_output(out, [*files, *(keys or [])])
    to_stream = is_stream(out)
    request = Request(
        name=bundle_inputs.product_name(name, out),
        sequence=sequence,
        created=bundle_inputs.now(),
        keys=bundle_inputs.signing_keys(keys or [], passphrase_file),
        waivers=waive or [],
        waiver_file=waivers_for(files, waivers),
        fus_policy=fus_policy.value,
        expires=_expiry(expires),
    )
    data, images = made(request, files, targets, output_name(out))
    write_new_result(out, data, is_stream=to_stream)
    summary = f"{output_name(out)}: {counted(images, 'image')}, sequence {sequence}"
    if not request.keys:
        summary += "; not signed: use `imagekit bundle payload`, then `bundle attach`"
    complain(summary)


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
def show(file: Annotated[str, _File], json: Annotated[bool, AsJson] = False) -> None:
    """Show the content of a bundle.

    Lists the signatures without verifying them. To verify them, use `bundle verify`.

    Example: imagekit bundle show product.wbz
    """
    from imagekit.report import bundle as report

    opened = _unverified(file)
    if json:
        print_json(report.document(opened.manifest, opened.assessments, None))
        return
    lines: list[Line] = [("NOT VERIFIED: use `imagekit bundle verify` to verify the signatures", "warning")]
    lines += [(f"by {signature.keyid}: NOT VERIFIED", "warning") for signature in opened.envelope.signatures]
    if not opened.envelope.signatures:
        lines.append(("not signed", "error"))
    print_result(report.text(opened.manifest, opened.assessments, lines, width=terminal_width(), paint=painter()))


@bundle.command()
def verify(
    file: Annotated[str, _File],
    trust: Annotated[list[str], _Trust],
    threshold: Annotated[int, _Threshold] = 1,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Verify a bundle as the flasher does.

    Checks the signatures, every image, every address and the order. Exits with 3 when the bundle is refused, and with
    4 when the file is not a bundle. In both cases, nothing of its content is printed.

    Example: imagekit bundle verify product.wbz --trust release.pub
    """
    from imagekit.report import bundle as report

    opened, count = _verified(file, trust, threshold)
    if json:
        print_json(report.document(opened.manifest, opened.assessments, opened.signers))
        return
    verdict = f"valid: signed by {len(opened.signers)} of {counted(count, 'trusted key')}"
    if count > 1:
        verdict += f", {threshold} required"
    lines: list[Line] = [(verdict, "good")]
    lines += [(f"by {keyid} (trusted)", "good") for keyid in opened.signers]
    lines += [(f"by {keyid} (not trusted, not counted)", "warning") for keyid in opened.strangers]
    print_result(report.text(opened.manifest, opened.assessments, lines, width=terminal_width(), paint=painter()))


@bundle.command()
def payload(
    file: Annotated[str, _File],
    out: Annotated[
        str, typer.Option("--out", "-o", envvar="IMAGEKIT_OUT", metavar="FILE", help="The new file to write.")
    ],
) -> None:
    """Write the bytes that an HSM signs.

    The bytes are the DSSE pre-authentication encoding. The bundle is checked first, except for its signatures. Sign
    the bytes with your HSM, or with openssl (Ed25519: openssl pkeyutl -sign -rawin -inkey ed25519.pem -in FILE -out
    SIG; P-256: openssl dgst -sha256 -sign p256.pem -out SIG FILE). Then use imagekit bundle attach.

    Example: imagekit bundle payload product.wbz -o product.pae
    """
    from imagekit.cli.bundle_inputs import refuse_existing, refuse_own_inputs

    refuse_own_inputs(out, [file])
    refuse_existing(out)
    to_stream = is_stream(out)
    opened = _unverified(file)
    write_new_result(out, opened.envelope.signed, is_stream=to_stream)
    next_step = f"`imagekit bundle attach {shown(file)} --signature SIG --key PUBLIC_KEY`"
    complain(f"{output_name(out)}: sign these bytes unchanged, then run {next_step}")


@bundle.command()
def attach(
    file: Annotated[str, _File],
    signature: Annotated[
        str, typer.Option(envvar="IMAGEKIT_SIGNATURE", metavar="FILE", help="The signature: raw bytes.")
    ],
    key: Annotated[
        str, typer.Option(envvar="IMAGEKIT_PUBLIC_KEY", metavar="FILE", help="The public key in PEM that verifies it.")
    ],
) -> None:
    """Add a signature that an HSM made.

    The signature is verified first. BUNDLE itself is rewritten.

    Example: imagekit bundle attach my.wbz --signature my.sig --key hsm.pub
    """
    from imagekit.bundle.keys import fingerprint
    from imagekit.bundle.unverified import attach as attached

    keys = public_keys(key)
    if len(keys) != 1:
        raise typer.BadParameter(
            f"{shown(key)} holds {len(keys)} keys: give a file with the key that signed only", param_hint="--key"
        )
    with about(file), locked_file(file):
        opened = _unverified(file)
        with about(signature):
            data = attached(opened, keys[0], read_text(signature))
        write_file(file, data)
    keyids = sorted([*(signature.keyid for signature in opened.envelope.signatures), fingerprint(keys[0])])
    complain(f"{shown(file)}: {counted(len(keyids), 'signature')} now: {', '.join(keyids)}")


@bundle.command()
def extract(
    file: Annotated[str, _File],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="An empty folder, or a new one.")],
    trust: Annotated[list[str], _Trust],
    threshold: Annotated[int, _Threshold] = 1,
) -> None:
    """Verify a bundle, and write its images.

    Writes the images and the manifest to an empty folder, under generated names.

    Example: imagekit bundle extract product.wbz images/ --trust release.pub
    """
    opened, _ = _verified(file, trust, threshold)
    files = _with_names(opened.manifest, opened.images)
    with about(folder):
        create_folder(folder, files)
    for name, _data in files:
        print_result(shown(in_folder(folder, name)))


def _with_names(manifest: "Manifest", images: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """Return what is extracted, with names that are made of a number, a role and a version only."""
    from imagekit.bundle.manifest_json import dumps

    roles = {image.sha256: image.role for image in manifest.images}
    files = [
        (f"{number}-{roles[step.image]}-{step.gives}.bin", images[step.image])
        for number, step in enumerate(manifest.steps, start=1)
    ]
    return [*files, ("manifest.json", dumps(manifest))]


def _verified(file: str, trust: Sequence[str], threshold: int) -> "tuple[VerifiedBundle, int]":
    """Return a verified bundle, and how many keys are trusted."""
    from imagekit.bundle.verified import open_bundle

    trusted = [key for path in trust for key in public_keys(path)]
    if threshold > len(trusted):
        raise typer.BadParameter(
            f"{threshold} signatures are required, but --trust gives {counted(len(trusted), 'key')}",
            param_hint="--threshold",
        )
    with about(file):
        return _opened(lambda: open_bundle(read_bundle(file), trusted, threshold)), len(trusted)


def _unverified(file: str) -> "UnverifiedBundle":
    """Return a bundle whose signatures were not verified."""
    from imagekit.bundle.unverified import read

    with about(file):
        return _opened(lambda: read(read_bundle(file)))


def _opened(read: Callable[[], _Opened]) -> _Opened:
    """Open a bundle. To an error that only damage causes, add what to do about it."""
    try:
        return read()
    except NotABundleError:
        raise
    except BundleError as error:
        is_damaged = error.reason == "archive" or (error.reason == "json" and str(error).startswith("envelope:"))
        if not is_damaged:
            raise
        raise BundleError(error.reason, f"{error}: this bundle is corrupted or was modified. Copy it again.") from error
