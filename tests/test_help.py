"""Help texts and hints: short, whole, with an example that would run, and with the word that was meant."""

import re

import pytest
from typer.testing import CliRunner

from imagekit.cli.program import app
from tests.support.commands import GROUPS, LEAVES, refuse_unknown


def help_of(words: tuple[str, ...], columns: int = 80) -> str:
    return CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(columns), "TERMINAL_WIDTH": ""}).stdout


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_no_line_of_a_list_of_commands_is_cut(words: tuple[str, ...]) -> None:
    listed = re.split(r"^(?:Commands|Look at an image):$", help_of(words), flags=re.MULTILINE)
    assert len(listed) == 2
    assert "..." not in listed[1]


def test_help_groups_the_commands_in_the_order_of_a_first_use() -> None:
    headings = re.findall(r"^(\S.*):$", help_of(()).partition("Options:")[2], re.MULTILINE)
    assert headings == ["Look at an image", "Plan and draw", "Validate a release", "Ship"]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_says_in_few_words_what_it_does(words: tuple[str, ...]) -> None:
    """45 characters are what a shell shows beside a completion."""
    first = help_of(words).split("\n\n")[1].strip()
    assert len(first) <= 45
    assert re.fullmatch(r"[A-Z].+\.", first)


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_an_example_of_one_line(words: tuple[str, ...]) -> None:
    examples = re.findall(r"^  Example: (.+)$", help_of(words), re.MULTILINE)
    assert examples
    for example in examples:
        assert example.startswith(f"imagekit {' '.join(words)}")
        assert f"Example: {example}" in help_of(words, columns=300)
        refuse_unknown(example.removeprefix("imagekit "))


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_help_names_values_and_not_types(words: tuple[str, ...]) -> None:
    assert not re.search(r"<\w+|\bTEXT\b|\bINTEGER\b", help_of(words))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["inpsect", "x"], "'inspect'"),
        (["bundle", "craete"], "'create'"),
        (["keys", "genrate"], "'generate'"),
        (["inspect", "--prat", "x"], "--part"),
        (["check", "--formt", "json", "x"], "--format"),
        (["explain", "WB3O1"], "WB301"),
    ],
)
def test_a_slip_gets_the_word_that_was_meant(typed: list[str], meant: str) -> None:
    import subprocess
    import sys

    result = subprocess.run([sys.executable, "-m", "imagekit", *typed], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert re.search(rf"[Dd]id you mean {meant}.*\?", result.stderr), result.stderr
    assert result.stderr.count("\n") == 1
