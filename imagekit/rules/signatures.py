"""Rules about the signatures of an image (WB2xx)."""

from collections.abc import Iterator

from imagekit.image.signature import SignatureStatus
from imagekit.rules.registry import Severity, Subject, image_rule
from imagekit.targets import series_names


@image_rule("WB201", Severity.ERROR, "ST's signature matches no known key")
def unknown_signing_key(subject: Subject) -> Iterator[str]:
    """There are two causes, which the file alone cannot tell apart: the file was modified, or ST signed it with a key
    that is not public. The second is true for the FUS images that FUS 0.5.3 and 1.0.x install. Download any other
    image again from ST. If it still does not verify, do not ship it.
    """
    verdict, known = subject.assessment.signature, subject.assessment.known
    if verdict.status is not SignatureStatus.UNVERIFIED or verdict.defect:
        return
    if known:
        release = known.published[0].release
        yield f"the signature matches no known ST key, although ST published exactly these bytes in {release}"
    else:
        yield (
            "the signature matches no known ST key: the file was modified, or ST used a key we do not have (FUS images "
            "for FUS 0.5.3 and 1.0.x)"
        )


@image_rule("WB202", Severity.ERROR, "The signing key belongs to another series than the sectors")
def signing_key_of_another_series(subject: Subject) -> Iterator[str]:
    """The file was signed for one series and divided into sectors for another. ST released no such file; do not install
    it.
    """
    key, series = subject.assessment.signature.key, subject.image.series
    if key and series and not set(key.series) & set(series):
        yield (
            f"signed with {key.name}, a key for {series_names(key.series)}, but divided into sectors of "
            f"{series_names(series)}: one of the two is wrong, and the chip will refuse it"
        )


@image_rule("WB203", Severity.NOTE, "The signing key covers only some of the series with this sector size")
def signing_key_of_some_series(subject: Subject) -> Iterator[str]:
    """WB3x and WB5x have sectors of the same size. ST signed only WB3x stacks with the key `st-wb3x-early` (v1.5.0 to
    v1.7.0).
    """
    key, series = subject.assessment.signature.key, subject.image.series
    if key is None:
        return
    others = [other for other in series if other not in key.series]
    if others and len(others) < len(series):
        yield (
            f"signed with {key.name}, a key that ST used for {series_names(key.series)} only, "
            f"not for {series_names(others)}"
        )


@image_rule("WB204", Severity.ERROR, "The image carries an unexpected customer signature")
def unexpected_customer_signature(subject: Subject) -> Iterator[str]:
    """A second signature follows ST's, as an OEM adds it. imagekit cannot verify it; only a chip with that OEM's key
    can. No file that ST released has one, so anyone may have appended it. If your chips hold a customer key, use
    `--needs-customer-signature`.
    """
    if subject.image.customer_signature and not subject.chip.needs_customer_signature:
        yield "it carries a customer signature, which only a chip with that key can verify"


@image_rule("WB205", Severity.ERROR, "The customer signature that the chips need is missing")
def missing_customer_signature(subject: Subject) -> Iterator[str]:
    """Only with `--needs-customer-signature`: a chip with a customer key in FUS refuses every image without that
    customer's signature (AUTH_TAG_CUST_NOTFOUND). No file that ST released has one: your own signing step is missing.
    """
    if subject.chip.needs_customer_signature and not subject.image.customer_signature:
        yield "no customer signature: a chip with a customer key will refuse it (AUTH_TAG_CUST_NOTFOUND)"


@image_rule("WB206", Severity.ERROR, "ST's signature is missing or malformed")
def missing_st_signature(subject: Subject) -> Iterator[str]:
    """The file has no ST signature, or its 64 bytes cannot be an ECDSA signature: r or s is zero or too large. FUS
    refuses it.
    """
    verdict = subject.assessment.signature
    if verdict.status is SignatureStatus.ABSENT:
        yield "the file carries no ST signature: FUS will refuse it"
    elif verdict.defect:
        yield f"ST's signature cannot be valid: {verdict.defect}"


SIGNATURE_RULES = (
    unknown_signing_key,
    signing_key_of_another_series,
    signing_key_of_some_series,
    unexpected_customer_signature,
    missing_customer_signature,
    missing_st_signature,
)
"""In the order in which findings are reported."""
