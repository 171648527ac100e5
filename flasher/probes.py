"""The kinds of probes, each with the module that reaches it. A module is loaded when its kind is asked for.

Modules are named as text, so that the flasher itself imports neither the simulated chip nor a probe that is not used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from flasher.errors import ProbeError, ProbeUnavailableError, UsageError
from flasher.probe import FoundProbe, OpenedProbe, Opener, ProbeRequest

Finder = Callable[[ProbeRequest], tuple[FoundProbe, ...]]


@dataclass(frozen=True, slots=True)
class ProbeKind:
    """One kind of probe: `MODULE:FUNCTION` of what opens one, and of what finds those that are connected."""

    open: str
    find: str | None
    address: str
    """What may stand behind the kind's name, for people."""


KINDS = {
    "jlink": ProbeKind("flasher.jlink:open_probe", "flasher.jlink:find_probes", "[:SERIAL]"),
    "stlink": ProbeKind("flasher.pyocd:open_probe", "flasher.pyocd:find_probes", "[:SERIAL]"),
    "cmsis-dap": ProbeKind("flasher.pyocd:open_probe", "flasher.pyocd:find_probes", "[:SERIAL]"),
    "sim": ProbeKind("flasher.sim.connect:open_board", None, ":BOARD"),
    "sim+stlink": ProbeKind("flasher.sim.connect:open_board", None, ":BOARD"),
    "sim+cmsis-dap": ProbeKind("flasher.sim.connect:open_board", None, ":BOARD"),
}


def spellings() -> str:
    """Return what `--probe` takes, for people."""
    return ", ".join(f"{name}{kind.address}" for name, kind in KINDS.items())


def parse_name(name: str) -> ProbeRequest:
    """Read what `--probe` says: a kind, and a serial number or a board file. Raises UsageError."""
    kind, colon, address = name.partition(":")
    is_known = kind in KINDS and (bool(address) or not colon)
    if is_known and KINDS[kind].find is None:
        is_known = bool(address)
    if is_known and kind == "jlink" and address:
        is_known = address.isascii() and address.isdigit() and len(address) <= _LONGEST_JLINK_SERIAL
    if not is_known:
        raise UsageError(f"--probe {name}: no such probe. Write one of: {spellings()}")
    return ProbeRequest(kind=kind, address=address or None)


_LONGEST_JLINK_SERIAL = 10
"""Decimal digits of 32 bits: pylink takes nothing else."""


@contextmanager
def open_probe(request: ProbeRequest) -> Iterator[OpenedProbe]:
    """Open a probe of any kind, and release it at the end. Raises FlasherError."""
    opener = cast("Opener", _load(KINDS[request.kind].open))
    with opener(request) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Search:
    """The probes that are connected, and why some kinds could not be searched for."""

    found: tuple[FoundProbe, ...]
    problems: tuple[ProbeError, ...]


def find_probes(library: str | None = None) -> Search:
    """Find the connected probes of every kind."""
    found: list[FoundProbe] = []
    problems: list[ProbeError] = []
    for name, kind in KINDS.items():
        if kind.find is None:
            continue
        try:
            finder = cast("Finder", _load(kind.find))
            found += finder(ProbeRequest(kind=name, library=library))
        except ProbeError as error:
            if str(error) not in map(str, problems):
                problems.append(error)
    return Search(tuple(found), tuple(problems))


def only_probe(search: Search) -> ProbeRequest:
    """Return a request for the only probe that is connected. Raises ProbeUnavailableError for none or several."""
    if len(search.found) == 1:
        probe = search.found[0]
        return ProbeRequest(kind=probe.kind, address=probe.serial)
    if search.found:
        names = ", ".join(probe.name for probe in search.found)
        raise ProbeUnavailableError(f"{len(search.found)} probes are connected ({names}); choose one with --probe NAME")
    reasons = "; ".join(str(problem) for problem in search.problems)
    message = "no probe is connected; connect one, or check its USB cable"
    if reasons:
        message += f". Some kinds of probes could not be searched for: {reasons}"
    raise ProbeUnavailableError(message)


def _load(text: str) -> Any:
    """Load `MODULE:FUNCTION`. Raises ProbeUnavailableError when the module cannot be loaded on this computer."""
    module, _, name = text.partition(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ProbeUnavailableError(f"{module} cannot be loaded: {error}") from error
