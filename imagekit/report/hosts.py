"""Which stacks a host software expects: what `catalogue show --for` prints, and the line `used by` of `inspect`."""

from collections.abc import Sequence

from imagekit.catalogue import Catalogue, Content
from imagekit.hosts import HostRelease
from imagekit.report import catalogue as catalogue_report
from imagekit.report.layout import Json, Paint, plain, row, rows


def contents_for(host: HostRelease, catalogue: Catalogue) -> tuple[Content, ...]:
    """Return ST's images that a host release is tied to; empty where no release of STM32CubeWB is known for it."""
    release = f"v{host.cube}"
    return tuple(
        content
        for content in catalogue.contents.values()
        if any(
            publication.release == release and publication.variant in host.variants for publication in content.published
        )
    )


def text(hosts: Sequence[HostRelease], catalogue: Catalogue, *, width: int | None = None, paint: Paint = plain) -> str:
    """Return each release of a host software, what it needs, and ST's images of that kind."""
    pages = []
    for host in hosts:
        lines = [paint(host.title, "bold"), row("needs", _needs(host), "", width, paint)]
        if host.is_unsure:
            lines.append(row("unsure", "the sources disagree, or say it only indirectly", "warning", width, paint))
        if host.note:
            lines.append(row("note", host.note, "", width, paint))
        lines += rows("sources", host.sources, "dim", width, paint)
        matches = contents_for(host, catalogue)
        if matches:
            # A single image would be printed in full.
            lines += [f"  {line}" for line in catalogue_report.lines(matches)]
        pages.append("\n".join(lines))
    return "\n\n".join(pages)


def _needs(host: HostRelease) -> str:
    if not host.variants:
        return "no stack: it does not use the radio of STM32WB"
    variants = " or ".join(host.variants)
    if not host.cube:
        return f"{variants}; no source names a release"
    return f"{variants} of STM32CubeWB v{host.cube}"


def document(hosts: Sequence[HostRelease], catalogue: Catalogue) -> Json:
    """Return what `catalogue show --for --json` prints: the images of all, and each release with their hashes."""
    matches = {content.sha256: content for host in hosts for content in contents_for(host, catalogue)}
    entries = [
        {**host_entry(host), "contents": sorted(content.sha256 for content in contents_for(host, catalogue))}
        for host in hosts
    ]
    return {**catalogue_report.document(tuple(matches.values())), "hosts": entries}


def host_entry(host: HostRelease) -> Json:
    """Return one release of a host software."""
    return {
        "name": host.name,
        "version": host.version,
        "cube": host.cube or None,
        "variants": list(host.variants),
        "note": host.note,
        "sources": list(host.sources),
        "unsure": host.is_unsure,
    }
