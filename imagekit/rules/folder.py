"""Rules about the files of one folder (WB406, WB407)."""

from imagekit.rules.registry import Severity, declare

SAME_CONTENT = declare(
    "WB406",
    Severity.WARNING,
    "No two files of a folder have the same content",
    """Two names of one folder stand for the same bytes. ST did so where two variants are one build; elsewhere one of
    the two was overwritten by the other.""",
)
SAME_NAME = declare(
    "WB407",
    Severity.ERROR,
    "No two files of a folder have one name",
    """Two files of a folder differ in upper and lower case or in their ending alone (`.bin`, `.hex`), and hold
    different images: which one is flashed depends on the tool.""",
)
FOLDER_RULES = (SAME_CONTENT, SAME_NAME)
