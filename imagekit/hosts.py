"""Which stack a host software expects: Zephyr, STM32duinoBLE, MicroPython, embassy, mbed, Flipper and others.

The table is data: imagekit/data/hosts.toml, each row with its sources.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from imagekit.errors import HostError

_DATA = Path(__file__).parent / "data" / "hosts.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRelease:
    """A release of a host software, and the stack that it is tied to."""

    name: str
    version: str
    """As its project counts; for some, the release of STM32CubeWB, or `any`: `note` says so."""
    cube: str
    """The release of STM32CubeWB: `1.20.0`; empty where no source states one."""
    variants: tuple[str, ...]
    """ST's names of the stacks that it can use, the usual one first; empty: none."""
    note: str
    sources: tuple[str, ...]
    is_unsure: bool
    """Whether sources disagree, or say it only indirectly."""

    @property
    def title(self) -> str:
        """`zephyr 4.0`."""
        return self.name if self.version == "any" else f"{self.name} {self.version}"


@cache
def host_releases() -> tuple[HostRelease, ...]:
    """Return the whole table."""
    return _host_releases(_DATA.read_text(encoding="utf-8"))


def releases_of(text: str) -> tuple[HostRelease, ...]:
    """Return the rows for `zephyr` or `zephyr:4.0`. Raises HostError, which names what there is."""
    name, _, version = text.strip().lower().partition(":")
    rows = tuple(row for row in host_releases() if row.name == name)
    if not rows:
        names = ", ".join(dict.fromkeys(row.name for row in host_releases()))
        raise HostError(f"unknown host software {name!r}; known: {names}")
    if not version:
        return rows
    exact = tuple(row for row in rows if row.version in (version.removeprefix("v"), "any"))
    if not exact:
        versions = ", ".join(row.version for row in rows)
        raise HostError(f"nothing is known about {name} {version}; known: {versions}")
    return exact


def hosts_using(variant: str, version: str) -> tuple[HostRelease, ...]:
    """Return the releases of host software that are tied to this stack (`BLE_HCILayer`, `1.20.0`)."""
    return tuple(row for row in _tied_to(version) if variant in row.variants)


@cache
def _tied_to(version: str) -> tuple[HostRelease, ...]:
    """Return the rows of a release of STM32CubeWB; every image is looked up, and most rows are about other releases."""
    tables = _DATA.read_text(encoding="utf-8").split(_TABLE)[1:]
    named = "".join(_TABLE + table for table in tables if f'"{version}"' in table)
    return tuple(row for row in _host_releases(named) if row.cube == version)


_TABLE = "[[host]]\n"


def _host_releases(document: str) -> tuple[HostRelease, ...]:
    return tuple(_host_release(entry) for entry in tomllib.loads(document).get("host", ()))


def _host_release(entry: dict[str, Any]) -> HostRelease:
    return HostRelease(
        name=entry["name"],
        version=entry["version"],
        cube=entry["cube"],
        variants=tuple(entry["variants"]),
        note=entry["note"],
        sources=tuple(entry["sources"]),
        is_unsure=entry.get("unsure", False),
    )
