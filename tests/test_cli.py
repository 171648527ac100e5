"""The command line as scripts and people use it: exit codes, streams, awkward inputs."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import imagekit
from imagekit.cli import console
from imagekit.cli.program import app
from imagekit.targets import LARGEST_FLASH
from tests.support.images import IMAGES, content, throw_away_keys

STACK = str(IMAGES / "stack-4k.bin")


def run(*arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=stdin, env=env)


def spawn(*arguments: str, line: str = "{}", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the real program in a shell line; {} is the program with its arguments."""
    program = " ".join(f"'{part}'" for part in (sys.executable, "-m", "imagekit", *arguments))
    return subprocess.run(
        ["bash", "-c", "set -o pipefail; " + line.format(program)],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, **(env or {})},
    )


def documents(result: Result) -> list[dict[str, object]]:
    return json.loads(result.stdout)["images"]  # type: ignore[no-any-return]


def test_version() -> None:
    assert run("--version").stdout == f"imagekit {imagekit.__version__}\n"


def test_the_flasher_says_its_version() -> None:
    from flasher.cli import app as flasher

    assert (
        CliRunner().invoke(flasher, ["--version"]).stdout.startswith(f"flasher {imagekit.__version__} (pylink-square ")
    )


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"], ["address", "-h"]])
def test_help(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert "Usage" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["inspect"], "Missing argument"),
        (["address", STACK], "Missing option '--part'"),
        (["inspect", STACK, "--part", "STM32WB55"], "its last letter is the flash size"),
        (["address", STACK, "-p", "wb55rg", "--fus", "two"], "write it as 1.2.0"),
        (["address", STACK, "-p", "wb55rg", "--sfsa", "F4"], "write it as 244 or 0xF4"),
        (["address", STACK, "-p", "wb55rg", "--sfsa", "-1"], "write it as 244 or 0xF4"),
        (["address", STACK, "-p", "wb55rg", "--sfsa", ""], "'' is not a number"),
        (["address", STACK, "-p", "wb55rg", "--fus", ""], "no firmware version ''"),
        (["inspect", STACK, "-p", ""], "unknown part or board ''"),
        (["inspekt", STACK], "No such command"),
        (["inspect", "--frobnicate", STACK], "No such option"),
    ],
)
def test_wrong_usage_is_2(arguments: list[str], words: str) -> None:
    result = run(*arguments, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_of_several_files_the_worst_decides_the_code() -> None:
    result = run("inspect", STACK, str(IMAGES / "empty.bin"), str(IMAGES / "fus-2.2.0.bin"))
    assert result.exit_code == 4
    assert result.stdout.count("sha256") == 2
    assert result.stderr == f"imagekit: {IMAGES / 'empty.bin'}: the file is empty (0 bytes)\n"


def test_findings_alone_do_not_fail_inspect() -> None:
    assert run("inspect", str(IMAGES / "unknown-magic.bin")).exit_code == 0


def test_json_of_several_files_is_one_document_in_their_order() -> None:
    names = [*(str(IMAGES / f"{stem}.bin") for stem in ("fus-2.2.0", "empty", "stack-4k")), "missing.bin"]
    result = run("inspect", "--json", *names)
    assert result.exit_code == 4
    assert [entry["path"] for entry in documents(result)] == names
    assert [entry["kind"] for entry in documents(result)] == ["fus", None, "stack", None]
    assert documents(result)[3]["error"] == {"reason": "unreadable", "message": "no such file or directory"}
    assert documents(result)[3]["size"] is None


def test_part_narrows_the_addresses_to_one() -> None:
    result = run("inspect", "--json", STACK, "--part", "wb55ce")
    assert documents(result)[0]["install_addresses"] == {"STM32WB5xxE": "0x0807F000"}


def test_part_of_another_series_is_a_finding() -> None:
    entry = documents(run("inspect", "--json", STACK, "--part", "wb15cc"))[0]
    assert entry["install_addresses"] == {"STM32WB1xxC": None}
    assert "WB301" in json.dumps(entry["findings"])


def test_standard_input() -> None:
    result = run("inspect", "--json", "-", stdin=content("stack-4k"))
    assert documents(result)[0]["path"] == "-"
    assert documents(result)[0]["kind"] == "stack"
    assert run("address", "-", "-p", "wb55rg", stdin=content("stack-4k")).stdout.startswith("0x080F3000\n")
    empty = run("inspect", "-", stdin=b"")
    assert (empty.exit_code, empty.stderr) == (4, "imagekit: standard input: the file is empty (0 bytes)\n")


def test_the_address_stands_alone_on_the_first_line() -> None:
    result = run("address", STACK, "--part", "STM32WB55RGV6")
    assert result.stdout.splitlines()[0] == "0x080F3000"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((STACK, "-p", "wb55rg", "--fus", "0.5.3"), 0, "0x080F6000 - 1 x 4096 = 0x080F5000"),
        ((STACK, "-p", "wb55rg", "--sfsa", "0xCB"), 0, "SFSA 0xCB: a stack that is no smaller is installed"),
        ((str(IMAGES / "stack-fus2-4k.bin"), "-p", "wb55rg", "--fus", "2.1.0"), 0, "needs     FUS 2.0.0 or later"),
        ((str(IMAGES / "stack-fus2-4k.bin"), "-p", "wb55rg", "--fus", "1.2.0"), 3, "needs FUS 2.0.0 or later"),
        ((str(IMAGES / "stack-larger-than-256k.bin"), "-p", "wb55cc"), 3, "does not fit"),
        ((STACK, "-p", "wb15cc"), 3, "is for WB3x or WB5x"),
        ((str(IMAGES / "web-page.bin"), "-p", "wb55rg"), 4, "web page"),
        (("missing.bin", "-p", "wb55rg"), 4, "no such file"),
    ],
)
def test_address(arguments: tuple[str, ...], code: int, words: str) -> None:
    result = run("address", *arguments)
    assert result.exit_code == code
    assert words in result.output
    assert bool(result.stdout) == (code == 0)


