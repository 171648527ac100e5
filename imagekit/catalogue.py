"""The contents that ST has published: SHA-256 -> what ST called it, where, and what is known to be wrong with it.

A content that is not in the catalogue is normal: it may come from a newer release. The catalogue holds facts and
hashes, never ST's bytes; the shipped one was made by `imagekit catalogue build` from the releases it lists.
"""

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from imagekit.errors import CatalogueError
from imagekit.image.model import Version
from imagekit.targets import Series

SCHEMA = "imagekit.catalogue/1"
_SHIPPED = Path(__file__).parent / "data" / "catalogue.json"
_PLAIN = ("size", "kind", "magic", "version", "sectors", "sram2a_kib", "sram2b_kib", "key", "known_bad")
_ST_NAME = re.compile(r"stm32wb([135])x_(.+?)_fw(?:_(.+))?\.(?:bin|hex)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StName:
    """A file name as ST forms it: `stm32wb5x_BLE_Stack_full_fw.bin`, `stm32wb5x_FUS_fw_for_fus_0_5_3.bin`."""

    series: Series
    variant: str
    """What the name says between series and ending, without `_fw`: `BLE_Stack_full`, `FUS_1_0_2`."""
    version: Version | None
    """The version behind `_fw` (`FUS_fw_1_2_0`, `Safeboot_fw_v1.2.0`), None when there is none."""

    @classmethod
    @lru_cache(maxsize=64)
    def parse(cls, name: str) -> "StName | None":
        """Read a file name, None when ST would not name a file so."""
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
    """One place where ST published a content."""

    release: str
    path: str
    """The path inside the release: `STM32WB5x/stm32wb5x_FUS_fw.bin`."""
    addresses: dict[str, str | None]
    """Target name → the address printed in the release notes beside it, None for NA; empty without a row."""

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
    """One content that ST published. What a file that is no image does not say is None or empty."""

    sha256: str
    size: int
    kind: str | None
    magic: str | None
    series: tuple[str, ...]
    version: str | None
    """As ST's tools print it, branch and build as one number: `1.13.3.5`; None when hidden."""
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


@dataclass(frozen=True)
class Catalogue:
    """Known contents by their SHA-256, and the releases that were read for them."""

    releases: tuple[str, ...]
    contents: dict[str, Content]

    @cached_property
    def variants(self) -> frozenset[str]:
        """Every variant that ST published, in lower case."""
        return frozenset(variant.casefold() for content in self.contents.values() for variant in content.variants)

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
        """Return every content with these fields, as a chip reports those of its stack; None matches any.

        `version` may be cut short: `1.13.3` matches `1.13.3.5`. Several contents of one variant are rebuilds; several
        variants mean that the fields do not tell which one it is.
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


@cache
def shipped() -> Catalogue:
    """Return the catalogue that comes with imagekit."""
    return loads(_SHIPPED.read_bytes())


def loads(data: bytes) -> Catalogue:
    """Read a catalogue. Raises CatalogueError."""
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise CatalogueError(f"schema {document['schema']!r} is not {SCHEMA!r}")
        contents = {sha256: _content(sha256, entry) for sha256, entry in document["contents"].items()}
        return Catalogue(tuple(document["releases"]), contents)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CatalogueError("not a catalogue that `imagekit catalogue build` made") from error


def dumps(catalogue: Catalogue) -> str:
    """Write a catalogue: one line for each content, in a fixed order, so that versions can be compared."""
    lines = [
        f"  {json.dumps(sha256)}: {json.dumps(_entry(content), separators=(',', ':'))}"
        for sha256, content in sorted(catalogue.contents.items())
    ]
    head = f'{{\n "schema": "{SCHEMA}",\n "releases": {json.dumps(catalogue.releases)},\n "contents": {{\n'
    return head + ",\n".join(lines) + "\n }\n}\n"


def _content(sha256: str, entry: dict[str, Any]) -> Content:
    fields = {name: entry.get(name) for name in _PLAIN}
    published = tuple(Publication(one["release"], one["path"], one["addresses"]) for one in entry["published"])
    return Content(sha256=sha256, series=tuple(entry["series"]), published=published, **fields)  # type: ignore[arg-type]


def _entry(content: Content) -> dict[str, Any]:
    entry = {name: value for name in _PLAIN if (value := getattr(content, name)) is not None}
    published = [{"release": one.release, "path": one.path, "addresses": one.addresses} for one in content.published]
    return {**entry, "series": content.series, "published": published}
