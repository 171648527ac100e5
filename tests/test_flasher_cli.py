"""The flasher's commands as people and scripts use them, on simulated boards through the real pylink."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import flasher.cli.run
from flasher.cli import app
from flasher.cli.record import RunRecord
from flasher.errors import ProbeUnavailableError
from flasher.journal import locked_chip
from flasher.link import ProbeChoice
from flasher.probe import FoundProbe, ProbeRequest
from flasher.show import anonymous
from flasher.sim.board import load_board, save_board
from imagekit.assessment import assess
from imagekit.bundle import manifest_json, write
from imagekit.bundle.manifest import Waiver
from imagekit.bundle.write import BundleContent
from imagekit.cli.command_line import prepared
from imagekit.image.model import Image
from imagekit.image.signing_keys import st_keys
from imagekit.targets import select_target
from tests.support.bundles import bundle, private, public_file
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.flashing import FUS_2_2_0, simulated
from tests.support.images import FIXTURES, content, throw_away_keys
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture
from tests.support.terminal import run_on_terminal

TRUST = ("--trust", str(public_file("p256")))
BOARD = ("--probe", "sim:board.json")
ACCEPT = ("--accept", "fus-2.2.0")


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "300", **(env or {})})


def refused(result: Result, code: int, *words: str) -> None:
    """It ended with this code and no traceback, and said these words on standard error."""
    assert result.exit_code == code, result.output
    for word in words:
        assert word in result.stderr
    assert "Traceback" not in result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with a fresh board and a bundle; the throw-away keys are ST's."""
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journals"))
    monkeypatch.setattr(flasher.cli.run.stop, "wanted", False)
    monkeypatch.chdir(tmp_path)
    save_board(simulated(), tmp_path / "board.json")
    write_bundle(tmp_path / "product.wbz", "fus-2.2.0", "stack-fus2-4k")
    return tmp_path


def write_bundle(path: Path, *names: str, part: str = "STM32WB55RG") -> None:
    path.write_bytes(bundle(*names, keys=[private("p256")], parts=[part]))


