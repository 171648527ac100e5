"""The `result` event: printed last in every run, complete, and with the same text as the terminal."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import flasher.cli.journals
import flasher.cli.run
import flasher.install
import flasher.probes
from flasher import errors
from flasher.cli import app
from flasher.cli.options import InputError
from flasher.errors import FlasherError
from flasher.sim.board import save_board
from tests.support.bundles import bundle, private, public_file
from tests.support.flashing import simulated
from tests.support.images import content, throw_away_keys
from tests.support.jlinks import own_locks_and_no_sleep  # noqa: F401 - a fixture

TRUST = ("--trust", str(public_file("p256")))
BOARD = ("--probe", "sim:board.json")
ACCEPT = ("--accept", "fus-2.2.0")
MEMBERS = {
    "event", "code", "error", "fus_may_be_running", "safe_to_power_off", "resumable", "uid", "probe", "probe_serial",
    "bundle", "changed", "started", "duration_s", "steps", "fus", "stack", "before", "tool",
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setenv("FLASHER_JOURNAL", str(tmp_path / "journals"))
    monkeypatch.setattr("imagekit.cli.console._program", "flasher")
    monkeypatch.chdir(tmp_path)
    save_board(simulated(), tmp_path / "board.json")
    (tmp_path / "p.wbz").write_bytes(bundle("fus-2.2.0", "stack-fus2-4k", keys=[private("p256")]))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "300"})


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def subclasses(kind: type[FlasherError]) -> Iterator[type[FlasherError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def example(kind: type[FlasherError]) -> FlasherError:
    """One error of a class, with a text of two sentences' length."""
    if kind is errors.RefusedError:
        return errors.RefusedError("the first reason", "the second reason")
    if kind is errors.FusError:
        return errors.FusError("FUS reports an error", 0xFF, 0x01)
    if kind is InputError:
        return InputError("p.wbz: refused", is_refused=True)
    if kind is errors.LostWhileFusWorksError:
        return errors.LostWhileFusWorksError(errors.TransferError("reading 4 bytes failed"))
    return kind("what happened: where: why")


@pytest.mark.parametrize("kind", sorted(set(subclasses(FlasherError)), key=str))
def test_json_and_text_say_the_same(kind: type[FlasherError], monkeypatch: pytest.MonkeyPatch) -> None:
    error = example(kind)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(flasher.install, "install", fail)
    text = run("install", "p.wbz", *TRUST, *BOARD)
    lines = run("install", "p.wbz", *TRUST, *BOARD, "--json-lines")
    result = events(lines)[-1]
    assert result.keys() == MEMBERS
    assert text.exit_code == lines.exit_code == result["code"] == error.code
    printed = [line.removeprefix("flasher: ") for line in text.stderr.splitlines()]
    assert "\n".join(printed) == result["error"]
    assert result["fus_may_be_running"] == error.is_fus_at_work
    assert result["safe_to_power_off"] == (not error.is_fus_at_work)


EARLY = [
    (3, ("install", "p.wbz", "--trust", str(public_file("stranger")), *BOARD)),
    (4, ("install", "none.wbz", *TRUST, *BOARD)),
    (4, ("install", "p.wbz", "--trust", "none.pub", *BOARD)),
    (2, ("install", "p.wbz", *TRUST, "--threshold", "2", *BOARD)),
    (2, ("install", "p.wbz", *TRUST, *BOARD, "--erase-application", "all")),
    (2, ("install", "p.wbz", *TRUST, "--probe", "nonsense")),
    (4, ("install", "p.wbz", *TRUST, "--probe", "sim:none.json")),
    (5, ("install", "p.wbz", *TRUST, "--probe", "jlink")),
    (4, ("delete", "--probe", "sim:none.json")),
    (4, ("start-stack", "--probe", "sim:none.json")),
]


@pytest.mark.parametrize(("code", "arguments"), EARLY)
def test_a_run_that_never_reached_the_chip_has_a_result(code: int, arguments: tuple[str, ...]) -> None:
    text, lines = run(*arguments), run(*arguments, "--json-lines")
    (result,) = events(lines)
    assert result.keys() == MEMBERS
    assert text.exit_code == lines.exit_code == result["code"] == code
    assert text.stderr == f"flasher: {result['error']}\n"
    assert (result["fus_may_be_running"], result["safe_to_power_off"]) == (None, None), "nothing is known of the chip"
    assert (result["uid"], result["before"], result["changed"]) == (None, None, False)


