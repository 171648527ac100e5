"""Every rule, and what the rules find in one image."""

from pathlib import PurePath

from imagekit.assessment import Assessment
from imagekit.rules.application import APPLICATION_RULES
from imagekit.rules.folder import FOLDER_RULES
from imagekit.rules.image_bytes import IMAGE_BYTES_RULES
from imagekit.rules.installation import INSTALLATION_RULES
from imagekit.rules.names import NAME_RULES
from imagekit.rules.not_an_image import NOT_AN_IMAGE_RULES
from imagekit.rules.registry import Chip, Finding, Rule, Subject
from imagekit.rules.release_notes import RELEASE_NOTES_RULES
from imagekit.rules.signatures import SIGNATURE_RULES

_IMAGE_RULES = (
    *IMAGE_BYTES_RULES,
    *SIGNATURE_RULES,
    *INSTALLATION_RULES,
    *APPLICATION_RULES,
    *NAME_RULES,
)
_RULES = (
    *NOT_AN_IMAGE_RULES,
    *(image_rule.rule for image_rule in _IMAGE_RULES),
    *FOLDER_RULES,
    *RELEASE_NOTES_RULES,
)
RULES: dict[str, Rule] = {rule.id: rule for rule in _RULES}
"""Every rule by its id, in the order of the ids."""


def findings(
    assessment: Assessment, chip: Chip | None = None, *, path: str = "", hex_address: int | None = None
) -> tuple[Finding, ...]:
    """Apply every rule about a single image. Rules about a chip or a name find nothing without one."""
    subject = Subject(assessment, chip or Chip(), PurePath(path).name, hex_address)
    return tuple(finding for image_rule in _IMAGE_RULES for finding in image_rule.findings(subject))
