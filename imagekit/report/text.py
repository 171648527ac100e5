"""Text for people: what `inspect` and `address` print. The words may change between versions."""

import textwrap
from collections.abc import Callable, Iterator, Sequence

from imagekit.assessment import Assessment
from imagekit.catalogue import Content
from imagekit.errors import PlacementError
from imagekit.image.container import FUS_2_STACK_MAGIC
from imagekit.image.model import Image, ImageKind
from imagekit.image.signature import SignatureStatus
from imagekit.placement import Placement
from imagekit.report.document import hex_word
from imagekit.rules.registry import Finding
from imagekit.targets import Target
from imagekit.text import counted

Paint = Callable[[str, str], str]
"""Colours a text for a role: `bold`, `dim`, `good`, `error`, `warning`; any other stays plain."""

_KINDS = {
    ImageKind.STACK: "wireless stack",
    ImageKind.FUS: "FUS",
    ImageKind.SAFEBOOT: "Safeboot",
    ImageKind.OTHER: "image of a reserved kind",
    ImageKind.UNKNOWN: "image of an unknown kind",
}
_NOWHERE = {
    "does-not-fit": "does not fit",
    "other-series": "not for this series",
    "other-key": "not signed for this series",
    "unknown-format": "unknown",
    "locks-chip": "never: it may lock the chip",
}
_LABEL_WIDTH = 10


def plain(text: str, role: str) -> str:  # noqa: ARG001 - the signature of Paint
    """Paint nothing."""
    return text


