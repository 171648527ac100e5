"""imagekit: inspect, verify and place ST's STM32WB coprocessor images, offline.

The names below are the library's; each is imported when it is first used, so that a program that only wants
the version does not wait for cryptography.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagekit.assessment import Assessment as Assessment
    from imagekit.assessment import assess as assess
    from imagekit.errors import ImagekitError as ImagekitError
    from imagekit.errors import ParseError as ParseError
    from imagekit.errors import PlacementError as PlacementError
    from imagekit.errors import TargetError as TargetError
    from imagekit.errors import VersionError as VersionError
    from imagekit.image.model import Image as Image
    from imagekit.image.model import ImageKind as ImageKind
    from imagekit.image.model import Version as Version
    from imagekit.image.signature import SignatureStatus as SignatureStatus
    from imagekit.image.signature import SignatureVerdict as SignatureVerdict
    from imagekit.image.signature import signature_verdict as signature_verdict
    from imagekit.image.signing_keys import SigningKey as SigningKey
    from imagekit.image.signing_keys import st_keys as st_keys
    from imagekit.placement import Placement as Placement
    from imagekit.placement import place as place
    from imagekit.rules import findings as findings
    from imagekit.rules.registry import Finding as Finding
    from imagekit.targets import TARGETS as TARGETS
    from imagekit.targets import Series as Series
    from imagekit.targets import Target as Target
    from imagekit.targets import select_target as select_target

__version__ = "0.1.0"

_MODULES = {
    "Assessment": "assessment",
    "Finding": "rules.registry",
    "Image": "image.model",
    "ImageKind": "image.model",
    "ImagekitError": "errors",
    "ParseError": "errors",
    "Placement": "placement",
    "PlacementError": "errors",
    "Series": "targets",
    "SignatureStatus": "image.signature",
    "SignatureVerdict": "image.signature",
    "SigningKey": "image.signing_keys",
    "TARGETS": "targets",
    "Target": "targets",
    "TargetError": "errors",
    "Version": "image.model",
    "VersionError": "errors",
    "assess": "assessment",
    "findings": "rules",
    "place": "placement",
    "select_target": "targets",
    "signature_verdict": "image.signature",
    "st_keys": "image.signing_keys",
}

__all__ = ["__version__", *_MODULES]  # noqa: PLE0604 - the keys are texts


def __getattr__(name: str) -> object:
    """Import a public name's module when the name is first asked for (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
