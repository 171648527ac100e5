"""JUnit XML, which build servers show as tests: one test case for each file; a refused file is a failed test."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from xml.etree import ElementTree as ET

from imagekit.report.check import Entry, Located
from imagekit.rules.check import FileVerdict
from imagekit.rules.registry import Severity
from imagekit.text import printable

_ELEMENTS = {FileVerdict.REFUSED: "failure", FileVerdict.UNREADABLE: "error"}
# XML 1.0, section 2.2: a document can hold no other character. DEL and C1, which terminals act on, are excluded too.
_NOT_XML = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(name: str, entries: Sequence[Entry]) -> str:
    """Return a JUnit document with one suite of that name."""
    verdicts = [entry.verdict for entry in entries]
    counts = {
        "tests": len(entries),
        "failures": verdicts.count(FileVerdict.REFUSED),
        "errors": verdicts.count(FileVerdict.UNREADABLE),
    }
    numbers = {key: str(count) for key, count in counts.items()}
    root = ET.Element("testsuites", numbers)
    suite = ET.SubElement(root, "testsuite", {"name": name, **numbers})
    for entry in entries:
        path = PurePath(entry.path)
        case = ET.SubElement(suite, "testcase", {"classname": _xml(path.parent.as_posix()), "name": _xml(path.name)})
        errors = [finding for finding in entry.findings if finding.severity is Severity.ERROR]
        others = [finding for finding in entry.findings if finding.severity is not Severity.ERROR]
        if element := _ELEMENTS.get(entry.verdict):
            text = "\n".join(_line(finding) for finding in errors)
            worst = (errors or others)[0]
            first = {"type": worst.rule, "message": _xml(worst.message)}
            ET.SubElement(case, element, first).text = _xml(text)
        if others:
            text = "\n".join(f"{finding.severity.value}: {_line(finding)}" for finding in others)
            ET.SubElement(case, "system-out").text = _xml(text)
    ET.indent(root)
    # In ASCII with character references, so that the declared encoding is right for every output.
    document: bytes = ET.tostring(root, encoding="us-ascii", xml_declaration=True)
    return document.decode("ascii")


def _line(finding: Located) -> str:
    """Return a finding in one line, with its place in the release notes."""
    where = f"{finding.path}:{finding.line}: " if finding.line else ""
    return f"{finding.rule} {where}{finding.message}"


def _xml(text: str) -> str:
    lines = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")
    return "\n".join(printable(line) for line in lines)
