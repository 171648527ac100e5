"""ST's images by their SHA-256: what each is, in which releases ST published it, and at which addresses.

An image that is not in the catalogue may come from a newer release, so that is not an error. The catalogue holds facts
and hashes, never ST's bytes; the built-in one was made by `imagekit catalogue build` from the releases that it lists.
"""

import json
import re
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from imagekit.catalogue_format import check_document
from imagekit.errors import CatalogueError
from imagekit.image.container import FOOTER_MARKER, STACK_MAGIC, ImageFooter
from imagekit.image.model import GAP_SECTORS, SAFEBOOT_INFO1, Image, ImageKind, Version
from imagekit.targets import SECTOR_SIZES, Series

SCHEMA = "imagekit.catalogue/1"
_DATA = Path(__file__).parent / "data"
_PLAIN = ("size", "kind", "magic", "version", "sectors", "sram2a_kib", "sram2b_kib", "key", "known_bad")
_ST_NAME = re.compile(r"stm32wb([135])x_(.+?)_fw(?:_(.+))?\.(?:bin|hex)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StName:
    """A file name in ST's form: `stm32wb5x_BLE_Stack_full_fw.bin`, `stm32wb5x_FUS_fw_for_fus_0_5_3.bin`."""

    series: Series
    variant: str
    """The part between series and ending, without `_fw`: `BLE_Stack_full`, `FUS_1_0_2`."""
    version: Version | None
    """The version after `_fw` (`FUS_fw_1_2_0`, `Safeboot_fw_v1.2.0`); None when there is none."""

    @classmethod
    @lru_cache(maxsize=64)
    def parse(cls, name: str) -> "StName | None":
        """Parse a file name; None when it does not have ST's form."""
        match = _ST_NAME.fullmatch(name)
        if match is None:
            return None
        series, what, suffix = match.groups()
        version = re.fullmatch(r"v?(\d+)[._](\d+)[._](\d+)", suffix or "", re.IGNORECASE)
        return cls(
            Series(f"WB{series}x"),
            f"{what}_{suffix}" if suffix else what,
            Version(*map(int, version.groups())) if version else None,
        )


@dataclass(frozen=True, slots=True)
class Publication:
    """One file of one release."""

    release: str
    path: str
    """The path inside the release: `STM32WB5x/stm32wb5x_FUS_fw.bin`."""
    addresses: dict[str, str | None]
    """Target name -> the address in the release notes beside it; None for NA. Empty when they have no row."""

    @property
    def st_name(self) -> StName | None:
        """The file name, if it has the form of ST's names."""
        return StName.parse(self.path.rpartition("/")[2])

    @property
    def variant(self) -> str:
        """Which image it is, by its name: `BLE_Stack_full`."""
        if self.st_name:
            return self.st_name.variant
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Content:
    """One content that ST published. For a file that is not an image, the facts of an image are None or empty."""

    sha256: str
    size: int
    kind: str | None
    magic: str | None
    series: tuple[str, ...]
    version: str | None
    """As ST's tools print it, branch and build as one number: `1.13.3.5`; None when the file stores none."""
    sectors: int | None
    sram2a_kib: int | None
    sram2b_kib: int | None
    key: str | None
    published: tuple[Publication, ...]
    known_bad: str | None

    @property
    def published_series(self) -> tuple[Series, ...]:
        """The series in ST's names of the file; empty when one of the names has no series."""
        names = [publication.st_name for publication in self.published]
        if not all(names):
            return ()
        return tuple(dict.fromkeys(name.series for name in names if name))

    @property
    def variants(self) -> tuple[str, ...]:
        """Every variant that ST published these bytes as."""
        return tuple(sorted({publication.variant for publication in self.published}))

    @property
    def first_release(self) -> str:
        """The oldest release that holds these bytes."""
        return self.published[0].release

    @property
    def last_release(self) -> str:
        """The newest release that holds these bytes."""
        return self.published[-1].release


class _Lines(Mapping[str, Content]):
    """The contents of a catalogue that `dumps` wrote, one line each; a line is parsed when it is asked for.

    Parsing all of the built-in catalogue takes as long as everything else that `inspect` computes.
    """

    def __init__(self, document: bytes) -> None:
        self._document = document

    def __getitem__(self, sha256: str) -> Content:
        key = f'\n  "{sha256}": '.encode()
        position = self._document.find(key)
        if position < 0:
            raise KeyError(sha256)
        start = position + len(key)
        end = self._document.index(b"\n", start)
        return _content(sha256, json.loads(self._document[start:end].removesuffix(b",")))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed)

    def __len__(self) -> int:
        return len(self._parsed)

    def items(self) -> ItemsView[str, Content]:
        """Return every content with its SHA-256."""
        return self._parsed.items()

    def values(self) -> ValuesView[Content]:
        """Return every content."""
        return self._parsed.values()

    @cached_property
    def _parsed(self) -> dict[str, Content]:
        """All lines, parsed in one pass: looking each one up would search the document from its start."""
        lines = re.finditer(rb'^  "([0-9a-f]{64})": (.*?),?$', self._document, re.MULTILINE)
        contents = {}
        for line in lines:
            sha256 = line[1].decode()
            contents[sha256] = _content(sha256, json.loads(line[2]))
        return contents

    @property
    def variants(self) -> frozenset[str]:
        """Every variant in lower case."""
        paths = {path.decode() for path in re.findall(rb'"path":"([^"]+)"', self._document)}
        return frozenset(Publication("", path, {}).variant.casefold() for path in paths)


