"""imagekit: inspect, verify and place ST's STM32WB coprocessor images, offline.

The names below are the public library (docs/library.md). Each is imported when it is first used, so that a program that
needs only the version does not load cryptography.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagekit.assessment import Assessment, assess
    from imagekit.bundle.keys import load_public_keys
    from imagekit.bundle.verified import VerifiedBundle, open_bundle
    from imagekit.errors import (
        BundleError,
        ImagekitError,
        KeyFileError,
        NotABundleError,
        ParseError,
        PlacementError,
        PlanError,
        TargetError,
        VersionError,
    )
    from imagekit.image.model import Image, ImageKind, Version
    from imagekit.image.signature import SignatureStatus, SignatureVerdict, signature_verdict
    from imagekit.image.signing_keys import SigningKey, st_keys
    from imagekit.placement import Placement, place
    from imagekit.rules import findings
    from imagekit.rules.check import CheckedFile, FileVerdict, check_files
    from imagekit.rules.registry import Chip, Finding, Severity
    from imagekit.targets import PARTS, TARGETS, Series, Target, select_target
    from imagekit.upgrade.candidates import Candidate, choose
    from imagekit.upgrade.plan import UpgradePlan, plan
    from imagekit.upgrade.start import AntiRollback, Start
    from imagekit.upgrade.steps import UpgradeStep

__version__ = "0.2.0"

__all__ = [  # noqa: RUF022 - in the order of sorted()
    "AntiRollback",
    "Assessment",
    "BundleError",
    "Candidate",
    "CheckedFile",
    "Chip",
    "FileVerdict",
    "Finding",
    "Image",
    "ImageKind",
    "ImagekitError",
    "KeyFileError",
    "NotABundleError",
    "PARTS",
    "ParseError",
    "Placement",
    "PlacementError",
    "PlanError",
    "Series",
    "Severity",
    "SignatureStatus",
    "SignatureVerdict",
    "SigningKey",
    "Start",
    "TARGETS",
    "Target",
    "TargetError",
    "UpgradePlan",
    "UpgradeStep",
    "VerifiedBundle",
    "Version",
    "VersionError",
    "__version__",
    "assess",
    "check_files",
    "choose",
    "findings",
    "load_public_keys",
    "open_bundle",
    "place",
    "plan",
    "select_target",
    "signature_verdict",
    "st_keys",
]

_MODULES = {
    "AntiRollback": "upgrade.start",
    "Assessment": "assessment",
    "BundleError": "errors",
    "Candidate": "upgrade.candidates",
    "CheckedFile": "rules.check",
    "Chip": "rules.registry",
    "FileVerdict": "rules.check",
    "Finding": "rules.registry",
    "Image": "image.model",
    "ImageKind": "image.model",
    "ImagekitError": "errors",
    "KeyFileError": "errors",
    "NotABundleError": "errors",
    "PARTS": "targets",
    "ParseError": "errors",
    "Placement": "placement",
    "PlacementError": "errors",
    "PlanError": "errors",
    "Series": "targets",
    "Severity": "rules.registry",
    "SignatureStatus": "image.signature",
    "SignatureVerdict": "image.signature",
    "SigningKey": "image.signing_keys",
    "Start": "upgrade.start",
    "TARGETS": "targets",
    "Target": "targets",
    "TargetError": "errors",
    "UpgradePlan": "upgrade.plan",
    "UpgradeStep": "upgrade.steps",
    "VerifiedBundle": "bundle.verified",
    "Version": "image.model",
    "VersionError": "errors",
    "assess": "assessment",
    "check_files": "rules.check",
    "choose": "upgrade.candidates",
    "findings": "rules",
    "load_public_keys": "bundle.keys",
    "open_bundle": "bundle.verified",
    "place": "placement",
    "plan": "upgrade.plan",
    "select_target": "targets",
    "signature_verdict": "image.signature",
    "st_keys": "image.signing_keys",
}
"""Public name -> the module below `imagekit` that defines it. tests/test_library.py compares it with `__all__`."""


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names also before they are imported."""
    return sorted({*globals(), *_MODULES})
