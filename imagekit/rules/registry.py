"""What a rule, its evidence and its findings are.

The meaning of a rule's id never changes. Families: WB0xx files that are not an image, WB1xx the file's own bytes, WB2xx
signatures, WB3xx whether and where an image can be installed, WB4xx names and known images, WB5xx release notes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from imagekit.assessment import Assessment
from imagekit.catalogue import StName
from imagekit.image.model import Image, Version
from imagekit.targets import Target

if TYPE_CHECKING:
    from imagekit.application.model import Application


class Severity(Enum):
    """How serious a finding is; only an error makes `check` refuse."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """Its place in a list: the most serious come first."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check."""

    id: str
    name: str
    """The finding as one word in Pascal case, as SARIF wants it: `UnknownSigningKey`."""
    severity: Severity
    title: str
    """The finding in one sentence."""
    help: str
    """What a finding means, and what to do: plain text, with code in back quotes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found."""

    rule: str
    severity: Severity
    message: str
    part: str | None = None
    """The part that it is about, as the user named it; None when it holds for every part that was named."""

    waived: str | None = None
    """The reason why it is accepted; None when it counts."""

    @property
    def text(self) -> str:
        """The message, after the part that it is about."""
        return f"{self.part}: {self.message}" if self.part else self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """What the user knows about the chips that the images are for; None: not known."""

    target: Target | None = None
    part: str | None = None
    """The part, as the user named it."""
    fus: Version | None = None
    needs_customer_signature: bool = False
    application: "Application | None" = None
    """The application that CPU1 runs."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules check: an assessed image, its name, the chip it is for."""

    assessment: Assessment
    chip: Chip
    name: str = ""
    """The file name without folders; empty for standard input."""
    hex_address: int | None = None
    """Where an Intel HEX file puts the image; None for a binary."""

    @property
    def image(self) -> Image:
        """The image itself."""
        return self.assessment.image

    @property
    def st_name(self) -> StName | None:
        """The name, if it has the form of ST's names."""
        return StName.parse(self.name)


@dataclass(frozen=True, slots=True)
class AsWarning:
    """A message of a rule that is otherwise an error, where the evidence only allows a warning."""

    message: str


Evidence = Callable[[Subject], Iterator[str | AsWarning]]
"""Checks one image and yields a message for each problem."""


@dataclass(frozen=True, slots=True)
class ImageRule:
    """A rule about a single image, with the function that looks for evidence."""

    rule: Rule
    evidence: Evidence

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """Yield one finding for each piece of evidence."""
        for evidence in self.evidence(subject):
            if isinstance(evidence, AsWarning):
                yield Finding(self.rule.id, Severity.WARNING, evidence.message)
            else:
                yield finding_of(self.rule, evidence)


def declare(id_: str, name: str, severity: Severity, title: str, help_: str) -> Rule:
    """Make a rule; line breaks in its help text are folded."""
    return Rule(id_, name, severity, title, " ".join(help_.split()))


def image_rule(id_: str, severity: Severity, title: str) -> Callable[[Evidence], ImageRule]:
    """Make a function the rule with that id about a single image; its docstring is the help text."""

    def declared(evidence: Evidence) -> ImageRule:
        name = evidence.__name__.title().replace("_", "")
        return ImageRule(declare(id_, name, severity, title, evidence.__doc__ or ""), evidence)

    return declared


def finding_of(rule: Rule, message: str) -> Finding:
    """Return the finding of one rule."""
    return Finding(rule.id, rule.severity, message)
