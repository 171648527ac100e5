"""JUnit XML: what build servers show as tests. One test case for each file; a refused file is a failure.

The element order and attributes are those of Maven Surefire 3 and of Jenkins' JUnit schema.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath
from xml.etree import ElementTree as ET

from imagekit.report.check import Entry, Located
from imagekit.rules.check import FileVerdict
from imagekit.rules.registry import Severity
from imagekit.text import printable

_ELEMENTS = {FileVerdict.REFUSED: "failure", FileVerdict.UNREADABLE: "error"}
# XML 1.0, section 2.2: other characters are not allowed in a document. Nor any that a terminal interprets: DEL and C1.
_NOT_XML = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(name: str, entries: Sequence[Entry], duration_s: float = 0.0) -> str:
    """Return a JUnit document with one suite of that name. A file is skipped when a waiver accepts its errors."""
    verdicts = [entry.verdict for entry in entries]
    numbers = {
        "tests": str(len(entries)),
        "failures": str(verdicts.count(FileVerdict.REFUSED)),
        "errors": str(verdicts.count(FileVerdict.UNREADABLE)),
        "skipped": str(sum(_is_skipped(entry) for entry in entries)),
        "time": f"{duration_s:.3f}",
    }
    suite = ET.Element("testsuite", {"name": name, **numbers})
    for entry in entries:
        _add_case(suite, entry, name)
    ET.indent(suite)
    # ASCII with character references is valid in every encoding that the output may get.
    document: bytes = ET.tostring(suite, encoding="us-ascii", xml_declaration=True)
    return document.decode("ascii")


def _add_case(suite: ET.Element, entry: Entry, name: str) -> None:
    path = PurePath(entry.path)
    attributes = {"classname": _xml(path.parent.as_posix()) or name, "name": _xml(path.name), "time": "0.000"}
    case = ET.SubElement(suite, "testcase", attributes)
    errors = [finding for finding in entry.findings if finding.is_failure]
    if entry.verdict in _ELEMENTS:
        first = errors[0]
        element = ET.SubElement(case, _ELEMENTS[entry.verdict], {"message": _xml(first.message), "type": first.rule})
        element.text = _xml("\n".join(_line(finding) for finding in errors))
    elif _is_skipped(entry):
        ET.SubElement(case, "skipped", {"message": _xml("; ".join(_waived_errors(entry)))})
    others = [finding for finding in entry.findings if finding not in errors]
    if others:
        text = "\n".join(f"{_label(finding)}: {_line(finding)}" for finding in others)
        ET.SubElement(case, "system-out").text = _xml(text)


def _is_skipped(entry: Entry) -> bool:
    return entry.verdict is FileVerdict.ACCEPTED and bool(_waived_errors(entry))


def _waived_errors(entry: Entry) -> list[str]:
    return [
        f"{finding.rule} waived: {finding.waived}"
        for finding in entry.findings
        if finding.waived is not None and finding.severity is Severity.ERROR
    ]


def _label(finding: Located) -> str:
    return finding.severity.value if finding.waived is None else "waived"


def _line(finding: Located) -> str:
    """A finding in one line, with its place in the release notes."""
    text = f"{finding.rule} {finding.message}"
    if finding.line:
        text = f"{finding.rule} {finding.path}:{finding.line}: {finding.message}"
    if finding.waived is not None:
        text += f" (waived: {finding.waived})"
    return text


def _xml(text: str) -> str:
    lines = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")
    return "\n".join(printable(line) for line in lines)