@dataclass(frozen=True)
class Catalogue:
    """Known contents by their SHA-256, and the releases that they come from."""

    releases: tuple[str, ...]
    contents: Mapping[str, Content]

    @cached_property
    def variants(self) -> frozenset[str]:
        """Every variant that ST published, in lower case."""
        if isinstance(self.contents, _Lines):
            return self.contents.variants
        return frozenset(variant.casefold() for content in self.contents.values() for variant in content.variants)

    def updated(self, newer: "Catalogue") -> "Catalogue":
        """Return this catalogue with the releases of another one; of a release in both, the newer one is used."""
        contents = {sha256: _without(content, newer.releases) for sha256, content in self.contents.items()}
        for sha256, content in newer.contents.items():
            earlier = contents[sha256].published if sha256 in contents else ()
            published = sorted((*earlier, *content.published), key=by_release)
            contents[sha256] = replace(content, published=tuple(published))
        releases = sorted({*self.releases, *newer.releases}, key=Version.from_text)
        return Catalogue(tuple(releases), {sha256: kept for sha256, kept in contents.items() if kept.published})

    def identify(
        self,
        *,
        series: Series | None = None,
        magic: int | None = None,
        version: str | None = None,
        sectors: int | None = None,
        sram2a_kib: int | None = None,
        sram2b_kib: int | None = None,
    ) -> tuple[Content, ...]:
        """Return every content with these fields, which a chip reports about its stack; None matches any value.

        `version` can be shortened: `1.13.3` matches `1.13.3.5`. Several contents of one variant are rebuilds. Several
        variants mean that the fields do not identify the variant.
        """
        return tuple(
            content
            for content in self.contents.values()
            if (series is None or series.value in content.series)
            and (magic is None or content.magic == f"0x{magic:08X}")
            and (version is None or f"{content.version or ''}.".startswith(f"{version}."))
            and sectors in (None, content.sectors)
            and sram2a_kib in (None, content.sram2a_kib)
            and sram2b_kib in (None, content.sram2b_kib)
        )


def by_release(publication: Publication) -> tuple[Version, str]:
    """The sort key under which the oldest publication comes first."""
    return Version.from_text(publication.release), publication.path


def _without(content: Content, releases: tuple[str, ...]) -> Content:
    published = tuple(publication for publication in content.published if publication.release not in releases)
    return replace(content, published=published)


