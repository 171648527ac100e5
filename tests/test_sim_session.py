"""A board for one run: locked, loaded, faults armed, written when changed; and the commands that arrange it."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flasher.errors import BoardFileError, ProbeUnavailableError
from flasher.probe import FaultOutcome, ProbeRequest
from flasher.sim.behaviour import (
    Behaviour,
    SettingError,
    is_possible,
    settings,
    value_text,
    with_settings,
)
from flasher.sim.board import create_board, from_document, load_board, save_board, to_document, with_behaviour
from flasher.sim.board_lock import locked
from flasher.sim.cli import app
from flasher.sim.connect import open_board
from flasher.sim.errors import AccessError, BoardError
from flasher.sim.faults import KINDS
from flasher.sim.places import PLACES, WITH_PERCENTAGE
from flasher.sim.session import dll_settings, opened_board
from tests.support.sim_driver import SRAM1, Driver
from tests.support.sim_images import chip, new_stack, point, stack

ROOT = Path(__file__).parents[1]
posix = pytest.mark.skipif(sys.platform == "win32", reason="file locks and modes of POSIX")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.json"
    create_board(chip(), path)
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


# --- the table of behaviours


def test_every_behaviour_has_a_meaning_a_source_and_choices() -> None:
    table = settings()
    assert len(table) == len(dataclasses.fields(Behaviour))
    for setting in table:
        assert setting.meaning.endswith("."), setting.name
        assert setting.source, setting.name
        assert setting.choices, setting.name
        assert setting.default == value_text(Behaviour(), setting)


def test_the_docs_list_every_behaviour_kind_and_place() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")
    rows = [
        f"| `{it.name}` | {it.choices.replace('|', ', ')} | {it.default} | {it.meaning} | {it.source} |"
        for it in settings()
    ]
    rows += [f"| `{kind}` | {text} |" for kind, text in KINDS.items()]
    for name, text in PLACES.items():
        has_percentage = "yes" if name in WITH_PERCENTAGE else "no"
        rows.append(f"| `{name}` | {has_percentage} | {text} |")
    assert [row for row in rows if row not in page.splitlines()] == []


@pytest.mark.parametrize("setting", settings(), ids=lambda setting: setting.name)
def test_every_choice_can_be_set(setting: Any) -> None:
    choices = setting.choices.split(" to ") if " to " in setting.choices else setting.choices.split("|")
    for choice in choices:
        changed = with_settings(Behaviour(), [f"{setting.name}={choice}"])
        assert value_text(changed, setting) == choice
        assert is_possible(changed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("purge", "not a behaviour"),
        ("tea=hot", "not a behaviour"),
        ("first_contact=ff", "not a behaviour"),
        ("purge=maybe", "known|unknown"),
        ("nvm-job-seconds=61", "0 to 60"),
        ("nvm-job-seconds=-1", "0 to 60"),
        ("nvm-job-seconds=nan", "0 to 60"),
        ("nvm-section-sectors=17", "0 to 16"),
        ("nvm-section-sectors=1.5", "0 to 16"),
        ("fus-path-error=0x100", "0x00 to 0xFF"),
        ("fus-silent=yes", "on|off"),
        ("fus-idle-gap-seconds=15", "0|14|40"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingError) as caught:
        with_settings(Behaviour(), [text])
    assert reason in str(caught.value)


def test_the_probe_follows_the_board() -> None:
    """The library's settings are behaviours of the board too."""
    behaviour = with_settings(Behaviour(), ["dll-memory-cache=on", "dll-unknown-command=code", "vector-catch=cleared"])
    assert behaviour == dataclasses.replace(
        Behaviour(), dll_memory_cache=True, dll_unknown_command="code", vector_catch="cleared"
    )
    library = dll_settings(behaviour)
    assert (library.memory_cache, library.unknown_answer, library.clears_vector_catch) == (True, "code", True)
    library = dll_settings(Behaviour())
    assert (library.memory_cache, library.unknown_answer, library.clears_vector_catch) == (False, "text", False)


def test_a_chip_with_another_behaviour_is_the_same_chip() -> None:
    it = chip()
    other = with_behaviour(it, dataclasses.replace(it.behaviour, purge="unknown"))
    assert (other.fus.behaviour.purge, other.behaviour.purge) == ("unknown", "unknown")
    assert with_behaviour(other, it.behaviour).fus.secret == it.fus.secret
    assert to_document(with_behaviour(other, it.behaviour)) == to_document(it)


