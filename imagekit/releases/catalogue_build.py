"""Make the catalogue of known contents from ST's release folders. Facts and hashes only, never ST's bytes."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from imagekit.assessment import assess
from imagekit.catalogue import Catalogue, Content, Publication
from imagekit.errors import CatalogueError, ParseError
from imagekit.image import diagnosis as not_an_image
from imagekit.image.model import Image, Version
from imagekit.releases.release_notes import Row, published_address

_VERSION = re.compile(r"(\d+\.\d+\.\d+)$")
_KNOWN_BAD = Path(__file__).parents[1] / "data" / "known-bad.toml"
_NO_CATALOGUE = Catalogue((), {})


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of a release, with the row that the release notes beside it have for it."""

    release: str
    path: str
    """The path inside the release: `STM32WB5x/stm32wb5x_FUS_fw.bin`."""
    data: bytes
    row: Row | None


def published_file(path: str, data: bytes, rows: Mapping[str, Row], release: Version | None = None) -> PublishedFile:
    """Return a file by its absolute path, which tells the release where it is not given.

    `rows` are those of the notes beside it. Raises CatalogueError when no folder above it is named for a version, and
    ParseError for a web page or a Git LFS pointer: what ST published there is not known.
    """
    if error := not_an_image.text_in_place_of_image(data):
        raise error
    *folders, name = PurePath(path).parts
    parent = folders[-1]
    if release is not None:
        folders.append(release.text)
    for folder in reversed(folders):
        if match := _VERSION.search(folder):
            inside = f"{parent}/{name}" if parent.startswith("STM32WB") else name
            return PublishedFile(f"v{match[1]}", inside, data, rows.get(name))
    raise CatalogueError("no folder above it is named for a release, such as v1.23.0: say it with --release")


def build(files: Iterable[PublishedFile]) -> Catalogue:
    """Make a catalogue of every content among the files of releases."""
    known_bad = {sha256: entry["text"] for sha256, entry in tomllib.loads(_KNOWN_BAD.read_text("utf-8")).items()}
    contents: dict[str, Content] = {}
    for file in files:
        content = _content(file, known_bad)
        earlier = contents.get(content.sha256)
        published = (*earlier.published, *content.published) if earlier else content.published
        contents[content.sha256] = replace(content, published=tuple(sorted(published, key=_by_release)))
    releases = {publication.release for content in contents.values() for publication in content.published}
    return Catalogue(tuple(sorted(releases, key=Version.from_text)), contents)


def _by_release(publication: Publication) -> tuple[Version, str]:
    return Version.from_text(publication.release), publication.path


def _content(file: PublishedFile, known_bad: Mapping[str, str]) -> Content:
    """What one file is, published in one place."""
    published = (Publication(file.release, file.path, _addresses(file.row)),)
    try:
        image = Image.parse(file.data)
    except ParseError:
        sha256 = hashlib.sha256(file.data).hexdigest()
        return Content(
            *(sha256, len(file.data), None, None, (), None, None, None, None, None),
            published=published,
            known_bad=known_bad.get(sha256),
        )
    assessment = assess(image, catalogue=_NO_CATALOGUE)
    key = assessment.signature.key
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
    """The addresses that a row prints, those left out that cannot be read."""
    addresses = {}
    for target, cell in row.addresses.items() if row else ():
        try:
            address = published_address(cell)
        except ValueError:
            continue
        addresses[target] = None if address is None else f"0x{address:08X}"
    return addresses
