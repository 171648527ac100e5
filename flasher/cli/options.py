"""The options of the flasher's commands. What several commands take is one dataclass, declared once.

A command names the dataclass as the type of a parameter; `command()` gives Typer the options in it, one by one.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flasher.errors import FlasherError, UsageError
from imagekit.errors import ExitCode

if TYPE_CHECKING:
    from flasher.acceptance import Acceptance, Range
    from flasher.link import ProbeChoice
    from imagekit.bundle.keys import PublicKey
    from imagekit.bundle.verified import VerifiedBundle


JournalFolder = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        envvar="FLASHER_JOURNAL",
        metavar="FOLDER",
        help="Folder of the journals.  [default: the user's folder for state]",
        show_default=False,
    ),
]
JLinkLibrary = Annotated[
    str | None,
    typer.Option(
        "--jlink-dll",
        envvar="FLASHER_JLINK_DLL",
        metavar="PATH",
        help="SEGGER's J-Link library, if it is not in the usual place.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """How to reach the chip, and where its journal is kept."""

    probe: Annotated[
        str | None,
        typer.Option(
            "--probe",
            envvar="FLASHER_PROBE",
            metavar="PROBE",
            help="jlink[:SERIAL], stlink[:SERIAL], cmsis-dap[:SERIAL], or sim:BOARD for a simulated board.  "
            "[default: the only probe that is connected]",
            show_default=False,
        ),
    ] = None
    library: JLinkLibrary = None
    speed: Annotated[
        int,
        typer.Option("--speed", envvar="FLASHER_SPEED", metavar="KHZ", min=5, max=50_000, help="SWD clock in kHz."),
    ] = 4000
    under_reset: Annotated[
        bool,
        typer.Option(
            "--under-reset",
            envvar="FLASHER_UNDER_RESET",
            help="Connect while the reset pin is low, for a chip that does not answer. Never while FUS may be running.",
        ),
    ] = False
    folder: JournalFolder = None

    def choice(self) -> "ProbeChoice":
        """Return which probe to connect to."""
        from flasher.link import ProbeChoice

        return ProbeChoice(name=self.probe, library=self.library, speed_khz=self.speed, under_reset=self.under_reset)


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """A verified bundle, and the SHA-256 of its file."""

    verified: "VerifiedBundle"
    sha256: str


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """The bundle, and who must have signed it."""

    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A signed bundle (.wbz) made by imagekit.", show_default=False)
    ]
    trust: Annotated[
        list[str],
        typer.Option(
            "--trust",
            envvar="FLASHER_TRUST",
            metavar="KEY",
            help="A public key (PEM) that is trusted to sign bundles, or a folder of such files. May be repeated.",
            show_default=False,
        ),
    ]
    threshold: Annotated[
        int,
        typer.Option(
            "--threshold",
            envvar="FLASHER_THRESHOLD",
            metavar="N",
            min=1,
            help="How many of the trusted keys must have signed the bundle.",
        ),
    ] = 1

    def open(self) -> OpenedBundle:
        """Verify the bundle and return it. Raises UsageError, InputError."""
        from imagekit.bundle.keys import load_public_keys
        from imagekit.bundle.verified import open_bundle
        from imagekit.files import key_files, read_bundle, read_text

        trusted: list[PublicKey] = []
        for given in self.trust:
            with naming(given):
                paths = key_files(given)
            for path in paths:
                with naming(path):
                    trusted += load_public_keys(read_text(path))
        if self.threshold > len(trusted):
            given = "one" if len(trusted) == 1 else str(len(trusted))
            raise UsageError(f"--threshold {self.threshold} needs {self.threshold} --trust keys; you gave {given}")
        with naming(self.bundle):
            data = read_bundle(self.bundle)
            return OpenedBundle(open_bundle(data, trusted, self.threshold), hashlib.sha256(data).hexdigest())
        raise AssertionError  # naming() does not swallow errors


@dataclass(frozen=True, kw_only=True)
class AcceptOptions:
    """What the user agrees to in advance."""

    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            envvar="FLASHER_ACCEPT",
            metavar="NAME",
            help="Accept an irreversible step by its name, such as fus-2.2.0. May be repeated.",
            show_default=False,
        ),
    ] = None
    erase_application: Annotated[
        list[str] | None,
        typer.Option(
            "--erase-application",
            envvar="FLASHER_ERASE_APPLICATION",
            metavar="FIRST-LAST",
            help="Sectors of the application that may be erased, such as 0x080D0000-0x080D0FFF. May be repeated.",
            show_default=False,
        ),
    ] = None
    erase_stray: Annotated[
        list[str] | None,
        typer.Option(
            "--erase-leftover",
            "--erase-stray",
            envvar="FLASHER_ERASE_STRAY",
            metavar="FIRST-LAST",
            help="Sectors of a leftover image that may be erased. May be repeated.",
            show_default=False,
        ),
    ] = None

    def acceptance(self) -> "Acceptance":
        """Return it for the plan. Raises UsageError."""
        from flasher.acceptance import Acceptance

        return Acceptance(
            accept=frozenset(self.accept or ()),
            erase_application=tuple(parse_range("--erase-application", text) for text in self.erase_application or ()),
            erase_leftover=tuple(parse_range("--erase-leftover", text) for text in self.erase_stray or ()),
        )


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What a command that changes a chip prints and writes about it."""

    json_lines: Annotated[
        bool,
        typer.Option("--json-lines", envvar="FLASHER_JSON_LINES", help="Print events, one JSON document per line."),
    ] = False
    report: Annotated[
        str | None,
        typer.Option(
            "--report",
            envvar="FLASHER_REPORT",
            metavar="FILE",
            help="Write a report for support: serial numbers are hashed, and it never contains an image.",
            show_default=False,
        ),
    ] = None
    report_serials: Annotated[
        bool,
        typer.Option("--report-serials", envvar="FLASHER_REPORT_SERIALS", help="Keep serial numbers in the report."),
    ] = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", envvar="FLASHER_QUIET", help="Print errors and the result only.")
    ] = False
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", envvar="FLASHER_VERBOSE", help="Print every FUS state and reset too.")
    ] = False

    @property
    def verbosity(self) -> int:
        """Return -1, 0 or 1."""
        return int(self.verbose) - int(self.quiet)


