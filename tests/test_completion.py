"""What a shell asks for when somebody presses Tab, and what it gets: docs/completion.md."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a program as its entry point does, without arguments: a shell asks in the environment."""
    start = {"imagekit": "imagekit.__main__", "flasher": "flasher.cli"}[program]
    code = f"import sys; sys.argv = ['{program}']; from {start} import main; main()"
    env = {name: value for name, value in os.environ.items() if "COMPLETE" not in name} | environment
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)


def ask(shell: str, line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Ask as that shell does for what may stand at the end of a line."""
    program, words = line.split(maxsplit=1)[0], line.split(" ")
    asked = {
        f"_{program.upper()}_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1],
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    return run(program, **asked | more)


LINES = [
    ("imagekit ins", ["inspect"]),
    ("imagekit explain WB30", ["WB301", "WB302", "WB303", "WB304", "WB305", "WB306", "WB307"]),
    ("flasher si", ["sim"]),
    # What shells do not differ in is asked for in one of them.
    ("imagekit bundle ver", ["verify"]),
    ("imagekit inspect --pa", ["--part"]),
    ("imagekit check --format sa", ["sarif"]),
    ("imagekit inspect -p STM32WB1M", ["STM32WB1MMC"]),
    ("imagekit inspect --part wb30", ["wb30ce"]),
    ("imagekit --debug key", ["keys"]),
]


@pytest.mark.parametrize(
    ("shell", "line", "words"),
    [(shell, *case) for shell in SHELLS for case in (LINES if shell == "bash" else LINES[:3])],
)
def test_a_shell_is_offered_what_fits(shell: str, line: str, words: list[str]) -> None:
    result = ask(shell, line)
    assert (result.returncode, result.stderr) == (0, "")
    if shell == "zsh":
        assert all(f'"{word}"' in result.stdout for word in words)
        assert result.stdout.count("\n") == len(words)
    else:
        separator = {"fish": "\t"}.get(shell, ":::")
        assert [found.split(separator)[0] for found in result.stdout.splitlines()] == words


@pytest.mark.parametrize("shell", SHELLS)
def test_where_a_file_belongs_the_shell_is_left_to_offer_files(shell: str) -> None:
    result = ask(shell, "imagekit check rel")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip() == ("_files" if shell == "zsh" else "")


@pytest.mark.parametrize(("line", "code"), [("imagekit ins", 0), ("imagekit check rel", 1), ("flasher si", 0)])
def test_fish_learns_from_the_exit_code_whether_files_are_wanted(line: str, code: int) -> None:
    assert ask("fish", line, _TYPER_COMPLETE_FISH_ACTION="is-args").returncode == code


@pytest.mark.parametrize("program", ["imagekit", "flasher"])
@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_its_script(shell: str, program: str) -> None:
    result = run(program, **{f"_{program.upper()}_COMPLETE": f"source_{shell}"})
    assert (result.returncode, result.stderr) == (0, "")
    assert f"_{program.upper()}_COMPLETE" in result.stdout
    assert program in result.stdout


def programs(folder: Path) -> dict[str, str]:
    """An environment in which `imagekit` is a program on the path."""
    program = folder / "imagekit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imagekit "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_itself_completes(tmp_path: Path) -> None:
    script = """
        eval "$(_IMAGEKIT_COMPLETE=source_bash imagekit)"
        complete -p imagekit
        for words in "imagekit con" "imagekit bundle sh" "imagekit check --format j" "imagekit address -p STM32WB5M"; do
            COMP_WORDS=($words); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
            _imagekit_completion imagekit
            echo "${COMPREPLY[*]}"
        done
    """
    command = ["bash", "--norc", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=programs(tmp_path))
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "complete -o default -F _imagekit_completion imagekit",
        *("convert", "show", "json junit", "STM32WB5MMG"),
    ]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_itself_completes(tmp_path: Path) -> None:
    script = "_IMAGEKIT_COMPLETE=source_fish imagekit | source; complete -C 'imagekit con'"
    command = ["fish", "--no-config", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=programs(tmp_path))
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["convert"]
