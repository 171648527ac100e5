"""Judge an image for one chip: python library_example.py IMAGE PART FUS_VERSION."""

import sys
from pathlib import Path

import imagekit


def judge(path: Path, part: str, fus: str) -> int:
    """Print what the image is, its install address and its defects; return 0 when it may be installed."""
    try:
        image = imagekit.Image.parse(path.read_bytes())
        chip = imagekit.Chip(target=imagekit.select_target(part), fus=imagekit.Version.from_text(fus))
    except imagekit.ImagekitError as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 4
    assessment = imagekit.assess(image)
    sys.stdout.write(f"{image.kind.value}, SHA-256 {image.sha256}\n")
    sys.stdout.write(f"signature: {assessment.signature.status.value}\n")
    findings = imagekit.findings(assessment, chip, path=str(path))
    for finding in findings:
        sys.stdout.write(f"{finding.severity.value} {finding.rule}: {finding.message}\n")
    if any(finding.severity is imagekit.Severity.ERROR for finding in findings):
        return 3
    placement = imagekit.place(image, imagekit.select_target(part), fus=chip.fus)
    sys.stdout.write(f"install address: 0x{placement.address:08X}\n")
    return 0


if __name__ == "__main__":
    sys.exit(judge(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