def test_a_key_of_another_series_gets_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.images import throw_away_keys

    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    result = run("address", str(IMAGES / "signed-by-wb3x-early.bin"), "-p", "wb55rg")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "WB301 signed with test-wb3x-early, a key for WB3x, not WB5x" in result.stderr


def test_every_option_has_an_environment_variable() -> None:
    env = {"IMAGEKIT_PART": "wb55rg", "IMAGEKIT_SFSA": "0xCB", "IMAGEKIT_FUS": "1.2.0", "IMAGEKIT_JSON": "1"}
    assert json.loads(run("address", STACK, env=env).stdout)["address"] == "0x080CA000"
    assert list(documents(run("inspect", STACK, env=env))[0]["install_addresses"]) == ["STM32WB5xxG"]  # type: ignore[call-overload]


def test_a_directory_is_named_as_one(tmp_path: Path) -> None:
    result = run("inspect", str(tmp_path))
    assert result.exit_code == 4
    assert result.stderr == f"imagekit: {tmp_path}: is a directory: name the files in it, or use `imagekit check`\n"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret.bin"
    file.touch(mode=0)
    result = run("inspect", str(file))
    assert (result.exit_code, result.stderr) == (4, f"imagekit: {file}: permission denied\n")


@pytest.mark.parametrize("name", ["with space.bin", "größe-蓝牙.bin", "-dash.bin"])
def test_awkward_names(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content("stack-4k"))
    assert documents(run("inspect", "--json", str(file)))[0]["path"] == str(file)
    assert run("inspect", str(file)).stdout.splitlines()[1] == f"  file      {file}"


def test_a_name_that_starts_with_a_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-dash.bin").write_bytes(content("stack-4k"))
    assert run("inspect", "--", "-dash.bin").stdout.startswith(
        "wireless stack 1.13.3 (build 5)\n  file      -dash.bin\n"
    )


def test_one_entry_for_each_name_and_standard_input_once_only() -> None:
    assert len(documents(run("inspect", "--json", STACK, STACK))) == 2
    twice = run("inspect", "--json", "-", "-", stdin=content("stack-4k"), env={"COLUMNS": "200"})
    assert twice.exit_code == 2
    assert "standard input can be read only once" in twice.stderr


def test_a_part_cannot_break_the_text() -> None:
    assert "  target    WB55RG: STM32WB5xxG" in run("address", STACK, "-p", "\nWB55RG\t").stdout