# --- commands


def test_set_changes_a_board_and_lists_it(board: Path) -> None:
    assert run("set", board, "nvm-job-seconds=12", "first-contact=fe") == (0, "", "")
    behaviour = load_board(board).behaviour
    assert (behaviour.nvm_job_seconds, behaviour.first_contact) == (12.0, "fe")
    code, out, _ = run("set", board)
    assert code == 0
    lines = {line.split()[0]: line.split()[1] for line in out.splitlines()}
    assert lines["nvm-job-seconds"] == "12"
    assert lines["first-contact"] == "fe"
    assert len(lines) == len(settings()) + 1


def test_the_list_is_aligned(board: Path) -> None:
    lines = run("set", board)[1].splitlines()
    for title in ("value", "choices", "meaning", "source"):
        column = lines[0].index(title)
        assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines), title


def test_the_list_as_json(board: Path) -> None:
    document = json.loads(run("set", board, "--json", "purge=unknown")[1])
    assert document["schema"] == "flasher.sim-behaviours/1"
    found = {entry["name"]: entry for entry in document["behaviours"]}
    assert found["purge"]["value"] == "unknown"
    assert found["purge"]["default"] == "known"
    assert found["purge"]["choices"] == "known|unknown"
    assert set(found["purge"]) == {"name", "value", "default", "choices", "meaning", "source"}


def test_a_wrong_setting_changes_nothing(board: Path) -> None:
    before = board.read_bytes()
    code, out, error = run("set", board, "purge=unknown", "purge=maybe")
    assert (code, out) == (2, "")
    assert error == "flasher: purge=maybe: the choices are known|unknown\n"
    assert board.read_bytes() == before


def test_faults_are_armed_listed_and_cleared(board: Path) -> None:
    assert run("fault", board, "link-lost@install-fus", "reset@3")[:2] == (0, "link-lost@install-fus\nreset@3\n")
    assert run("fault", board)[1] == "link-lost@install-fus\nreset@3\n"
    assert load_board(board).faults == ("link-lost@install-fus", "reset@3")
    assert run("fault", board, "--clear", "stuck@2")[1] == "stuck@2\n"
    assert run("fault", board, "--clear")[1] == "no fault is armed\n"
    assert load_board(board).faults == ()


def test_a_wrong_fault_is_refused(board: Path) -> None:
    code, _, error = run("fault", board, "tea@3")
    assert code == 2
    assert "not a fault: 'tea@3'" in error
    assert load_board(board).faults == ()


def test_kinds_and_places_are_listed() -> None:
    code, out, _ = run("faults")
    assert code == 0
    for word in ("link-lost ", "power-cut ", "install-fus[:NN%]", "erase ", "nvm-restore[:NN%]"):
        assert word in out