@cache
def shipped() -> Catalogue:
    """Return the built-in catalogue. Its contents are parsed one by one, when they are asked for."""
    document = (_DATA / "catalogue.json").read_bytes()
    _, _, after = document.partition(b'"releases": ')
    releases, _ = json.JSONDecoder().raw_decode(after[: after.index(b"\n")].decode())
    return Catalogue(tuple(releases), _Lines(document))


@cache
def _purposes() -> dict[str, str]:
    import tomllib

    variants = tomllib.loads((_DATA / "catalogue-variants.toml").read_text("utf-8"))
    return {variant.casefold(): entry["text"] for variant, entry in variants.items()}


def purpose(variant: str) -> str:
    """Return what a variant of ST's images is for, in one line; empty when that is not known."""
    return _purposes().get(variant.casefold(), "")


def loads(data: bytes) -> Catalogue:
    """Read a catalogue. Raises CatalogueError."""
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise CatalogueError(f"schema {str(document['schema'])[:40]!r} is not {SCHEMA!r}")
        check_document(document)
        contents = {sha256: _content(sha256, entry) for sha256, entry in document["contents"].items()}
        return Catalogue(tuple(document["releases"]), contents)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CatalogueError("not a catalogue that `imagekit catalogue build` made") from error


def dumps(catalogue: Catalogue) -> str:
    """Return a catalogue as text: one line for each content, in a fixed order, so that versions can be compared."""
    lines = [
        f"  {json.dumps(sha256)}: {json.dumps(_entry(content), separators=(',', ':'))}"
        for sha256, content in sorted(catalogue.contents.items())
    ]
    head = f'{{\n "schema": "{SCHEMA}",\n "releases": {json.dumps(catalogue.releases)},\n "contents": {{\n'
    return head + ",\n".join(lines) + "\n }\n}\n"


def _content(sha256: str, entry: dict[str, Any]) -> Content:
    fields = {name: entry.get(name) for name in _PLAIN}
    published = tuple(Publication(file["release"], file["path"], file["addresses"]) for file in entry["published"])
    return Content(sha256=sha256, series=tuple(entry["series"]), published=published, **fields)  # type: ignore[arg-type]


def _entry(content: Content) -> dict[str, Any]:
    values = {name: getattr(content, name) for name in _PLAIN}
    entry = {name: value for name, value in values.items() if value is not None}
    published = [
        {"release": publication.release, "path": publication.path, "addresses": publication.addresses}
        for publication in content.published
    ]
    return {**entry, "series": content.series, "published": published}


def image_of(content: Content) -> Image | None:
    """Return what is known about an image of the catalogue as an `Image`, for its address; None if it is not one."""
    if content.kind is None or content.magic is None or content.sectors is None:
        return None
    magic = int(content.magic, 16)
    version = Version.from_text(content.version) if content.version else None
    major, minor, sub, build = (version.major, version.minor, version.sub, version.build) if version else (0xFF,) * 4
    footer = ImageFooter(
        info1=_info1(content, magic),
        info2=FOOTER_MARKER,
        flash_sectors=content.sectors,
        byte9=0xFF,
        sram2a_kib=content.sram2a_kib or 0,
        sram2b_kib=content.sram2b_kib or 0,
        branch_build=version.branch << 4 | build if version else build,
        sub=sub,
        minor=minor,
        major=major,
        magic=magic,
    )
    return Image(
        footer=footer,
        signatures=(),
        size=content.size,
        sha256=content.sha256,
        signed_digest=b"",
        is_unencrypted=False,
        lacks_carriage_returns=False,
    )


def _info1(content: Content, magic: int) -> int:
    """The format word of an image: the only one that ST released with its magic, kind and series."""
    if magic == STACK_MAGIC and content.kind == ImageKind.SAFEBOOT.value:
        return SAFEBOOT_INFO1
    formats = {gap: info1 for (known, info1), gap in GAP_SECTORS.items() if known == magic and info1 != SAFEBOOT_INFO1}
    if len(formats) > 1:
        sector_size = SECTOR_SIZES[Series(content.series[0])]
        return formats[16 * 1024 // sector_size]
    return next(iter(formats.values()), 0)
