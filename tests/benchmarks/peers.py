"""esptool and imgtool beside imagekit, each on an image of its own format and of one size.

What each does is not the same, and the table says it: esptool compares a checksum and a SHA-256, imgtool a SHA-256 and
an ECDSA signature under the key that it is given; imagekit verifies an ECDSA signature under the keys that it has, and
applies every rule. esptool and imgtool come from PyPI into an environment that is made for the run and deleted after.
"""

import hashlib
import struct
import subprocess
import sys
import venv
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import PROGRAM, wall

# Each loads its modules, warms up, then repeats; what it prints is formatted, and goes nowhere.
_REPEATED = """
import contextlib, io, statistics, sys, time
path, key = sys.argv[1:]
{load}
def once():
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        {work}
    return time.perf_counter() - start
once()
print(statistics.median(once() for _ in range(100)))
"""
_IMAGEKIT = """
from imagekit.assessment import assess
from imagekit.image.model import Image
from imagekit.report.inspect import inspection
from imagekit.rules import findings
def look():
    with open(path, "rb") as file:
        return assess(Image.parse(file.read()))
"""
_VERSIONS = (
    "from importlib.metadata import version; "
    "print(', '.join(f'{name} {version(name)}' for name in ('esptool', 'imgtool')))"
)


@dataclass(frozen=True, slots=True)
class _Command:
    """A command that is measured."""

    name: str
    does: str
    start: tuple[str, ...]
    """The same program with nothing to do."""
    whole: tuple[str, ...]
    repeated: tuple[str, ...]
    """A program that prints the seconds of one file more, in a process that runs already."""


def measure(folder: Path, file: Path) -> None:
    """Install the peers, make their images as large as `file`, and print the table."""
    size = file.stat().st_size
    commands = (*_ours(file), *_theirs(folder, size))
    print("| command | does | a process, ms | of it, with nothing to do | one file more |")
    print("| --- | --- | ---: | ---: | ---: |")
    runs = [(wall(*one.whole), wall(*one.start)) for one in commands]
    rounds = [[(whole(), start()) for whole, start in runs] for _ in range(16)][1:]  # the first warms up
    for index, one in enumerate(commands):
        whole, start = (median(each[index][which] for each in rounds) * 1000 for which in (0, 1))
        further = float(_run(*one.repeated)) * 1000
        print(f"| {one.name} | {one.does} | {whole:.0f} | {start:.0f} | {further:.2f} |", flush=True)


def _ours(file: Path) -> tuple[_Command, ...]:
    inspect = _REPEATED.format(load=_IMAGEKIT, work="one = look(); print(inspection(path, one, findings(one), None))")
    check = _REPEATED.format(load=_IMAGEKIT, work="findings(look(), path=path)")
    return tuple(
        _Command(
            f"imagekit {name}",
            does,
            (*PROGRAM, "--version"),
            (*PROGRAM, name, str(file)),
            (sys.executable, "-c", repeated, str(file), ""),
        )
        for name, does, repeated in (
            ("inspect", "SHA-256; ECDSA under the keys that it has; every rule; prints all of it", inspect),
            ("check", "the same; prints what was found, if anything", check),
        )
    )


def _theirs(folder: Path, size: int) -> tuple[_Command, ...]:
    python, key = _environment(folder / "peers"), str(folder / "key.pem")
    esptool, imgtool = (python, "-m", "esptool"), (python, str(Path(python).with_name("imgtool")))
    print(f"\n{_run(python, '-c', _VERSIONS).strip()}; one image of {size // 1024} KiB for each\n")
    (folder / "esp32.bin").write_bytes(esp32_image(size))
    (folder / "body.bin").write_bytes(_body(size))
    _run(*imgtool, "keygen", "--type", "ecdsa-p256", "--key", key)
    _run(*imgtool, "sign", "--key", key, "--version", "1.0.0", "--header-size", "0x200", "--pad-header",
         "--slot-size", "0x200000", str(folder / "body.bin"), str(folder / "mcuboot.bin"))  # fmt: skip

    def command(
        program: tuple[str, ...], options: tuple[str, ...], file: str, does: str, load: str, work: str
    ) -> _Command:
        path, name = str(folder / file), Path(program[-1]).stem
        _run(*program, *options, path)  # its image is one that it takes
        repeated = (python, "-c", _REPEATED.format(load=load, work=work), path, key)
        return _Command(f"{name} {options[0]}", does, (*program, "version"), (*program, *options, path), repeated)

    return (
        command(
            esptool,
            ("image-info",),
            "esp32.bin",
            "checksum, SHA-256; prints header and segments",
            "from esptool.cmds import image_info",
            "image_info(path, 'esp32')",
        ),
        command(
            imgtool,
            ("dumpinfo",),
            "mcuboot.bin",
            "verifies nothing; prints header and TLVs",
            "from imgtool.dumpinfo import dump_imginfo",
            "dump_imginfo(path)",
        ),
        command(
            imgtool,
            ("verify", "--key", key),
            "mcuboot.bin",
            "SHA-256; ECDSA under the key given",
            "from imgtool import keys; from imgtool.image import Image, VerifyResult; key = keys.load(key)",
            "assert Image.verify(path, key)[0] is VerifyResult.OK",
        ),
    )


def esp32_image(size: int) -> bytes:
    """Return an image for an ESP32 with one segment: header, segment, checksum, SHA-256.

    Source: "Firmware Image Format" of esptool's documentation.
    """
    body = _body(size - 8 - 24 - 32 - 16)
    header = struct.pack("<4BI", 0xE9, 1, 2, 0x20, 0x4008_0000)
    extended = struct.pack("<B3xHB2H4xB", 0xEE, 0, 0, 0, 0xFFFF, 1)
    image = header + extended + struct.pack("<2I", 0x4008_0000, len(body)) + body
    image += bytes(-(len(image) + 1) % 16) + bytes([reduce(xor, body, 0xEF)])
    return image + hashlib.sha256(image).digest()


def _body(size: int) -> bytes:
    """Bytes that look encrypted, the same in every run; a whole number of words."""
    return hashlib.shake_128(b"imagekit").digest(size // 4 * 4)


def _environment(folder: Path) -> str:
    """Make an environment with both peers; return its Python."""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    _run(python, "-m", "pip", "install", "--quiet", "esptool", "imgtool")
    return python


def _run(*command: str) -> str:
    """Run a command that must succeed; return what it prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