def journal(folder: Path) -> list[dict[str, Any]]:
    (path,) = (folder / "journals").iterdir()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_fresh_board_is_planned_installed_and_then_left_alone(folder: Path) -> None:
    before = (folder / "board.json").read_bytes()
    told = run("info", *BOARD)
    assert told.exit_code == 0, told.output
    assert "FUS           1.2.0" in told.stdout
    assert "none installed" in told.stdout
    planned = run("plan", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    assert planned.exit_code == 0, planned.output
    assert "1. install-fus 2.2.0 at 0x080F3000" in planned.stdout
    assert load_board(folder / "board.json").flash.state.cells == load_board_bytes(folder, before)
    done = run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    assert (done.exit_code, done.stdout) == (
        0,
        "done: STM32WB5xxG with FUS 2.2.0 and stack 1.24.0.1, on a simulated board\n",
    ), done.output
    again = run("install", "product.wbz", *TRUST, *BOARD)
    assert (again.exit_code, again.stdout[:14]) == (0, "nothing to do:"), again.output
    assert run("plan", "product.wbz", *TRUST, *BOARD, "--json").exit_code == 0


def load_board_bytes(folder: Path, content: bytes) -> bytearray:
    """The flash of a board as it was."""
    (folder / "before.json").write_bytes(content)
    return load_board(folder / "before.json").flash.state.cells


def test_info_in_json_has_what_the_contract_says() -> None:
    document = json.loads(run("info", *BOARD, "--json").stdout)
    assert document["schema"] == "flasher.info/1"
    assert document["chip"]["target"] == "STM32WB5xxG"
    assert document["chip"]["dev_id"] == "0x495"
    assert document["fus"] == {"version": "1.2.0"}
    assert document["stack"] is None
    assert document["running"] == "fus"
    assert {"probe", "option_bytes", "verdicts"} < document.keys()


def test_info_leaves_a_running_product_running(folder: Path) -> None:
    """An application has started the stack: nothing is reset, nothing is halted."""
    chip = simulated(fus=FUS_2_2_0, stack="stack-fus2-4k")
    chip.flash.put_cells(0x08000000, (0x20001000).to_bytes(4, "little") + (0x08000101).to_bytes(4, "little"))
    chip.power_cycle()
    chip.advance(1)
    assert chip.cpu2.state.running == "stack"
    epoch = chip.epoch
    save_board(chip, folder / "board.json")
    document = json.loads(run("info", *BOARD, "--json").stdout)
    assert (document["running"], document["stack"]["version"]) == ("stack", "1.24.0")
    after = load_board(folder / "board.json")
    assert (after.epoch, after.is_halted, after.cpu2.state.running) == (epoch, False, "stack")


def test_info_tells_of_a_chip_that_nothing_can_be_installed_on(folder: Path) -> None:
    chip = simulated()
    chip.options.set_by_cpu2(SFSA=0, SBRV=0x3FFFF)
    chip.options.load()
    save_board(chip, folder / "board.json")
    told = run("info", *BOARD)
    assert told.exit_code == 0
    assert "nothing can be installed: SFSA" in told.stdout
    assert json.loads(run("info", *BOARD, "--json").stdout)["running"] == "unknown"
    refused(run("install", "product.wbz", *TRUST, *BOARD), 6, "SFSA")


def test_the_plan_in_json_has_what_the_contract_says() -> None:
    result = run("plan", "product.wbz", *TRUST, *BOARD, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 3
    assert document["schema"] == "flasher.plan/1"
    assert [step["action"] for step in document["steps"]] == ["install-fus", "install-stack", "start-stack"]
    assert document["steps"][0]["irreversible"] is True
    assert document["steps"][0]["address"] == "0x080F3000"
    assert "--accept fus-2.2.0" in document["refusals"][0]


def test_what_cannot_be_undone_is_refused_unless_it_is_named() -> None:
    refused(
        run("install", "product.wbz", *TRUST, *BOARD), 3, "refused: fus-2.2.0 is irreversible", "--accept fus-2.2.0"
    )
    refused(run("install", "product.wbz", *TRUST, "--accept", "fus-2.1.0", *BOARD), 3, "--accept fus-2.2.0")


def test_events_are_json_lines_and_the_last_one_is_the_result() -> None:
    lines = [
        json.loads(line)
        for line in run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD, "--json-lines").stdout.splitlines()
    ]
    assert {"begin", "progress", "reset", "end", "result"} <= {line["event"] for line in lines}
    expected = {"event": "result", "code": 0, "probe": "sim", "fus": "2.2.0", "stack": "1.24.0.1"}
    assert {name: lines[-1][name] for name in expected} == expected
    failed = run("delete", "--probe", "sim:nix.json", "--json-lines")
    assert failed.exit_code == 4
    assert json.loads(failed.stdout.splitlines()[-1])["code"] == 4


@pytest.mark.parametrize("fault", ["link-lost@250", "host-killed@250", "power-cut@60=300", "access-fails@200"])
def test_the_plug_is_pulled_and_the_next_run_goes_on(folder: Path, fault: str) -> None:
    assert run("sim", "fault", "board.json", fault).exit_code == 0
    first = run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    assert first.exit_code in (0, 5), first.output
    assert "the fault struck at access" in first.stderr
    second = run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    assert second.exit_code == 0, second.output
    chip = load_board(folder / "board.json")
    assert chip.fus.secret.fus_version == FUS_2_2_0
    assert chip.fus.secret.stack is not None
    assert chip.options.state.loaded["OPTR"] == 0x3FFFF1AA


def test_a_fault_that_is_never_reached_fails_the_rehearsal() -> None:
    run("sim", "fault", "board.json", "reset@99999999")
    assert run("info", *BOARD).exit_code == 0, "looking at a chip need not reach it"
    refused(run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD), 2, "the fault was never reached", "accesses")


@pytest.mark.parametrize("kind", ["sim", "sim+stlink", "sim+cmsis-dap"])
def test_every_simulated_probe_installs_a_bundle(kind: str) -> None:
    result = run("install", "product.wbz", *TRUST, *ACCEPT, "--probe", f"{kind}:board.json", "--json-lines")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["probe"] == kind