def test_a_new_board_can_have_bonding_data(tmp_path: Path) -> None:
    (tmp_path / "stack.bin").write_bytes(stack.build())
    key = tmp_path / "key.pem"
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from tests.support.sim_images import key as private

    key.write_bytes(private().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    arguments = ("--part", "WB55RG", "--root-key", key, "--bonded")
    path = tmp_path / "board.json"
    assert run("new", path, *arguments, "--stack", tmp_path / "stack.bin")[0] == 0
    assert "bonding data:  present" in run("show", path)[1]
    assert load_board(path).fus.root_keys == (point(),)
    assert run("new", tmp_path / "other.json", *arguments)[0] == 3


# --- one run


def test_a_board_is_written_when_it_changed(board: Path) -> None:
    with opened_board(board) as opened:
        opened.chip.write(SRAM1, b"abcd", 4)
        opened.sleep(1.0)
        assert opened.now() > 1.0
    assert load_board(board).read(SRAM1, 4, 4) == b"abcd"


def test_a_board_is_not_written_when_it_did_not(board: Path) -> None:
    os.utime(board, (1, 1))
    with opened_board(board):
        pass
    assert board.stat().st_mtime == 1


def test_a_board_is_written_after_an_error_too(board: Path) -> None:
    with pytest.raises(RuntimeError, match="of the caller"), opened_board(board) as opened:  # noqa: PT012
        opened.chip.write(SRAM1, b"abcd", 4)
        raise RuntimeError("of the caller")
    assert load_board(board).read(SRAM1, 4, 4) == b"abcd"


def test_a_fault_that_struck_is_disarmed_and_told(board: Path) -> None:
    run("fault", board, "access-fails@2", "link-lost@install-fus")
    with opened_board(board, ("reset@3",)) as opened:
        driver = Driver(opened.chip)
        opened.sleep(0.01)
        driver.word(SRAM1)
        with pytest.raises(AccessError):
            opened.chip.read(SRAM1, 4, 4)
    assert opened.report() == [
        "access-fails@2: the fault struck at access 2, outside of every named place",
        "link-lost@install-fus: the fault was never reached: 2 accesses",
        "reset@3: the fault was never reached: 2 accesses",
    ]
    assert load_board(board).faults == ("link-lost@install-fus",)


def test_power_that_was_cut_is_back_for_the_next_run(board: Path) -> None:
    with opened_board(board, ("power-cut@1=60000",)) as opened, pytest.raises(AccessError):
        opened.chip.read(SRAM1, 4, 4)
    assert load_board(board).state.powered


def test_a_fault_that_does_not_exist_opens_nothing(board: Path) -> None:
    with pytest.raises(ValueError, match="not a fault"), opened_board(board, ("tea@3",)):
        pass


# --- connected to the flasher's driver


def request(board: Path) -> ProbeRequest:
    return ProbeRequest(kind="sim", address=str(board))


def test_what_became_of_faults_is_reported_at_the_end(board: Path) -> None:
    run("fault", board, "link-lost@install-fus", "reset@9")
    with open_board(request(board)) as opened:
        opened.clock.sleep(1.0)
    assert opened.faults() == (
        FaultOutcome("link-lost@install-fus: the fault was never reached: 0 accesses", has_struck=False),
        FaultOutcome("reset@9: the fault was never reached: 0 accesses", has_struck=False),
    )


def test_a_killed_program_and_a_bad_board_have_exit_codes(board: Path, tmp_path: Path) -> None:
    run("fault", board, "host-killed@1")
    with pytest.raises(ProbeUnavailableError) as killed, open_board(request(board)) as opened:
        opened.probe.connect()
    assert int(killed.value.code) == 5
    (tmp_path / "none.json").write_text("{}", encoding="ascii")
    missing = request(tmp_path / "none.json")
    with pytest.raises(BoardFileError, match=r"none\.json: not a simulated board") as caught, open_board(missing):
        pass
    assert int(caught.value.code) == 4


def test_an_error_of_the_caller_stays_what_it_is(board: Path) -> None:
    with pytest.raises(FileNotFoundError, match="journal"), open_board(request(board)):
        raise FileNotFoundError("journal")


# --- the file


@posix
def test_two_programs_on_one_board(board: Path) -> None:
    with opened_board(board):
        with pytest.raises(BoardError, match="in use by another program"), opened_board(board):
            pass
        for command in (("set", board, "purge=unknown"), ("fault", board, "reset@1")):
            code, _, error = run(*command)
            assert (code, error) == (4, f"flasher: {board}: in use by another program\n")
        assert run("show", board)[0] == 0, "looking needs no lock"
    with opened_board(board):
        pass


@posix
def test_a_second_flasher_names_the_board_in_use(board: Path) -> None:
    with locked(board):
        done = subprocess.run(
            [sys.executable, "-m", "flasher", "info", "--probe", f"sim:{board}"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr == f"flasher: {board}: in use by another program\n"


@posix
def test_mode_and_link_of_a_board_stay(board: Path, tmp_path: Path) -> None:
    board.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(board)
    with opened_board(link) as opened:
        opened.sleep(1.0)
    assert link.is_symlink()
    assert board.stat().st_mode & 0o777 == 0o640
    assert load_board(board).clock >= 1.0


def test_a_board_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no such file"), opened_board(tmp_path / "none.json"):
        pass
    with pytest.raises(BoardError), opened_board(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_pipe_is_not_a_board(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BoardError, match="not a regular file"), opened_board(tmp_path / "pipe"):
        pass


# --- boards of the first version


def old(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the first version wrote it."""
    document = json.loads(json.dumps(document)) | {"schema": "flasher.sim.board/1"}
    del document["faults"], document["sha256"]
    for name in ("nvm_sectors", "nvm_job", "bonding"):
        del document["secret"][name]
    for name in ("idle_gap", "idle_until"):
        if document["secret"]["operation"]:
            del document["secret"]["operation"][name]
    del document["flash"]["registers"]["cache"], document["cpu2"]["ready_due"]
    for name in ("nvm_job_seconds", "nvm_section_sectors", "nvm_answers", "nvm_reset_bricks", "purge", "ff_pages",
                 "fus_idle_gap_seconds", "fus_silent", "dll_memory_cache", "dll_unknown_command", "vector_catch",
                 "options_readable", "data_cache", "null_tables", "ready_event"):  # fmt: skip
        del document["behaviour"][name]
    document["behaviour"] |= {"all_ones_is_programmed": False, "first_contact": "idle"}
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    return document | {"sha256": digest}


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_board_of_the_first_version_is_loaded(is_busy: bool, tmp_path: Path) -> None:
    it = chip()
    if is_busy:
        it.fus._begin("stack", "search", 1.0)
    loaded = from_document(old(to_document(it)))
    assert loaded.behaviour.ff_pages == "programmable"
    assert loaded.behaviour.first_contact == "none"
    assert loaded.fus.secret == it.fus.secret
    save_board(loaded, tmp_path / "new.json")
    assert json.loads((tmp_path / "new.json").read_bytes())["schema"] == "flasher.sim.board/2"


def test_a_damaged_board_of_the_first_version_is_refused() -> None:
    document = old(to_document(chip()))
    document["serial"] += 1
    with pytest.raises(BoardError, match="checksum"):
        from_document(document)


@pytest.mark.parametrize("faults", [["tea@3"], "reset@1", [5]])
def test_faults_that_do_not_exist_are_damage(faults: Any) -> None:
    document = to_document(chip()) | {"faults": faults}
    del document["sha256"]
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    with pytest.raises(BoardError, match="damaged"):
        from_document(document | {"sha256": digest})


def test_a_cache_that_no_chip_has_is_damage() -> None:
    document = to_document(chip())
    del document["sha256"]
    document["flash"]["registers"]["cache"] = {"0x08000004": ""}
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    with pytest.raises(BoardError, match="data cache"):
        from_document(document | {"sha256": digest})


def test_a_board_keeps_bonding_data_and_jobs() -> None:
    it = chip(fus_version=0x02000000, nvm_job_seconds=3.0, nvm_section_sectors=4)
    assert it.fus.install_at_factory(new_stack.build()) == 0
    it.fus.secret.bonding = "present"
    it.fus._delete()
    it.fus.secret.operation.due = 0.0  # type: ignore[union-attr]
    it.fus.step()
    loaded = from_document(to_document(it))
    assert loaded.fus.secret == it.fus.secret
    assert loaded.fus.secret.nvm_job is not None
    assert loaded.fus.secret.nvm_sectors == 4


# --- end to end


def test_an_armed_fault_strikes_and_the_next_run_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flasher.cli import app as flasher_app
    from tests.support.bundles import bundle, private, public_file
    from tests.support.flashing import simulated
    from tests.support.images import throw_away_keys

    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.chdir(tmp_path)
    save_board(simulated(), Path("board.json"))
    Path("p.wbz").write_bytes(bundle("fus-2.2.0", "stack-fus2-4k", keys=[private("p256")]))
    install = ["install", "p.wbz", "--trust", str(public_file("p256")), "--accept", "fus-2.2.0"]
    assert run("fault", "board.json", "host-killed@install-fus:30%", "reset@nvm-backup")[0] == 0
    struck = CliRunner().invoke(flasher_app, [*install, "--probe", "sim:board.json"])
    assert struck.exit_code == 5
    assert "host-killed@install-fus:30%: the fault struck at access " in struck.stderr
    assert ", during install-fus\n" in struck.stderr
    assert "reset@nvm-backup: the fault was never reached: " in struck.stderr
    assert load_board(Path("board.json")).faults == ("reset@nvm-backup",)
    assert run("fault", "board.json", "--clear")[0] == 0
    again = CliRunner().invoke(flasher_app, [*install, "--probe", "sim:board.json"])
    assert again.exit_code == 0, again.stderr
    assert load_board(Path("board.json")).fus.secret.fus_version == 0x02020000
