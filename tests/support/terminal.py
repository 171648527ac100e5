"""Run the flasher on a real pseudo-terminal of a given width, and read the screen that a person sees."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

from tests.support.images import FIXTURES

_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


@dataclass(frozen=True)
class OnTerminal:
    """What came of a run: `raw` is every byte that the terminal received, `screen` the lines that stay on it."""

    code: int
    stdout: str
    raw: str
    screen: list[str]


def run_on_terminal(
    *arguments: str,
    columns: int = 80,
    typed: bytes = b"",
    env: dict[str, str] | None = None,
    folder: Path | None = None,
) -> OnTerminal:
    """Run `flasher` with a terminal as standard input and standard error; standard output is a pipe."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    os.write(parent, typed)
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-m", "flasher", *arguments], stdin=child, stdout=subprocess.PIPE, stderr=child, cwd=folder,
        env={**clean, "PYTHONPATH": str(FIXTURES.parent), "TERM": "xterm-256color", **(env or {})},
    )  # fmt: skip
    os.close(child)
    shown = _read_all(parent)
    os.close(parent)
    stdout = process.communicate(timeout=60)[0]
    raw = shown.decode("utf-8", "replace")
    return OnTerminal(process.returncode, stdout.decode(), raw, screen_of(raw))


def _read_all(terminal: int) -> bytes:
    """Read until the program has closed the terminal."""
    shown = b""
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        if not ready:
            return shown
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: the other end is closed
            return shown
        if not part:
            return shown
        shown += part


def screen_of(raw: str) -> list[str]:
    """Return the lines that stay: moves up, erased lines and carriage returns are carried out, colours left out."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(raw):
        control = _CONTROL.match(raw, at)
        if control is not None:
            at = control.end()
            if control[2] == "A":
                row = max(0, row - int(control[1] or 1))
            elif control[2] == "K":
                lines[row] = ""
            continue
        char = raw[at]
        at += 1
        if char == "\r":
            column = 0
        elif char == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        else:
            lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
