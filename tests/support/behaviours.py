"""Settings of the simulated chip for what is unknown about silicon: alone, and in a covering sample of pairs."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

SETTINGS: dict[str, tuple[Any, ...]] = {
    "nvm_job_seconds": (0.0, 5.0, 30.0),
    "nvm_section_sectors": (0, 4),
    "nvm_answers": ("fffe", "1x", "none"),
    "nvm_reset_bricks": (False, True),
    "ready_event": ("early", "late", "none"),
    "dll_memory_cache": (False, True),
    "dll_unknown_command": ("text", "code"),
    "null_tables": ("accepted", "refused"),
    "first_contact": ("ff", "00", "fe", "none"),
    "vector_catch": ("survives", "cleared"),
    "options_readable": ("always", "halted"),
    "data_cache": ("clean", "stale"),
    "fus_idle_gap_seconds": (0, 14, 40),
    "fus_silent": (False, True),
    "purge": ("known", "unknown"),
    "ff_pages": ("not", "programmable"),
}
"""Every setting; the first value of each is the default of flasher/sim/behaviour.py."""

Row = dict[str, Any]


def one_at_a_time() -> Iterator[Row]:
    """Every value that is not a default, alone."""
    for name, values in SETTINGS.items():
        for value in values[1:]:
            yield {name: value}


def covering_pairs() -> list[Row]:
    """Return rows in which every two values of two settings meet at least once (greedy)."""
    missing = {
        ((first, a), (second, b))
        for first, second in combinations(SETTINGS, 2)
        for a in SETTINGS[first]
        for b in SETTINGS[second]
    }
    rows = []
    while missing:
        row: Row = {}
        seed = min(missing, key=repr)
        for name, value in seed:
            row[name] = value
        for name, values in SETTINGS.items():
            if name not in row:
                row[name] = max(values, key=lambda value: (_gain(row, name, value, missing), -values.index(value)))
        missing -= set(_pairs(row))
        rows.append(row)
    return rows


def _gain(row: Row, name: str, value: Any, missing: set[Any]) -> int:
    """How many missing pairs a value adds to a row."""
    return sum(pair in missing for pair in _pairs({**row, name: value}))


def _pairs(row: Row) -> Iterator[tuple[tuple[str, Any], tuple[str, Any]]]:
    ordered = [(name, row[name]) for name in SETTINGS if name in row]
    return combinations(ordered, 2)


def name_of(row: Row) -> str:
    """Return a short name for a row: what differs from the defaults."""
    return ",".join(f"{name}={value}" for name, value in row.items() if value != SETTINGS[name][0]) or "defaults"