def test_the_text_of_one_part_has_one_address() -> None:
    text = run("inspect", STACK, "-p", "wb55ce").stdout
    assert "STM32WB5xxE  512 KiB  0x0807F000" in text
    assert "STM32WB5xxG" not in text


@pytest.mark.parametrize(
    ("name", "part", "words"),
    [
        ("stack-4k", "wb15cc", "STM32WB1xxC  320 KiB  not for this series"),
        ("stack-larger-than-256k", "wb55cc", "STM32WB5xxC  256 KiB  does not fit"),
        ("sector-count-too-small", "wb55rg", "STM32WB5xxG 1024 KiB  0x080F2000"),
        ("unknown-magic", "wb55rg", "STM32WB5xxG 1024 KiB  unknown"),
    ],
)
def test_a_missing_address_is_explained_per_part(name: str, part: str, words: str) -> None:
    assert words in run("inspect", str(IMAGES / f"{name}.bin"), "-p", part).stdout


def test_branch_and_build_are_shown(tmp_path: Path) -> None:
    data = bytearray(content("stack-4k"))
    data[-104 + 12] = 0x7B
    (tmp_path / "x.bin").write_bytes(data)
    assert "wireless stack 1.13.3 (branch 7, build 11)" in run("inspect", str(tmp_path / "x.bin")).stdout


def test_a_name_cannot_steer_the_terminal() -> None:
    result = run("inspect", "evil\x1b[31m\nimagekit: fine.bin")
    assert result.stderr == "imagekit: evil\\x1b[31m\\nimagekit: fine.bin: no such file or directory\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such names")
def test_a_file_name_that_is_not_text_is_shown(tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/\xff.bin"
    Path(os.fsdecode(file)).write_bytes(content("stack-4k"))
    result = spawn("inspect", line="{} $'" + str(tmp_path) + "/\\xff.bin'", env={"LC_ALL": "C.UTF-8"})
    assert result.returncode == 0
    assert "\ufffd.bin" in result.stdout.decode()


def test_a_huge_file_is_read_only_as_far_as_needed(tmp_path: Path) -> None:
    file = tmp_path / "huge.bin"
    with file.open("wb") as huge:
        huge.truncate(1 << 40)
    result = run("inspect", "--json", str(file))
    assert result.exit_code == 4
    (entry,) = documents(result)
    assert entry["size"] == 1 << 40
    assert entry["sha256"] is None
    assert entry["error"]["reason"] == "too-large"  # type: ignore[index]


def test_a_huge_standard_input_has_no_known_size() -> None:
    (entry,) = documents(run("inspect", "--json", "-", stdin=bytes(LARGEST_FLASH + 5)))
    assert (entry["size"], entry["sha256"]) == (None, None)


def test_200_files_at_once(tmp_path: Path) -> None:
    files = []
    for index in range(200):
        files.append(str(tmp_path / f"{index}.bin"))
        Path(files[-1]).write_bytes(content("stack-2k"))
    result = run("inspect", "--json", *files)
    assert [entry["path"] for entry in documents(result)] == files


def test_piped_output_is_plain_and_not_wrapped() -> None:
    result = spawn("inspect", STACK)
    assert result.returncode == 0
    assert b"\x1b" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) > 100


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colour_and_its_width(env: dict[str, str], coloured: bool) -> None:
    result = spawn(
        "inspect",
        STACK,
        line='script -qec "$(cat <<"LINE"\n{}\nLINE\n)" /dev/null',
        env={"COLUMNS": "60", "TERM": "xterm", **env},
    )
    lines = result.stdout.decode().replace("\r", "").splitlines()
    assert result.returncode == 0, result
    assert ("\x1b[31m" in result.stdout.decode()) == coloured
    assert all(len(line) < 75 for line in lines if "sha256" not in line and STACK not in line)


@pytest.mark.parametrize("arguments", [("inspect", STACK), ("inspect", "--json", STACK), ("--help",)])
def test_a_reader_that_stops_is_not_an_error(arguments: tuple[str, ...]) -> None:
    result = spawn(*arguments, line="{} | true")
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line() -> None:
    result = spawn("inspect", STACK, line="{} >/dev/full")
    assert result.returncode == 4
    assert result.stderr == b"imagekit: standard output: no space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("more", [(), (STACK,)], ids=["alone", "among others"])
