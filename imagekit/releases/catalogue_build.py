"""Build the catalogue of known images from ST's release folders. Facts and hashes only, never ST's bytes."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from imagekit.assessment import assess
from imagekit.catalogue import Catalogue, Content, Publication, by_release
from imagekit.errors import CatalogueError, ParseError
from imagekit.image import diagnosis
from imagekit.image.model import Image, Version
from imagekit.releases.release_notes import Row, published_address

_VERSION = re.compile(r"(\d+\.\d+\.\d+)$")
_KNOWN_BAD = Path(__file__).parents[1] / "data" / "known-bad.toml"
_EMPTY = Catalogue((), {})


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of a release, and its row in the release notes beside it."""

    release: str
    path: str
    """The path inside the release: `STM32WB5x/stm32wb5x_FUS_fw.bin`."""
    data: bytes
    row: Row | None


def published_file(path: str, data: bytes, rows: Mapping[str, Row], release: Version | None = None) -> PublishedFile:
    """Return a file by its absolute path, which gives the release if `release` does not.

    `rows` are those of the notes beside it.

    Raises:
        CatalogueError: no folder above the file is named for a version.
        ParseError: a web page or a Git LFS pointer, so that the bytes that ST published are not known.
    """
    error = diagnosis.text_in_place_of_image(data)
    if error:
        raise error
    *folders, name = PurePath(path).parts
    inside = name
    if folders[-1].startswith("STM32WB"):
        inside = f"{folders[-1]}/{name}"
    return PublishedFile(_release(folders, release), inside, data, rows.get(name))


def _release(folders: Sequence[str], release: Version | None) -> str:
    """The release as `v1.23.0`: the given one, or that of the nearest folder named for a version."""
    if release is not None:
        return f"v{release.text}"
    for folder in reversed(folders):
        match = _VERSION.search(folder)
        if match:
            return f"v{match[1]}"
    raise CatalogueError("no folder above it is named for a release, such as v1.23.0: use --release")


def build(files: Iterable[PublishedFile]) -> Catalogue:
    """Build a catalogue of every content among the files of releases."""
    known_bad = {sha256: entry["text"] for sha256, entry in tomllib.loads(_KNOWN_BAD.read_text("utf-8")).items()}
    contents: dict[str, Content] = {}
    for file in files:
        content = _content(file, known_bad)
        published = content.published
        if content.sha256 in contents:
            published = (*contents[content.sha256].published, *published)
        contents[content.sha256] = replace(content, published=tuple(sorted(published, key=by_release)))
    releases = {publication.release for content in contents.values() for publication in content.published}
    return Catalogue(tuple(sorted(releases, key=Version.from_text)), contents)


def _content(file: PublishedFile, known_bad: Mapping[str, str]) -> Content:
    """The facts about one file, published in one place."""
    published = (Publication(file.release, file.path, _addresses(file.row)),)
    try:
        image = Image.parse(file.data)
    except ParseError:
        sha256 = hashlib.sha256(file.data).hexdigest()
        return Content(
            sha256=sha256,
            size=len(file.data),
            kind=None,
            magic=None,
            series=(),
            version=None,
            sectors=None,
            sram2a_kib=None,
            sram2b_kib=None,
            key=None,
            published=published,
            known_bad=known_bad.get(sha256),
        )
    key = assess(image, catalogue=_EMPTY).signature.key
    return Content(
        sha256=image.sha256,
        size=image.size,
        kind=image.kind.value,
        magic=f"0x{image.footer.magic:08X}",
        series=tuple(series.value for series in image.series),
        version=image.version.full_text if image.version else None,
        sectors=image.footer.flash_sectors,
        sram2a_kib=image.footer.sram2a_kib,
        sram2b_kib=image.footer.sram2b_kib,
        key=key.name if key else None,
        published=published,
        known_bad=known_bad.get(image.sha256),
    )


def _addresses(row: Row | None) -> dict[str, str | None]:
    """The addresses of a row, without those that cannot be read."""
    if row is None:
        return {}
    addresses = {}
    for target, cell in row.addresses.items():
        try:
            address = published_address(cell)
        except ValueError:
            continue
        addresses[target] = None if address is None else f"0x{address:08X}"
    return addresses
