"""The start-up budget: modules that a command must not load, because they cost more than the command itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagekit.__main__ import FREQUENT_COMMANDS
from imagekit.cli.program import app
from tests.support.images import FIXTURES

ROOT = FIXTURES.parent
STACK = str(Path("fixtures", "images", "stack-4k.bin"))
TOO_SLOW = {
    "asyncio",
    "ecdsa",
    "elftools",
    "email",
    "importlib.metadata",
    "intelhex",
    "lxml",
    "pdb",
    "pickle",
    "pydantic",
    "pylink",
    "rich",
    "ssl",
}
CONSTRUCT = {"pdb": "construct.debug imports it", "pickle": "construct.core imports it"}
VERSIONS = {
    "pylink": "--version prints the version of the J-Link library, which pylink finds",
    "importlib.metadata": "--version prints the version of pylink-square",
    "email": "importlib.metadata reads its files with it",
}
COMMANDS = [
    (["imagekit", "--version"], {}),
    (["imagekit", "inspect", STACK], CONSTRUCT),
    (["imagekit", "check", STACK], CONSTRUCT),
    (["imagekit", "address", STACK, "--part", "STM32WB55RG"], CONSTRUCT),
    (["flasher", "--version"], VERSIONS),
]


def loaded(command: list[str]) -> set[str]:
    """Return the modules that a command imports, in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(("command", "allowed"), COMMANDS, ids=[" ".join(command[:2]) for command, _ in COMMANDS])
def test_a_command_loads_no_slow_module(command: list[str], allowed: dict[str, str]) -> None:
    modules = loaded(command)
    assert command[0] in modules
    assert sorted(modules & TOO_SLOW - allowed.keys()) == []


def test_version_needs_no_command_line() -> None:
    assert "typer" not in loaded(["imagekit", "--version"])


def test_frequent_command_loads_no_other_command() -> None:
    modules = loaded(["imagekit", "inspect", STACK])
    assert "imagekit.report.inspect" in modules
    assert modules.isdisjoint({"imagekit.cli.program", "imagekit.cli.outputs", "imagekit.embedded"})


def test_each_frequent_command_is_in_its_module() -> None:
    modules = {
        command.name or command.callback.__name__: command.callback.__module__
        for command in app.registered_commands
        if command.callback is not None
    }
    assert {name: modules[name] for name in FREQUENT_COMMANDS} == {
        name: f"imagekit.cli.{module}" for name, module in FREQUENT_COMMANDS.items()
    }


@pytest.mark.parametrize("name", FREQUENT_COMMANDS)
def test_frequent_command_has_its_whole_help(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "imagekit", name, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"imagekit {name}" in result.stdout
