"""Options in general: repeated, from the environment, completed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from flasher.cli import app as flasher
from imagekit.cli.command_line import prepared
from imagekit.cli.program import app as imagekit
from tests.support.bundles import BUNDLES, public_file
from tests.support.commands import COMMANDS
from tests.support.images import IMAGES

STACK = str(IMAGES / "stack-4k.bin")


def single_options(app: typer.Typer, program: str) -> Iterator[tuple[str, tuple[str, ...], list[str]]]:
    """Every option that takes one value or none: the program, the words of its command, and the option with a value."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], list[str]]]:
        for parameter in command.params:
            is_option = parameter.param_type_name == "option"
            if is_option and not parameter.multiple and not parameter.is_eager:
                value = [] if parameter.is_flag else ["1"]
                yield program, words, [max(parameter.opts, key=len), *value]
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*words, name))

    yield from walk(typer.main.get_command(prepared(app)), ())


OPTIONS = [*single_options(imagekit, "imagekit"), *single_options(flasher, "flasher")]
APPS = {"imagekit": imagekit, "flasher": flasher}


def test_there_are_options_in_both_programs() -> None:
    assert len([program for program, *_ in OPTIONS if program == "imagekit"]) > 40
    assert len([program for program, *_ in OPTIONS if program == "flasher"]) > 10


@pytest.mark.parametrize(
    ("program", "words", "option"), OPTIONS, ids=[" ".join((one[0], *one[1], one[2][0])) for one in OPTIONS]
)
def test_an_option_is_not_repeated(program: str, words: tuple[str, ...], option: list[str]) -> None:
    result = CliRunner().invoke(APPS[program], [*words, *option, *option])
    assert result.exit_code == 2
    assert f"Invalid value for {option[0]}: given 2 times; it can be given once" in " ".join(result.stderr.split())


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imagekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_a_left_over_completion_variable_does_not_hide_a_refusal() -> None:
    bad, key = str(BUNDLES / "image-altered.wbz"), str(public_file("p256"))
    result = run("bundle", "verify", bad, "--trust", key, _IMAGEKIT_COMPLETE="complete_bash")
    assert (result.returncode, result.stdout) == (3, "")


def test_a_list_from_the_environment_has_path_separators() -> None:
    parts = os.pathsep.join(("STM32WB15CC", "STM32WB55RG"))
    result = CliRunner().invoke(imagekit, ["check", STACK], env={"IMAGEKIT_PART": parts})
    assert "WB301 STM32WB15CC: " in result.stdout


def test_a_waiver_is_never_taken_from_the_environment() -> None:
    create = COMMANDS["bundle", "create"]
    assert [parameter.envvar for parameter in create.params if parameter.name == "waive"] == [None]


@pytest.mark.parametrize("version", ["1.2.0", "v1.2.0", "0x01020000"])
def test_a_fus_version_is_accepted_in_every_spelling(version: str) -> None:
    result = CliRunner().invoke(imagekit, ["map", STACK, "--part", "STM32WB55RG", "--fus", version])
    assert "FUS 1.2.0" in result.stdout


@pytest.mark.parametrize(("variable", "has_colours"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_colours_follow_the_environment(variable: str, has_colours: bool) -> None:
    result = run("inspect", STACK, **{"NO_COLOR": "", "FORCE_COLOR": "", variable: "1"})
    assert ("\x1b[1m" in result.stdout) is has_colours