def test_ctrl_c_is_130_without_a_traceback(tmp_path: Path, more: tuple[str, ...]) -> None:
    pipe = tmp_path / "never"
    os.mkfifo(pipe)
    program = subprocess.Popen(
        [sys.executable, "-m", "imagekit", "inspect", str(pipe), *more],
        stderr=subprocess.PIPE,
        # Who starts us with SIGINT ignored (nohup, a background job) would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    writer = os.open(pipe, os.O_WRONLY)  # returns when the program has opened the other end: it waits for us now
    program.send_signal(signal.SIGINT)
    _, stderr = program.communicate(timeout=30)
    os.close(writer)
    assert (program.returncode, stderr) == (130, b"imagekit: interrupted\n")


@pytest.mark.parametrize("program", ["imagekit", "flasher"])
def test_ctrl_c_while_loading_is_one_line(program: str) -> None:
    code = f"""
import sys
class CtrlC:
    def find_spec(self, name, *others):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, CtrlC())
from {program}.__main__ import main
main()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (130, f"{program}: interrupted\n")


def test_a_defect_of_ours_is_one_line_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("imagekit.assessment.assess", broken)
    monkeypatch.setattr(sys, "argv", ["imagekit", "inspect", STACK])
    assert console._exit_code(app, "imagekit", is_completing=False) == 1
    assert capsys.readouterr().err == (
        "imagekit: RuntimeError: boom: this is a defect of imagekit. Run 'imagekit --debug ...' to see where.\n"
    )


def test_wrong_usage_is_one_line() -> None:
    result = spawn("inspect", "--frobnicate", STACK)
    assert (result.returncode, result.stdout) == (2, b"")
    # The words are typer's, and differ a little between its versions; the form is ours.
    assert re.fullmatch(
        rb"imagekit: No such option:? \W*--frobnicate\W+ Try 'imagekit inspect --help'\.\n", result.stderr
    )


def test_no_command_shows_the_help_and_is_wrong_usage() -> None:
    result = spawn()
    assert result.returncode == 2
    assert b"Usage: imagekit" in result.stdout


@pytest.mark.parametrize("line", ["{} >&-", "{} 2>&-", "{} <&-", "{} >&- 2>&- <&-"])
def test_closed_streams_are_not_a_defect(line: str) -> None:
    assert spawn("inspect", STACK, line=line).returncode == 0


def test_closed_standard_input_is_unreadable() -> None:
    result = spawn("inspect", "-", line="{} <&-")
    assert (result.returncode, result.stderr) == (4, b"imagekit: standard input: standard input is closed\n")


def test_a_closed_standard_error_is_not_an_error() -> None:
    assert spawn("inspect", "missing", line="{} 2>&1 | true").returncode == 4
    if Path("/dev/full").exists():
        assert spawn("inspect", "missing", line="{} 2>/dev/full").returncode == 4


@pytest.mark.parametrize("command", [("inspect", "missing.bin"), ("address", "missing.bin", "-p", "wb55rg")])
def test_debug_shows_the_traceback_and_the_same_exit_code(command: tuple[str, ...]) -> None:
    result = run("--debug", *command)
    assert result.exit_code == 4
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("imagekit: missing.bin: no such file or directory\n")


def test_start_up_does_not_import_what_the_version_does_not_need() -> None:
    code = "import sys, imagekit.cli; print(sorted({'construct', 'cryptography'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"


PLAIN = str(IMAGES / "stack-4k.bin")


@pytest.mark.parametrize(
    ("options", "address", "is_noted"),
    [
        ((), "0x080F3000", True),
        (("--had-fus2-stack",), "0x080EF000", False),
        (("--fus", "2.2.0", "--sfsa", "0xF0"), "0x080EF000", False),
        (("--fus", "2.2.0", "--sfsa", "0xF4"), "0x080F3000", False),
        (("--fus", "1.2.0"), "0x080F3000", False),
    ],
)
def test_address_knows_or_notes_room_for_bonding_data(
    options: tuple[str, ...], address: str, is_noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    result = CliRunner().invoke(app, ["address", PLAIN, "-p", "WB55RG", *options])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == address
    assert ("--had-fus2-stack" in result.stdout) is is_noted
