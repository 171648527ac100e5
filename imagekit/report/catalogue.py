"""What `catalogue show` prints: text, whose words may change, and JSON, whose members may not (docs/json.md)."""

from collections.abc import Sequence

from imagekit.catalogue import Content
from imagekit.report.layout import plain, row


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
