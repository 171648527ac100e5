"""Every cell of docs/exit-codes.md, run once; what else leads there is tested with each command."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flasher.cli import app as flasher
from imagekit.cli.program import app
from imagekit.errors import ExitCode
from tests.support.bundles import BUNDLES, public_file
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.images import FIXTURES, IMAGES

STACK, OTHER, TEXT = (str(IMAGES / f"{name}.bin") for name in ("stack-4k", "fus-2.2.0", "text"))
WB55, WB15 = ("--part", "STM32WB55RG"), ("--part", "STM32WB15CC")
GOOD, BAD, KEY = str(BUNDLES / "good-p256.wbz"), str(BUNDLES / "image-altered.wbz"), str(public_file("p256"))
ST = str(CORPUS / "v1.23.0/STM32WB5x/stm32wb5x_BLE_HCILayer_fw.bin")
CLEAN, FAULTY = str(CORPUS / "v1.22.1/STM32WB1x"), str(CORPUS / "v1.6.0")
PLAN = ("plan", *WB55, "--fus", "1.2.0")

CODES = {
    0: [
        ("inspect", STACK),
        ("address", STACK, *WB55),
        ("map", STACK, *WB55),
        ("convert", STACK, "new.hex", *WB55),
        ("diff", STACK, OTHER),
        ("doctor", "BLE does not start"),
        ("rules",),
        ("explain", "WB201"),
        ("explain", "--option-bytes", "SFSA=0xF4", *WB55),
        ("keys", "generate", "new.pem"),
        ("keys", "show", KEY),
        ("keys", "recover", STACK, OTHER),
        ("catalogue", "show", "--series", "WB5x"),
    ],
    2: [
        (),
        ("address", STACK),
        ("address", STACK, "--part", "STM32WB99"),
        ("explain", "nonsense"),
        (*PLAN, STACK, str(IMAGES / "stack-larger-than-256k.bin")),
        ("check", STACK, "--format", "nonsense"),
    ],
    3: [
        ("address", STACK, *WB15),
        (*PLAN, STACK),
        ("map", STACK, *WB15),
        ("convert", STACK, "new.hex", *WB15),
        ("check", STACK),
        ("diff", BAD, GOOD),
        ("doctor", "--option-bytes", "SFSA=0x00", *WB55),
        ("explain", "--option-bytes", "SFSA=0x00", *WB55),
        ("bundle", "create", "new.wbz", STACK, *WB55),
        ("bundle", "verify", BAD, "--trust", KEY),
        ("bundle", "extract", BAD, "new", "--trust", KEY),
        ("bundle", "show", BAD),
        ("bundle", "payload", BAD, "-o", "new.pae"),
        ("bundle", "attach", BAD, "--signature", "there.wbz", "--key", KEY),
        ("keys", "recover", STACK),
        ("catalogue", "show", "--version", "99"),
    ],
    4: [
        ("inspect", STACK, TEXT),
        ("address", TEXT, *WB55),
        (*PLAN, TEXT),
        ("map", TEXT, *WB55),
        ("convert", TEXT, "new.hex", *WB55),
        ("convert", STACK, "missing/new.hex", *WB55),
        ("diff", STACK, TEXT),
        ("diff", "empty", "empty"),
        ("doctor", "--option-bytes", TEXT, *WB55),
        ("doctor", "--log", "missing.txt"),
        ("check", STACK, TEXT),
        ("check", "empty"),
        ("audit", "empty"),
        ("explain", "--option-bytes", TEXT, *WB55),
        ("bundle", "create", "new.wbz", TEXT, *WB55),
        ("bundle", "create", "there.wbz", STACK, *WB55),
        ("bundle", "verify", STACK, "--trust", KEY),
        ("bundle", "verify", GOOD, "--trust", TEXT),
        ("bundle", "extract", STACK, "new", "--trust", KEY),
        ("bundle", "show", STACK),
        ("bundle", "payload", STACK, "-o", "new.pae"),
        ("bundle", "attach", STACK, "--signature", "there.wbz", "--key", KEY),
        ("keys", "generate", "there.wbz"),
        ("keys", "show", TEXT),
        ("keys", "recover", TEXT),
        ("catalogue", "build", "empty", "-o", "new.json"),
        ("catalogue", "show", "--catalogue", TEXT),
    ],
}
WITH_CORPUS = {
    0: [
        ("check", ST, *WB55),
        (*PLAN, ST),
        ("audit", CLEAN),
        ("bundle", "create", "new.wbz", ST, *WB55),
        ("catalogue", "build", CLEAN, "-o", "new.json"),
    ],
    3: [("audit", FAULTY), ("bundle", "create", "new.wbz", ST, *WB15)],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.wbz").write_bytes(b"kept")


def _cases(codes: dict[int, list[tuple[str, ...]]]) -> list[tuple[int, tuple[str, ...]]]:
    return [(code, arguments) for code, some in codes.items() for arguments in some]


@pytest.mark.parametrize(("code", "arguments"), _cases(CODES))
def test_code(code: int, arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == code


@needs_corpus
@pytest.mark.parametrize(("code", "arguments"), _cases(WITH_CORPUS))
def test_code_on_st_s_own(code: int, arguments: tuple[str, ...]) -> None:
    if not Path(FAULTY).exists() or not Path(CLEAN).exists() or not Path(ST).exists():
        pytest.skip("this corpus holds other releases")
    assert CliRunner().invoke(app, arguments).exit_code == code


def test_a_missing_extra_has_a_code_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(app, ["keys", "recover", STACK, OTHER])
    assert result.exit_code == ExitCode.MISSING_PACKAGE
    assert "this command needs ecdsa: pip install 'stm32wb-imagekit[recover]'" in result.stderr


def test_the_page_has_every_code_and_every_command() -> None:
    page = (FIXTURES.parent / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == {*ExitCode} | {5, 6, 7}
    page, flashers = page.split("`flasher`:\n")
    rows = " ".join(re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE))
    tried = {arguments[:1] for _, arguments in _cases(CODES) + _cases(WITH_CORPUS) if arguments}
    assert {name for (name,) in tried} == set(re.findall(r"`([a-z]+)", rows)) - {"extract", "payload", "attach"}
    commands = {
        command.name or command.callback.__name__ for command in flasher.registered_commands if command.callback
    }
    assert all(f"`{name}`" in flashers for name in commands)