def test_a_result_tells_what_was_done() -> None:
    done = events(run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD, "--json-lines"))
    result = done[-1]
    assert (result["code"], result["error"], result["changed"]) == (0, None, True)
    assert (result["before"], result["fus"], result["stack"]) == ({"fus": "1.2.0", "stack": None}, "2.2.0", "1.24.0.1")
    assert result["bundle"].keys() == {"name", "sequence", "sha256", "signers"}
    assert [step["result"] for step in result["steps"]] == ["done"] * 3
    assert all(step["duration_s"] >= 0 for step in result["steps"])
    assert (result["safe_to_power_off"], result["resumable"]) == (True, False)
    again = events(run("install", "p.wbz", *TRUST, *BOARD, "--json-lines"))[-1]
    assert (again["code"], again["changed"], again["steps"]) == (0, False, [])


def test_a_lost_link_names_the_step_and_the_next_run_resumes() -> None:
    run("sim", "fault", "board.json", "link-lost@install-fus")
    lost = events(run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD, "--json-lines"))[-1]
    assert (lost["code"], lost["fus_may_be_running"], lost["safe_to_power_off"]) == (5, True, False)
    assert (lost["resumable"], lost["changed"]) == (True, True)
    assert lost["error"].startswith("Do NOT power off or reset the board: FUS may still be running.")
    assert [step["result"] for step in lost["steps"]] == ["failed", "not-started", "not-started"]
    resumed = events(run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD, "--json-lines"))
    assert resumed[0]["event"] == "resume"
    assert resumed[0]["step"].startswith("install-fus 2.2.0")


def test_progress_and_plan_count_the_bytes_of_the_file() -> None:
    size = len(content("fus-2.2.0"))
    plan = json.loads(run("plan", "p.wbz", *TRUST, *ACCEPT, *BOARD, "--json").stdout)
    lines = events(run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD, "--json-lines"))
    moved = [line for line in lines if line["event"] == "progress" and line["step"].startswith("install-fus")]
    assert plan["steps"][0]["writes_bytes"] == size
    assert (moved[-1]["done"], moved[-1]["of"]) == (size, size)


def test_a_deleted_stack_is_a_change() -> None:
    run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD)
    result = events(run("delete", *BOARD, "--json-lines"))[-1]
    assert (result["before"]["stack"], result["stack"], result["changed"]) == ("1.24.0.1", None, True)
    assert events(run("delete", *BOARD, "--json-lines"))[-1]["changed"] is False


def test_repeated_states_are_one_event_with_a_count() -> None:
    lines = events(run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD, "--json-lines"))
    states = [line for line in lines if line["event"] == "state" and line["text"].startswith("0x")]
    assert max(state["count"] for state in states) > 1
    for first, second in itertools.pairwise(lines):
        same = first.get("text") == second.get("text") and first["event"] == second["event"] == "state"
        assert not same, (first, second)


def test_a_defect_of_the_program_has_a_result_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(flasher.install, "install", crash)
    result = events(run("install", "p.wbz", *TRUST, *BOARD, "--json-lines"))[-1]
    assert (result["code"], result["fus_may_be_running"]) == (1, None)
    assert "ZeroDivisionError: division by zero: this is a defect of flasher" in result["error"]


def test_the_journal_is_shown_as_text_json_and_csv(folder: Path) -> None:
    run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD)
    (path,) = (folder / "journals").glob("*.jsonl")
    assert f"{path.stem}  done  bundle product, sequence 7" in run("journal").stdout
    assert "step=install-fus 2.2.0 at 0x080F3000" in run("journal", path.stem[:6]).stdout
    document = json.loads(run("journal", "--json").stdout)
    (chip,) = document["chips"]
    assert (document["schema"], chip["state"], chip["torn_lines"]) == ("flasher.journal/1", "done", [])
    rows = run("journal", "--format", "csv").stdout.splitlines()
    assert rows[0].startswith("uid,time,event,step,bundle")
    assert len(rows) == 1 + len(chip["entries"])


def test_a_torn_line_is_reported_and_a_damaged_one_refused(folder: Path) -> None:
    run("install", "p.wbz", *TRUST, *ACCEPT, *BOARD)
    (path,) = (folder / "journals").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "st')
    assert "was cut short by a crash and never acted on" in run("journal").stdout
    path.write_bytes(b"nonsense\n" + whole)
    refused = run("journal")
    assert refused.exit_code == 4
    assert "line 1 is damaged" in refused.stderr