def test_the_doctor_checks_a_board_and_changes_nothing(folder: Path) -> None:
    before = load_board(folder / "board.json").flash.state.cells
    text, document = run("doctor", *BOARD), json.loads(run("doctor", *BOARD, "--json").stdout)
    assert text.exit_code == 0, text.output
    assert "good     chip: STM32WB5xxG, 1024 KiB" in text.stdout
    assert document["schema"] == "flasher.doctor/1"
    assert {"check", "grade", "value", "todo"} == document["checks"][0].keys()
    assert load_board(folder / "board.json").flash.state.cells == before


def test_the_doctor_reports_a_probe_that_is_not_reached() -> None:
    result = run("doctor", "--probe", "jlink", "--json")
    assert result.exit_code == 5
    assert "no J-Link library" in json.loads(result.stdout)["checks"][0]["value"]


def found(*names: str) -> Callable[[object], tuple[FoundProbe, ...]]:
    return lambda _: tuple(FoundProbe(kind="jlink", serial=name, product="J-Link") for name in names)


def test_without_a_name_the_only_probe_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flasher.jlink.find_probes", found("260000001"))
    monkeypatch.setattr("flasher.pyocd.find_probes", found())
    assert ProbeChoice().request() == ProbeRequest(kind="jlink", address="260000001")


def test_several_probes_are_listed_and_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flasher.jlink.find_probes", found("260000001", "260000002"))
    monkeypatch.setattr("flasher.pyocd.find_probes", found())
    names = r"\(jlink:260000001, jlink:260000002\); choose one with --probe"
    with pytest.raises(ProbeUnavailableError, match=names):
        ProbeChoice().request()


@pytest.mark.parametrize("name", ["", "sim", "sim:", "jlink:", "jlink:abc", "stlink:", "st-link", "sim+jlink:b.json"])
def test_an_unknown_probe_name_is_wrong_usage(name: str) -> None:
    refused(run("info", "--probe", name), 2, "no such probe. Write one of: jlink[:SERIAL], stlink[:SERIAL]")


@pytest.mark.parametrize("name", ["fixture.bin", "none.json", "folder"])
def test_a_file_that_is_not_a_board_gets_one_line(folder: Path, name: str) -> None:
    (folder / "fixture.bin").write_bytes(content("fus-2.2.0"))
    (folder / "folder").mkdir()
    result = run("info", "--probe", f"sim:{name}")
    refused(result, 4, name)
    assert result.stderr.count("\n") == 1
    assert "codec" not in result.stderr


def test_an_option_that_counts_once_is_refused_twice() -> None:
    refused(run("info", *BOARD, *BOARD), 2, "--probe: given 2 times")


