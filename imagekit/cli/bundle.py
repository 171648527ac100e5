"""The commands about bundles: create, show, verify, payload, attach, extract."""

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagekit.cli.app import app
from imagekit.cli.options import group, private_key, public_keys, target_of, write_result
from imagekit.console import (
    ExitCode,
    about,
    complain,
    painter,
    print_json,
    print_result,
    read_bundle,
    read_image,
    read_text,
    shown,
    terminal_width,
    write_file,
)

if TYPE_CHECKING:
    from imagekit.bundle.manifest import Manifest, Waiver
    from imagekit.bundle.unverified import UnverifiedBundle
    from imagekit.bundle.verified import VerifiedBundle
    from imagekit.bundle.write import Content

bundle = group(app, "bundle", "Signed bundles: the images for a product, and everything about installing them.")

Bundle = typer.Argument(metavar="BUNDLE", help="A bundle, such as product.wbz.")
Trust = typer.Option(
    "--trust", envvar="IMAGEKIT_TRUST", metavar="FILE", help="PEM file with public keys that may sign bundles."
)
Threshold = typer.Option("--threshold", envvar="IMAGEKIT_THRESHOLD", min=1, help="How many of them must have signed.")


@bundle.command()
def create(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The bundle to write, such as product.wbz.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="FUS images, and one stack or Safeboot.")],
    parts: Annotated[
        list[str],
        typer.Option(
            "--part", "-p", envvar="IMAGEKIT_PART", metavar="PART", help="A part it is for; may be given several times."
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
            envvar="IMAGEKIT_SEQUENCE", min=0, help="Only ever rises: the flasher goes to no lower one of one name."
        ),
    ] = 0,
    waive: Annotated[
        list[str] | None,
        typer.Option(
            envvar="IMAGEKIT_WAIVE",
            metavar="RULE=REASON",
            help="Accept an error of `imagekit check` in writing: it is signed, and shown to whoever installs.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a signed bundle. Order, addresses and what cannot be undone are computed, never given.

    Refuses (3) what `imagekit check` refuses. With SOURCE_DATE_EPOCH set, the same inputs and key give the same bytes.

    Example: imagekit bundle create product.wbz --part STM32WB55RG --key release.pem FUS_fw.bin BLE_Stack_full_fw.bin
    """
    from imagekit.bundle import manifest, write

    targets = [target_of(part) for part in parts]
    waivers = _waivers(waive or [])
    _refuse_own_inputs(out, [*files, *(keys or [])])
    # Forget OUT, and the first image stands in its place: it must not be written over.
    if out != "-" and not out.lower().endswith(".wbz") and (os.path.isfile(out) or not os.path.exists(out)):  # noqa: PTH110, PTH113
        raise typer.BadParameter(
            f"{shown(out)} does not end with .wbz: OUT comes first, then the images", param_hint="OUT"
        )
    signing = [private_key(path) for path in keys or []]
    contents = [_content(path) for path in files]
    with about(out):
        stated = write.make_manifest(
            contents,
            targets,
            name=Path(out).stem if name is None else name,
            sequence=sequence,
            created=_now(),
            waivers=waivers,
        )
        payload = manifest.dumps(stated)
        data = write.write_bundle(payload, [write.signature(key, payload) for key in signing], contents)
    write_result(out, data)
    for waiver in waivers:
        complain(f"{shown(out)}: waived {waiver.rule}: {waiver.reason}")
    unsigned = "" if signing else "; nobody has signed it: `imagekit bundle payload`, then `bundle attach`"
    complain(f"{shown(out)}: {len(stated.images)} images, sequence {stated.sequence}{unsigned}")


def _content(path: str) -> "Content":
    """An image and what it is."""
    from imagekit.assessment import assess
    from imagekit.bundle.write import Content
    from imagekit.image import Image

    with about(path):
        data = read_image(path)
        return Content(assessment=assess(Image.parse(data)), data=data)
    raise AssertionError  # about() does not swallow errors


def _waivers(texts: Sequence[str]) -> "list[Waiver]":
    """What `--waive RULE=REASON` says."""
    from imagekit.bundle.manifest import Waiver
    from imagekit.rules import RULES

    waivers = []
    for text in texts:
        rule, _, reason = text.partition("=")
        if rule.strip().upper() not in RULES or not reason.strip():
            raise typer.BadParameter(f"{text!r}: write it as WB201='why it may ship'", param_hint="--waive")
        waivers.append(Waiver(rule.strip().upper(), reason.strip()))
    return waivers


def _refuse_own_inputs(out: str, inputs: Sequence[str]) -> None:
    """Exit with wrong usage when the result would overwrite what it is made from."""
    for path in inputs:
        if os.path.realpath(path) == os.path.realpath(out):
            raise typer.BadParameter(f"{shown(out)} is one of the inputs: name another file", param_hint="OUT")


def _now() -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH where it is set (reproducible-builds.org/specs/source-date-epoch)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return int(time.time())
    if not re.fullmatch("[0-9]{1,12}", epoch) or int(epoch) > 253402300799:  # 9999-12-31T23:59:59Z
        raise typer.BadParameter(f"{epoch!r} is no number of seconds", param_hint="SOURCE_DATE_EPOCH")
    return int(epoch)


@bundle.command()
def show(file: Annotated[str, Bundle]) -> None:
    """Show what a bundle says. Who signed it is told, and not verified: that is `bundle verify`.

    Example: imagekit bundle show product.wbz
    """
    from imagekit.report.bundle import text

    opened = _unverified(file)
    signed = [(f"by {one.keyid}: NOT VERIFIED", "warning") for one in opened.envelope.signatures]
    print_result(text(opened.manifest, signed or [("by nobody", "error")], width=terminal_width(), paint=painter()))


@bundle.command()
def verify(
    file: Annotated[str, Bundle],
    trust: Annotated[list[str], Trust],
    threshold: Annotated[int, Threshold] = 1,
    json: Annotated[bool, typer.Option("--json", envvar="IMAGEKIT_JSON", help="Print one JSON document.")] = False,
) -> None:
    """Verify a bundle as the flasher will: signatures, every image, every address, the order.

    Exits with 3 when it is refused, with 4 when it is no bundle. Nothing of its content is printed then.

    Example: imagekit bundle verify product.wbz --trust release.pub
    """
    from imagekit.report.bundle import document, text

    opened = _verified(file, trust, threshold)
    if json:
        print_json(document(opened.manifest, opened.signers))
        return
    signed = [(f"by {keyid}, which is trusted", "good") for keyid in opened.signers]
    signed += [(f"by {keyid} too, which is not trusted and was not counted", "warning") for keyid in opened.strangers]
    print_result(text(opened.manifest, signed, width=terminal_width(), paint=painter()))


@bundle.command()
def payload(
    file: Annotated[str, Bundle],
    out: Annotated[str, typer.Option("--out", "-o", envvar="IMAGEKIT_OUT", metavar="FILE", help="Where to write it.")],
) -> None:
    """Write the bytes that an external signer or HSM signs (the DSSE pre-authentication encoding).

    All but the signatures is checked first. Then: openssl pkeyutl -sign -rawin -inkey ed25519.pem -in FILE -out SIG,
    or openssl dgst -sha256 -sign p256.pem -out SIG FILE, or your HSM; then imagekit bundle attach.

    Example: imagekit bundle payload product.wbz -o product.pae
    """
    _refuse_own_inputs(out, [file])
    opened = _unverified(file)
    write_result(out, opened.envelope.signed)


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
    """Add a signature that an external signer or HSM made to a bundle, after verifying it.

    Example: imagekit bundle attach product.wbz --signature product.sig --key hsm.pub
    """
    from imagekit.bundle.unverified import attach as attached

    keys = public_keys(key)
    if len(keys) != 1:
        raise typer.BadParameter(f"{shown(key)} holds {len(keys)} keys: give the one that signed", param_hint="--key")
    opened = _unverified(file)
    with about(signature):
        data = attached(opened, keys[0], read_text(signature))
    write_result(file, data)


@bundle.command()
def extract(
    file: Annotated[str, Bundle],
    folder: Annotated[str, typer.Argument(metavar="DIR", help="An empty folder, or a new one.")],
    trust: Annotated[list[str], Trust],
    threshold: Annotated[int, Threshold] = 1,
) -> None:
    """Verify a bundle, then write its images and its manifest into an empty folder, under names of imagekit's.

    Example: imagekit bundle extract product.wbz images/ --trust release.pub
    """
    opened = _verified(file, trust, threshold)
    with about(folder):
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - the path as the user typed it
        if os.listdir(folder):  # noqa: PTH208
            complain(f"{shown(folder)}: not empty: nothing is written over what is there")
            raise typer.Exit(ExitCode.UNREADABLE)
        for name, data in _named(opened.manifest, opened.images):
            write_file(os.path.join(folder, name), data)  # noqa: PTH118
            print_result(shown(os.path.join(folder, name)))  # noqa: PTH118


def _named(stated: "Manifest", images: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Names for what is extracted: made of nothing but a number, a role and a version."""
    from imagekit.bundle.manifest import dumps

    named = []
    for number, step in enumerate(stated.steps, start=1):
        role = next(one.role for one in stated.images if one.sha256 == step.image)
        named.append((f"{number}-{role}-{step.gives}.bin", images[step.image]))
    return [*named, ("manifest.json", dumps(stated))]


def _verified(file: str, trust: Sequence[str], threshold: int) -> "VerifiedBundle":
    from imagekit.bundle.verified import open_bundle

    trusted = [key for path in trust for key in public_keys(path)]
    with about(file):
        return open_bundle(read_bundle(file), trusted, threshold)
    raise AssertionError  # about() does not swallow errors


def _unverified(file: str) -> "UnverifiedBundle":
    from imagekit.bundle.unverified import read

    with about(file):
        return read(read_bundle(file))
    raise AssertionError  # about() does not swallow errors