Json = Annotated[bool, typer.Option("--json", envvar="FLASHER_JSON", help="Print one JSON document.")]


def parse_range(option: str, text: str) -> "Range":
    """Read `FIRST-LAST`, both included, as the refusals print it. Raises UsageError."""
    match = re.fullmatch(r"(0x[0-9A-Fa-f]{1,8})-(0x[0-9A-Fa-f]{1,8})", text)
    if match is not None:
        first, last = int(match[1], 16), int(match[2], 16)
        if first <= last:
            return first, last + 1
    raise UsageError(f"{option} {text}: not an address range. Write it as 0x080D0000-0x080D0FFF")


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the file's name before what is wrong with it. Raises InputError."""
    from imagekit.cli.console import shown
    from imagekit.errors import ImagekitError
    from imagekit.text import why

    try:
        yield
    except (ImagekitError, OSError) as error:
        raise InputError(f"{shown(path)}: {why(error)}", is_refused=_is_refused(error)) from error


class InputError(FlasherError):
    """A bundle or a key cannot be read, or the bundle is refused."""

    def __init__(self, message: str, *, is_refused: bool) -> None:
        super().__init__(message)
        self.code = ExitCode.REFUSED if is_refused else ExitCode.UNREADABLE


def _is_refused(error: Exception) -> bool:
    """Return whether the input is a bundle, and the bundle is refused."""
    from imagekit.errors import BundleError, NotABundleError, PlacementError

    return isinstance(error, BundleError | PlacementError) and not isinstance(error, NotABundleError)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command for Typer: each dataclass among its parameters becomes the options that it holds."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = parameter.annotation
            parameters += _options_of(parameter.annotation)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(function)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{option.name: values.pop(option.name) for option in fields(group)})
        function(**values)

    run.__dict__["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options_of(group: Any) -> Iterator[inspect.Parameter]:
    for option in fields(group):
        default = option.default
        if option.default is MISSING:
            default = inspect.Parameter.empty
        yield inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.type)