def test_the_simulator_is_loaded_only_when_it_is_asked_for() -> None:
    code = "import sys; import flasher.cli; print([name for name in sys.modules if name.startswith('flasher.sim')])"
    env = {**os.environ, "PYTHONPATH": str(FIXTURES.parent)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert result.stdout == "[]\n"


def test_the_simulator_keeps_its_commands_when_prepared_again() -> None:
    prepared(app)
    shown = run("sim", "--help")
    assert shown.exit_code == 0, shown.output
    assert "fault" in shown.stdout


def test_ctrl_c_counts_between_two_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As if it had come during the first step. Afterwards the old handler is back (with `&` it ignores the signal)."""
    before = signal.getsignal(signal.SIGINT)
    hear = flasher.cli.run.Run.hear

    def interrupting(self: Any, event: Any) -> None:
        if event.event == "state" and event.text.startswith("0x2"):
            signal.raise_signal(signal.SIGINT)
        hear(self, event)

    monkeypatch.setattr(flasher.cli.run.Run, "hear", interrupting)
    stopped = run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    refused(stopped, 7, "stopped before install-stack", "run it again")
    assert "stopping after this step. Do NOT power off or reset the board" in capfd.readouterr().err
    chip = load_board(folder / "board.json")
    assert (chip.fus.secret.fus_version, chip.fus.secret.stack) == (FUS_2_2_0, None)
    assert chip.options.state.loaded["OPTR"] == 0x3FFFF1AA
    assert signal.getsignal(signal.SIGINT) == before


def test_a_wrong_bundle_key_part_or_file_gets_one_line(folder: Path) -> None:
    (folder / "no.wbz").write_bytes(b"no bundle")
    refused(run("install", "no.wbz", *TRUST, *BOARD), 4, "no.wbz")
    refused(run("install", "nix.wbz", *TRUST, *BOARD), 4, "nix.wbz: no such file")
    refused(run("install", "product.wbz", "--trust", public_file("stranger"), *BOARD), 3, "product.wbz", "trusted")
    refused(
        run("install", "product.wbz", *TRUST, "--threshold", 2, *BOARD),
        2,
        "--threshold 2 needs 2 --trust keys; you gave one",
    )
    refused(run("install", "product.wbz", "--trust", "nix.pub", *BOARD), 4, "nix.pub: no such file")
    write_bundle(folder / "other.wbz", "fus-2.2.0", "stack-fus2-4k", part="STM32WB55CE")
    refused(run("install", "other.wbz", *TRUST, *BOARD), 3, "this chip is STM32WB5xxG", "STM32WB5xxE")
    refused(run("info", "--probe", "sim:nix.json"), 4, "nix.json", "no such file")
    refused(run("info", "--probe", "sim:product.wbz"), 4, "product.wbz")
    refused(run("info", "--probe", "st-link"), 2, "--probe st-link: no such probe")
    refused(run("info", "--probe", "jlink:"), 2, "--probe jlink:: no such probe")
    refused(run("install", "product.wbz", *TRUST, *BOARD, "--erase-application", "all"), 2, "--erase-application")


@pytest.mark.parametrize("command", [("list",), ("info",), ("delete",), ("start-stack",)])
def test_without_a_j_link_library_commands_say_what_to_install(command: tuple[str]) -> None:
    refused(run(*command), 5, "no J-Link library", "install SEGGER's J-Link software", "--jlink-dll")


def test_install_and_plan_say_so_too() -> None:
    for command in ("plan", "install"):
        refused(run(command, "product.wbz", *TRUST), 5, "no J-Link library", "--jlink-dll")


def test_a_deleted_stack_cannot_be_started() -> None:
    run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    assert run("delete", *BOARD).stdout == "done: STM32WB5xxG with FUS 2.2.0 and no stack, on a simulated board\n"
    assert (
        run("delete", *BOARD).stdout == "nothing to do: STM32WB5xxG with FUS 2.2.0 and no stack, on a simulated board\n"
    )
    refused(run("start-stack", *BOARD), 6, "no stack is installed")


def test_the_report_names_no_serial_number_unless_asked(folder: Path) -> None:
    uid = load_board(folder / "board.json").read(0x1FFF7590, 12, 4).hex()
    serial = str(zlib.crc32(str((folder / "board.json").resolve()).encode()) & 0x7FFF_FFFF)
    run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD, "--report", "r.json")
    text = (folder / "r.json").read_text(encoding="utf-8")
    assert uid not in text
    assert serial not in text
    document = json.loads(text)
    assert document["schema"] == "flasher.report/1"
    assert document["result"]["code"] == 0
    assert document["option_bytes"]["OPTR"] == "0x3FFFF1AA"
    run("install", "product.wbz", *TRUST, *BOARD, "--report", "r.json", "--report-serials")
    assert uid in (folder / "r.json").read_text(encoding="utf-8")
    refused(
        run("install", "product.wbz", "--trust", public_file("p256"), *BOARD, "--report", "nix/r.json"), 4, "nix/r.json"
    )


@pytest.mark.parametrize("home", ["/", "/ro", "/f", ""])
def test_a_short_home_leaves_the_report_as_it_is(home: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    for _ in range(2):  # the second run replaces the report of the first one
        result = run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD, "--report", "r.json")
        assert result.exit_code == 0, result.output
    assert json.loads((folder / "r.json").read_text(encoding="utf-8"))["schema"] == "flasher.report/1"


def test_the_home_folder_is_replaced_in_values_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    texts = ["/home/ann/x.json", "/home/anne/x", "/mnt/home/ann", "in '/home/ann'", "/home/ann"]
    assert anonymous(texts, salt=b"") == ["~/x.json", "/home/anne/x", "/mnt/home/ann", "in '~'", "~"]


def test_pseudonyms_are_salted_and_the_same_within_a_report() -> None:
    uid = "00658473e1268000ffffffff"
    first, second = (anonymous({"uid": uid, "text": f"chip {uid}"}, salt=salt) for salt in (b"a", b"b"))
    assert first["text"] == f"chip {first['uid']}"
    assert first["uid"] != second["uid"]
    assert RunRecord().salt != RunRecord().salt


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_pipes_and_huge_files_are_not_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with (folder / "huge").open("wb") as file:
        file.truncate(60 << 30)
    install = ("install", "product.wbz", *TRUST, *BOARD)
    for name in ("pipe", "huge"):
        refused(run(*install, "--report", name), 4, f"{name}: exists and is not a report. The chip was not changed")
        refused(run("install", "product.wbz", "--trust", name, *BOARD), 4, name)
        refused(run("install", name, *TRUST, *BOARD), 3 if name == "huge" else 4, name)


def test_a_key_is_revoked_by_removing_its_file(folder: Path) -> None:
    (folder / "trusted").mkdir()
    for name in ("ed25519", "p256"):
        (folder / "trusted" / f"{name}.pub").write_bytes(public_file(name).read_bytes())
    command = ("plan", "product.wbz", "--trust", "trusted", *BOARD)
    assert "install-fus 2.2.0" in run(*command).stdout
    (folder / "trusted" / "p256.pub").unlink()
    refused(run(*command), 3, "product.wbz: ", "signed")


def test_a_huge_board_file_is_not_read(folder: Path) -> None:
    with (folder / "huge.json").open("wb") as file:
        file.truncate(60 << 30)
    refused(run("info", "--probe", "sim:huge.json"), 4, "huge.json")


def test_a_file_that_is_not_a_report_stays(folder: Path) -> None:
    (folder / "precious").write_bytes(b"mine")
    result = run("install", "product.wbz", *TRUST, *BOARD, "--report", "precious")
    refused(result, 4, "precious: exists and is not a report")
    assert (folder / "precious").read_bytes() == b"mine"


def test_the_journal_has_every_step_and_the_result(folder: Path) -> None:
    run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    events = [entry["event"] for entry in journal(folder)]
    assert events == ["begin", "option-bytes", *["step", "staged", "done"] * 2, "step", "done", "result", "restored"]


def test_a_damaged_journal_is_refused_before_anything_is_done(folder: Path) -> None:
    run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD)
    (path,) = (folder / "journals").iterdir()
    path.write_text("nonsense\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    before = (folder / "board.json").read_bytes()
    refused(run("install", "product.wbz", *TRUST, *ACCEPT, *BOARD), 4, path.name, "line 1 is damaged")
    assert load_board(folder / "board.json").flash.state.cells == load_board_bytes(folder, before)


@pytest.mark.parametrize("command", [("info",), ("plan", "product.wbz", *TRUST), ("install", "product.wbz", *TRUST)])
def test_a_chip_that_another_flasher_holds(command: tuple[str, ...], folder: Path) -> None:
    uid = json.loads(run("info", *BOARD, "--json").stdout)["chip"]["uid"]
    with locked_chip(folder / "journals", uid):
        refused(run(*command, *BOARD), 5, f"another flasher (process {os.getpid()}) is working on this chip")
    assert list((folder / "journals").iterdir()) == [], "nothing was begun"


def test_ten_flashers_never_work_at_the_same_time(folder: Path) -> None:
    """Each begins as soon as another lets go of the chip."""
    uid, running, most, done = "0" * 24, 0, 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most, done
        while True:
            try:
                with locked_chip(folder / "journals", uid):
                    with lock:
                        running += 1
                        most = max(most, running)
                    time.sleep(0.002)
                    with lock:
                        running -= 1
                        done += 1
                    return
            except ProbeUnavailableError:
                time.sleep(0.0005)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, done) == (1, 10)


def made_of(path: Path, images: dict[str, bytes], waived: str | None = None) -> None:
    """A bundle of images that are judged by ST's own keys."""
    inside = [BundleContent(assessment=assess(Image.parse(data), st_keys()), data=data) for data in images.values()]
    waivers = [Waiver("WB201", one.assessment.image.sha256, waived) for one in inside if waived]
    stated = write.make_manifest(
        inside, [select_target("STM32WB55RG")], name="product", sequence=7, created=0, waivers=waivers
    )
    payload = manifest_json.dumps(stated)
    path.write_bytes(write.write_bundle(payload, [write.signature(private("p256"), payload)], inside))


def test_a_terminal_has_a_bar_and_one_line_for_each_step(folder: Path) -> None:
    """The board believes the throw-away keys, imagekit in a process of its own does not: hence the waiver."""
    made_of(folder / "w.wbz", {"stack": content("stack-4k")}, waived="a rehearsal")
    name = f"unverified-{hashlib.sha256(content('stack-4k')).hexdigest()}"
    result = run_on_terminal("install", "w.wbz", *TRUST, *BOARD, typed=name.encode() + b"\n")
    assert result.code == 0, result.raw
    assert result.stdout == "done: STM32WB5xxG with FUS 1.2.0 and stack 1.13.3.5, on a simulated board\n"
    assert "waived when the bundle was made: WB201" in result.raw
    assert "no known key of ST verifies the stack" in result.raw
    assert "1. install-stack 1.13.3 at 0x080F3000" in result.raw
    assert "KiB" in result.raw, "a bar with bytes"
    steps = [line for line in result.screen if line.startswith("done ")]
    assert [step.split("  ")[0] for step in steps] == [
        "done 1/2 install-stack 1.13.3 at 0x080F3000",
        "done 2/2 start-stack",
    ]


@needs_corpus
def test_on_a_terminal_what_cannot_be_undone_is_asked_by_name(folder: Path) -> None:
    files = CORPUS / "v1.23.0" / "STM32WB5x"
    if not files.exists():
        pytest.skip("this corpus lacks v1.23.0")
    names = ("stm32wb5x_FUS_fw.bin", "stm32wb5x_BLE_Stack_full_fw.bin")
    made_of(folder / "st.wbz", {name: (files / name).read_bytes() for name in names})
    assert run("sim", "new", "st.json", "--part", "STM32WB55RG").exit_code == 0
    arguments = ("install", "st.wbz", *TRUST, "--probe", "sim:st.json")
    refused_run = run_on_terminal(*arguments, typed=b"yes\n")
    assert (refused_run.code, refused_run.stdout) == (3, ""), refused_run.raw
    assert "Type fus-2.1.0 to accept it" in refused_run.raw
    done = run_on_terminal(*arguments, typed=b"fus-2.1.0\n")
    text = "done: STM32WB5xxG with FUS 2.1.0 and stack 1.23.0.3, on a simulated board\n"
    assert (done.code, done.stdout) == (0, text), done.raw


def test_programs_start_without_loading_what_they_do_not_need() -> None:
    heavy = ("pylink", "cryptography", "construct")
    code = f"import sys; import flasher.cli; print([one for one in {heavy} if one in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=FIXTURES.parent,
        env={**os.environ, "PYTHONPATH": str(FIXTURES.parent)},
    )  # fmt: skip
    assert result.stdout == "[]\n"


@pytest.mark.parametrize("command", [("--version",), ("list",)])
def test_looking_for_the_library_starts_no_compiler(folder: Path, command: tuple[str]) -> None:
    """ctypes.util.find_library(), which pylink calls, starts gcc and ld from PATH on Linux."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("gcc", "cc", "ld", "objdump"):
        (tools / name).write_text(f"#!/bin/sh\ntouch {folder}/started-{name}\n")
        (tools / name).chmod(0o755)
    env = {**os.environ, "PATH": str(tools), "PYTHONPATH": str(FIXTURES.parent)}
    result = subprocess.run([sys.executable, "-m", "flasher", *command], capture_output=True, check=False, env=env)
    assert result.returncode in (0, 5), result.stderr
    assert list(folder.glob("started-*")) == []