def inspection(
    name: str,
    assessment: Assessment,
    found: tuple[Finding, ...],
    target: Target | None = None,
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Describe one image; lines are wrapped at `width` columns, or not at all."""
    image = assessment.image
    rows = [
        ("is", _what(image), ""),
        ("for", ", ".join(series.value for series in image.series) or "a series its footer does not tell", ""),
        ("needs", _needs(assessment), ""),
        ("signed", *_signed(assessment)),
        *(("goes to" if first else "", line, "") for first, line in _addresses(assessment, target)),
        ("known as", _known(assessment), ""),
        ("sha256", image.sha256, "dim"),
        *(
            (finding.severity.value, f"{finding.rule} {finding.message}", finding.severity.value)
            for finding in sorted(found, key=lambda finding: finding.severity.rank)
        ),
    ]
    lines = [paint(name, "bold")]
    for label, text, role in rows:
        lines.append(row(label, text, role, width, paint))
    return "\n".join(lines)


def working(
    image: Image,
    placement: Placement,
    part: str,
    name: str,
    notes: tuple[str, ...],
    *,
    width: int | None = None,
    paint: Paint = plain,
) -> str:
    """Show an install address, alone on the first line, and how it was computed, line by line."""
    target, sector = placement.target, placement.target.sector_size
    rows = [("file", f"{name}, {placement.size} bytes: {_what(image)}")]
    if image.requires_fus:
        rows.append(("needs", f"FUS {image.requires_fus.text} or later on the chip"))
    rows += [
        ("target", f"{part}: {target.name}, {target.flash_kib} KiB of flash in sectors of {sector} bytes"),
        ("by size", f"{placement.size} / {sector}, rounded up: {counted(placement.sectors_by_size, 'sector')}"),
        ("by footer", f"{counted(placement.sectors_footer, 'sector')}; the larger of the two counts"),
    ]
    if placement.gap_sectors:
        rows.append(("gap", f"{counted(placement.gap_sectors, 'sector')} above it, which its format needs"))
    if placement.spare_sectors:
        rows.append(
            ("spare", f"{counted(placement.spare_sectors, 'sector')} that ST leaves free above a FUS 1.x image")
        )
    rows += [
        ("limit", f"{hex_word(placement.limit)}: {placement.limit_source}"),
        ("address", arithmetic(placement)),
        *(("note", note) for note in notes),
    ]
    lines = [paint(hex_word(placement.address), "bold")]
    for label, text in rows:
        lines.append(row(label, text, "", width, paint))
    return "\n".join(lines)


def arithmetic(placement: Placement) -> str:
    """Return `0x080F4000 - (32 + 4) x 4096 = 0x080D0000`."""
    terms = [str(number) for number in (placement.sectors, placement.gap_sectors, placement.spare_sectors) if number]
    total = f"({' + '.join(terms)})" if len(terms) > 1 else terms[0]
    return f"{hex_word(placement.limit)} - {total} x {placement.target.sector_size} = {hex_word(placement.address)}"


def contents(matches: Sequence[Content], *, identifying: bool) -> str:
    """List known contents, one line each; a single one in full. `identifying`: say whether they are one variant."""
    if len(matches) == 1:
        return _content(matches[0])
    lines = []
    for content in sorted(matches, key=lambda one: (one.variants, one.published[-1].release)):
        releases = dict.fromkeys(publication.release for publication in content.published)
        size = f"{content.sectors} sectors, SRAM {content.sram2a_kib}/{content.sram2b_kib} KiB"
        lines.append(
            f"{content.sha256[:12]}  {' '.join(content.series) or '-':<9}  {content.version or '-':<10}"
            f"  {size if content.kind else 'no image':<32}  {' = '.join(content.variants)} of {' '.join(releases)}"
            + (f"; bad: {content.known_bad}" if content.known_bad else "")
        )
    variants = {content.variants for content in matches}
    told = "one variant" if len(variants) == 1 else f"{len(variants)} variants: these fields do not tell which one"
    return "\n".join([*lines, f"{len(matches)} contents" + (f", {told}" if identifying else "")])


def _content(content: Content) -> str:
    """One known content, in full."""
    lines = [
        content.sha256,
        row("is", f"{' = '.join(content.variants)}, {content.size} bytes", "", None, plain),
        row("version", content.version or "not told", "", None, plain),
        row("for", ", ".join(content.series) or "not told", "", None, plain),
        row("signed", f"by ST: {content.key}" if content.key else "not verified", "", None, plain),
    ]
    if content.kind:
        needs = f"{content.sectors} sectors; SRAM2a {content.sram2a_kib} KiB, SRAM2b {content.sram2b_kib} KiB"
        lines.append(row("needs", needs, "", None, plain))
    for one in content.published:
        addresses = ", ".join(f"{target} {address or 'NA'}" for target, address in one.addresses.items())
        where = f"{one.release} {one.path}" + (f": {addresses}" if addresses else "")
        lines.append(row("published", where, "", None, plain))
    if content.known_bad:
        lines.append(row("bad", content.known_bad, "", None, plain))
    return "\n".join(lines)


def _what(image: Image) -> str:
    """The kind and version."""
    version = image.version
    if version:
        text = f"{_KINDS[image.kind]} {version.text}"
        details = [f"branch {version.branch}"] if version.branch else []
        details += [f"build {version.build}"] if version.build else []
        text += f" ({', '.join(details)})" if details else ""
    else:
        text = f"{_KINDS[image.kind]}, version hidden{' as in FUS 1.2.0' if image.is_hidden_fus else ''}"
    if image.kind is ImageKind.UNKNOWN:
        text += f", magic {hex_word(image.footer.magic)}"
    return text + (", in the format for FUS 2 only" if image.footer.magic == FUS_2_STACK_MAGIC else "")


def _needs(assessment: Assessment) -> str:
    """What a chip must offer."""
    image, size, sectors = assessment.image, assessment.sector_size, assessment.sectors
    needs = [f"FUS {image.requires_fus.text} or later"] if image.requires_fus else []
    if size is None or sectors is None:
        needs.append(f"{image.size} bytes of flash")
    else:
        gap = f", {image.gap_sectors} more above it" if image.gap_sectors else ""
        needs.append(f"{counted(sectors, 'sector')} of {size // 1024} KiB{gap}")
    needs.append(f"SRAM2a {image.footer.sram2a_kib} KiB, SRAM2b {image.footer.sram2b_kib} KiB")
    return "; ".join(needs)


def _signed(assessment: Assessment) -> tuple[str, str]:
    """Who signed it, and the role to paint that with."""
    verdict = assessment.signature
    if verdict.status is SignatureStatus.VALID and verdict.key:
        return f"by ST: valid under {verdict.key.name}", "good"
    if verdict.status is SignatureStatus.UNVERIFIED:
        return "not verified: no key that is known matches", "error"
    return "not by ST", "error"


def _addresses(assessment: Assessment, target: Target | None) -> Iterator[tuple[bool, str]]:
    """The install addresses, one line each; the first is marked."""
    targets = list(assessment.install_addresses) if target is None else [target]
    if not targets:
        yield True, "ask `imagekit address FILE --part PART`: the footer does not tell the series"
    for index, one in enumerate(targets):
        try:
            where = hex_word(assessment.address_on(one))
        except PlacementError as error:
            where = _NOWHERE.get(error.reason, "none")
        yield index == 0, f"{one.name} {one.flash_kib:>4} KiB  {where}"


def _known(assessment: Assessment) -> str:
    """Where ST published it."""
    if assessment.known is None:
        return "unknown to the catalogue, as a newer release would be"
    first, *others = assessment.known.published
    also = f", and {len(others)} more" if others else ""
    return f"{first.variant} of {first.release}, {first.path}{also}"


def row(label: str, text: str, role: str, width: int | None, paint: Paint, indents: tuple[str, str] = ("", "")) -> str:
    """One labelled text, wrapped under itself; `indents` stand before its first line and before the others."""
    room = max(width - _LABEL_WIDTH - 2, 20) if width else 0
    first, others = indents
    lines = [first + text]
    if room:
        lines = textwrap.wrap(
            text,
            room,
            initial_indent=first,
            subsequent_indent=others,
            break_long_words=False,
            break_on_hyphens=False,
        )
    painted = [paint(line, role) for line in lines]
    indent = "\n" + " " * (_LABEL_WIDTH + 2)
    return f"  {label:<{_LABEL_WIDTH}}" + indent.join(painted)
