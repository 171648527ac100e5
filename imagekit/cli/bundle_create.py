"""Making a bundle from images that were read, and telling the user what is wrong with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from imagekit.bundle import manifest, manifest_json, unverified, write
from imagekit.cli import bundle_inputs
from imagekit.cli.console import about, shown
from imagekit.errors import BundleError, PlacementError

if TYPE_CHECKING:
    from imagekit.bundle.keys import PrivateKey
    from imagekit.rules.waivers import WaiverFile
    from imagekit.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a new bundle is to be, apart from its images."""

    name: str
    sequence: int
    created: int
    """Seconds since 1970."""
    keys: "Sequence[PrivateKey]"
    waivers: Sequence[str]
    """As typed: RULE=REASON or RULE:FILE=REASON."""
    waiver_file: "WaiverFile | None"
    """The waivers that `imagekit check` uses too; None: no such file."""
    fus_policy: str
    """`needed` or `always`."""
    expires: str | None
    """When the bundle expires, as RFC 3339; None: never."""


def made(request: Request, files: Sequence[str], targets: "Sequence[Target]", out: str) -> tuple[bytes, int]:
    """Return a new bundle and its number of images; exits when it is refused. `out` is its name in messages."""
    inputs = bundle_inputs.read_inputs(files, targets)
    with about(out):
        try:
            data, waivers = _made(request, inputs, targets)
        except (BundleError, PlacementError) as error:
            _raise_with_paths(error, inputs.paths)
    bundle_inputs.tell_waivers(waivers, inputs)
    return data, len(inputs.paths)


def _made(
    request: Request, inputs: bundle_inputs.Inputs, targets: "Sequence[Target]"
) -> tuple[bytes, list[manifest.Waiver]]:
    waivers = bundle_inputs.waivers_of(request.waivers, inputs)
    if request.waiver_file is not None:
        waivers += bundle_inputs.waivers_in(request.waiver_file, waivers, inputs)
    contents = list(inputs.contents.values())
    described = write.make_manifest(
        contents,
        targets,
        name=request.name,
        sequence=request.sequence,
        created=request.created,
        waivers=waivers,
        fus_policy=manifest.FusPolicy(request.fus_policy),
        expires=request.expires,
    )
    bundle_inputs.tell_findings(inputs)
    payload = manifest_json.dumps(described)
    signatures = [write.signature(key, payload) for key in request.keys]
    data = write.write_bundle(payload, signatures, contents)
    unverified.read(data)  # a bundle that the flasher would refuse is never written
    return data, waivers


def _raise_with_paths(error: BundleError | PlacementError, paths: Mapping[str, str]) -> NoReturn:
    """Raise an error again with the paths that the user typed in place of the names inside the bundle."""
    text = str(error)
    for sha256, path in paths.items():
        text = text.replace(f"images/{sha256}", shown(path))
    if isinstance(error, BundleError):
        raise BundleError(error.reason, text) from error
    raise PlacementError(error.reason, text) from error
