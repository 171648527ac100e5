"""Patterns for files in waivers: what they match, and that none takes long."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagekit.rules.waivers import _fits


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*.bin", "a.bin", True),
        ("*.bin", "a/b.bin", False),
        ("**/*.bin", "b.bin", True),
        ("**/*.bin", "a/b/c.bin", True),
        ("a/**", "a/b/c", True),
        ("a/?.bin", "a/b.bin", True),
        ("a?b", "a/b", False),
        ("a", "ab", False),
        ("", "", True),
        ("a.b", "axb", False),
    ],
)
def test_a_pattern_matches_whole_paths(pattern: str, text: str, *, fits: bool) -> None:
    assert _fits(pattern, text) is fits


@settings(max_examples=300)
@given(st.text("ab/*?.\n", max_size=8), st.text("ab/.\n", max_size=8))
def test_a_pattern_is_what_its_regular_expression_says(pattern: str, text: str) -> None:
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    expression = "".join(special.get(part, re.escape(part)) for part in parts)
    assert _fits(pattern, text) is bool(re.fullmatch(expression, text, re.DOTALL))


def test_a_pattern_of_many_wildcards_ends_soon() -> None:
    assert not _fits("**a" * 100 + "**/Z", "a" * 4000)
