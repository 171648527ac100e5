"""Fuzz every reader for some time with atheris and print what came of it: `python tests/fuzz/run.py --seconds 1200`.

Each target runs in a process of its own, which starts again when an input has killed it. Findings are files in
`--out`, each beside the traceback that it caused; one for each place in the code that an error came from.
"""

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

_HANG_SECONDS = 30
_MEMORY_MIB = 2048


def fuzz(name: str, seconds: int, out: Path) -> None:
    """Fuzz one target in this process, which atheris ends."""
    import atheris

    with atheris.instrument_imports(include=["imagekit", "flasher", "intelhex", "elftools"]):
        from tests.fuzz.mutate import mutate
        from tests.fuzz.targets import TARGETS_BY_NAME

        with suppress(*TARGETS_BY_NAME[name].allowed):
            # Imports what is imported when it is used; that can take longer than the limit for an input.
            TARGETS_BY_NAME[name].run(next(TARGETS_BY_NAME[name].seeds()))
    target, corpus, seen, count, told = TARGETS_BY_NAME[name], out / "corpus", set[str](), 0, 0.0
    corpus.mkdir(exist_ok=True)
    found = [path.read_bytes() for path in (ROOT / "tests" / "fuzz" / "findings" / name).glob("*")]
    for one in (*target.seeds(), *found):
        (corpus / sha256(one).hexdigest()[:16]).write_bytes(one)

    def try_one(data: bytes) -> None:
        nonlocal count, told
        count += 1
        try:
            target.try_one(data)
        except Exception as error:  # noqa: BLE001 - whatever comes out is a finding
            place = _place(error)
            if place not in seen:
                seen.add(place)
                kept = out / f"{type(error).__name__}-{sha256(place.encode()).hexdigest()[:8]}"
                kept.write_bytes(data)
                kept.with_suffix(".txt").write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
        if time.monotonic() > told + 1:
            told = time.monotonic()
            (out / "executions").write_text(str(count), encoding="ascii")

    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        chance = Random(seed)  # noqa: S311
        return mutate(data, chance)[:max_size] if chance.random() < 0.6 else atheris.Mutate(data, max_size)

    options = [f"-max_total_time={seconds}", f"-timeout={_HANG_SECONDS}", f"-rss_limit_mb={_MEMORY_MIB}"]
    options += [f"-artifact_prefix={out}/", "-print_final_stats=1", "-max_len=65536"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], try_one, custom_mutator=custom_mutator)
    atheris.Fuzz()


def _place(error: Exception) -> str:
    """What error it was, and the innermost function of the project's own that it came through."""
    own = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(str(ROOT))]
    readers = [one for one in own if "/tests/" not in one.filename] or own
    return f"{type(error).__name__} {readers[-1].filename} {readers[-1].name}"


def run(name: str, seconds: int, out: Path) -> dict[str, Any]:
    """Fuzz one target in processes until its time is over; what the table says of it."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    began, executions = time.monotonic(), 0
    with (folder / "log").open("ab") as log:
        while (left := seconds - int(time.monotonic() - began)) > 0:
            (folder / "executions").unlink(missing_ok=True)
            command = [sys.executable, __file__, "--child", name, "--seconds", str(left), "--out", str(folder)]
            subprocess.run(command, stdout=log, stderr=log, check=False)
            executions += int((folder / "executions").read_text(encoding="ascii"))
    kept = [one for one in folder.iterdir() if one.is_file() and one.suffix != ".txt"]
    findings = len(kept) - 2  # beside the log and the number of executions
    return {"target": name, "seconds": int(time.monotonic() - began), "executions": executions, "findings": findings}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="how many targets at a time")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "imagekit-fuzz")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", help="all of them unless given")
    chosen = parser.parse_args()
    if chosen.child:
        fuzz(chosen.child, chosen.seconds, chosen.out)
        return
    from tests.fuzz.targets import TARGETS_BY_NAME

    with ThreadPoolExecutor(chosen.jobs) as pool:
        print("| target | seconds | executions | findings |\n|---|---:|---:|---:|")
        names = chosen.targets or list(TARGETS_BY_NAME)
        for row in pool.map(lambda name: run(name, chosen.seconds, chosen.out), names):
            print("| {target} | {seconds} | {executions} | {findings} |".format(**row), flush=True)
    print(f"findings: {chosen.out}")


if __name__ == "__main__":
    main()
