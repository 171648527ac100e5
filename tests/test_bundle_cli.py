"""The bundle commands as people and scripts use them: exit codes, streams, awkward inputs, half-done writes."""

import base64
import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner, Result

from imagekit.bundle import unverified as unverified_module
from imagekit.bundle.archive import read_archive
from imagekit.bundle.envelope import loads as read_envelope
from imagekit.bundle.keys import fingerprint, sign
from imagekit.cli.program import app
from imagekit.files import locked_file, write_file
from tests.support.bundles import BUNDLES, fixture, private, public, public_file
from tests.support.images import IMAGES, content, throw_away_keys

FUS, STACK = str(IMAGES / "fus-2.2.0.bin"), str(IMAGES / "stack-fus2-4k.bin")
PART = ("--part", "STM32WB55RG")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl on this machine")


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["bundle", *map(str, arguments)], env={"COLUMNS": "300", **(env or {})})


def refused(result: Result, code: int, words: str) -> None:
    """It ended with this code, one error on standard error and nothing on standard output."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    errors = [line for line in result.stderr.splitlines() if ": warning: " not in line]
    assert words in "\n".join(errors)
    assert code == 2 or len(errors) == 1
    assert "Traceback" not in result.output


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with private keys, in which the throw-away keys are ST's."""
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.chdir(tmp_path)
    for name in ("ed25519", "p256", "stranger"):
        pem = private(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{name}.pem").write_bytes(pem)
        (tmp_path / f"{name}.pem").chmod(0o600)
    return tmp_path


def sign_bytes(name: str, message: bytes) -> bytes:
    return sign(private(name), message)


def left_behind(folder: Path) -> set[str]:
    """What is in the folder beside the keys."""
    return {path.name for path in folder.iterdir()} - {"ed25519.pem", "p256.pem", "stranger.pem"}


def create(out: str = "product.wbz", *more: object, key: str = "ed25519.pem") -> Result:
    signing = ("--key", key) if key else ()
    return run("create", out, FUS, STACK, *PART, *signing, *more)


def verify(path: object, *names: str, more: tuple[str, ...] = ()) -> Result:
    return run("verify", path, *(part for name in names for part in ("--trust", public_file(name))), *more)


# --- create


def test_create_and_verify(folder: Path) -> None:
    made = create()
    assert (made.exit_code, made.stdout) == (0, "")
    assert made.stderr.splitlines()[-1] == "imagekit: product.wbz: 2 images, sequence 0"
    result = verify("product.wbz", "ed25519")
    assert result.exit_code == 0
    for words in ("product", "2023-11-14T22:13:20Z", "(trusted)", "0x080EF000 on STM32WB5xxG", "IRREVERSIBLE"):
        assert words in result.stdout
    assert left_behind(folder) == {"product.wbz"}


def test_the_same_inputs_give_the_same_bytes(folder: Path) -> None:
    for key in ("ed25519", "p256"):
        for name in ("a", "b"):
            assert create(f"{name}.wbz", "--name", "same", key=f"{key}.pem").exit_code == 0
        assert (folder / "a.wbz").read_bytes() == (folder / "b.wbz").read_bytes()
        for name in ("a", "b"):
            (folder / f"{name}.wbz").unlink()


@pytest.mark.parametrize("epoch", ["", "-1", "1.5", "now", "9" * 30, "9" * 5000, "٣", "253402300800"])
def test_source_date_epoch_is_a_number_of_seconds(epoch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    refused(create(), 2, "is not a number of seconds")


def test_without_source_date_epoch_it_is_now(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    monkeypatch.setattr("time.time", lambda: 86400.5)
    create()
    assert b"1970-01-02T00:00:00Z" in read_envelope(_envelope(folder / "product.wbz")).payload


def test_several_parts_and_what_the_manifest_says() -> None:
    assert create("product.wbz", "--part", "STM32WB35CE", "--sequence", "9", "--name", "Box 2").exit_code == 0
    result = verify("product.wbz", "ed25519", more=("--json",))
    document = json.loads(result.stdout)
    assert document["schema"] == "imagekit.bundle/1"
    assert (document["name"], document["sequence"]) == ("Box 2", 9)
    assert document["targets"] == ["STM32WB5xxG", "STM32WB3xxE"]
    assert document["signers"] == [fingerprint(public("ed25519"))]
    assert [step["gives"] for step in document["steps"]] == ["2.2.0", "1.24.0"]
    assert document["steps"][0]["addresses"].keys() == {"STM32WB5xxG", "STM32WB3xxE"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["x.wbz", FUS, "--part", "STM32WB55RG", "--part", "STM32WB15CC"], 3, "sectors of"),
        (["x.wbz", STACK, IMAGES / "stack-4k.bin", *PART], 3, "2 stacks or Safeboots"),
        (["x.wbz", STACK, IMAGES / "fus-hidden-version.bin", *PART], 3, "FUS 1.2.0 cannot install"),
        (["x.wbz", IMAGES / "no-carriage-returns-unsigned.bin", *PART], 3, "--waive WB201=REASON"),
        (["x.wbz", IMAGES / "damaged-info2.bin", *PART, "--waive", "WB101=because"], 3, "WB101"),
        (["x.wbz", STACK, *PART, "--waive", "WB201=because"], 3, "no image has this error"),
        (["x.wbz", IMAGES / "text.bin", *PART], 4, "not an image"),
        (["x.wbz", "missing.bin", *PART], 4, "no such file"),
        (["x.wbz", STACK, *PART, "--key", "missing.pem"], 4, "no such file"),
        (["x.wbz", STACK, *PART, "--name", "../x"], 2, "beginning with a letter or digit"),
        (["x.wbz", STACK, *PART, "--name", ""], 2, "beginning with a letter or digit"),
        (["x.wbz", STACK, *PART, "--name", "x "], 2, "not ending with a space"),
        (["x.wbz", STACK, *PART, "--name", "my  x"], 2, "single spaces"),
        (["x.wbz", STACK, *PART, "--name", "x\n"], 2, "the name of the product"),
        (["b\u00f6x.wbz", STACK, *PART], 2, "cannot be the name of the product"),
        (["x.wbz", STACK, *PART, "--key", "p256.pem", "--key", "p256.pem"], 2, "the same key is given twice"),
        (["x.wbz", STACK, *PART, *["--key", "p256.pem"] * 17], 2, "17 keys: a bundle has at most 16 signatures"),
        (["x.wbz", STACK, *PART, "--waive", "WB201=gr\u00fcn"], 2, "printable ASCII"),
        (["x.wbz", STACK, *PART, "--waive", "WB201=" + "x" * 501], 2, "1 to 500 characters"),
        (["x.wbz", STACK, *PART, "--waive", "WB201:other.bin=because"], 2, "WB201:FILE='why'"),
        (["x.wbz", STACK, *PART, "--waive", "WB201"], 2, "WB201='why it may ship'"),
        (["x.wbz", STACK, *PART, "--waive", "WB999=because"], 2, "WB999"),
        (["x.wbz", STACK, *PART, "--sequence", "-1"], 2, "-1 is not in the range x>=0"),
        (["x.wbz", STACK, "--part", "STM32WB55"], 2, "last letter"),
        (["x.wbz", STACK], 2, "--part"),
        (["missing/x.wbz", STACK, *PART], 4, "no such file"),
        (["./", STACK, *PART, "--name", "x"], 4, "exists already"),
    ],
)
def test_what_create_refuses(arguments: list[object], code: int, words: str, folder: Path) -> None:
    refused(run("create", *arguments), code, words)
    assert left_behind(folder) == set()


def test_a_waiver_is_reported_signed_and_shown() -> None:
    image = IMAGES / "no-carriage-returns-unsigned.bin"
    made = run("create", "w.wbz", image, *PART, "--key", "p256.pem", "--waive", "wb201= tried on the bench ")
    assert f"{image}: waived WB201, the signature matches no known ST key" in made.stderr
    assert ": tried on the bench\n" in made.stderr
    shown = verify("w.wbz", "p256").stdout
    assert "WB201: tried on the bench" in shown
    assert "the signature matches no known ST key" in shown
    assert "not verified" in run("show", "w.wbz").stdout


def _waiver_file(path: Path, rule: str, more: str = "") -> None:
    path.write_text(f'[[waiver]]\nrule = "{rule}"\nfiles = "*.bin"\nreason = "tried on the bench"\n{more}')


@pytest.mark.parametrize(("name", "options"), [("imagekit.toml", ()), ("own.toml", ("--waivers", "own.toml"))])
def test_create_takes_waivers_from_a_waiver_file(name: str, options: tuple[str, ...], folder: Path) -> None:
    image = folder / "stack.bin"
    image.write_bytes(content("no-carriage-returns-unsigned"))
    _waiver_file(folder / name, "WB201")
    made = run("create", "w.wbz", image, *PART, "--key", "p256.pem", *options)
    assert made.exit_code == 0, made.stderr
    assert f"{image}: waived WB201, the signature matches no known ST key" in made.stderr
    assert "WB201: tried on the bench" in verify("w.wbz", "p256").stdout


def test_a_typed_waiver_replaces_that_of_the_file(folder: Path) -> None:
    image = folder / "stack.bin"
    image.write_bytes(content("no-carriage-returns-unsigned"))
    _waiver_file(folder / "imagekit.toml", "WB201")
    made = run("create", "w.wbz", image, *PART, "--key", "p256.pem", "--waive", "WB201=typed")
    assert made.exit_code == 0, made.stderr
    shown = verify("w.wbz", "p256").stdout
    assert "WB201: typed" in shown
    assert "tried on the bench" not in shown


def test_a_waiver_file_accepts_no_error_that_is_final(folder: Path) -> None:
    image = folder / "stack.bin"
    image.write_bytes(content("damaged-info2"))
    _waiver_file(folder / "imagekit.toml", "WB101")
    refused(run("create", "w.wbz", image, *PART), 3, "WB101 cannot be waived")


def test_an_expired_waiver_of_a_file_is_named(folder: Path) -> None:
    image = folder / "stack.bin"
    image.write_bytes(content("no-carriage-returns-unsigned"))
    _waiver_file(folder / "imagekit.toml", "WB201", "expires = 2020-01-01\n")
    result = run("create", "w.wbz", image, *PART)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "the waiver of WB201 for *.bin expired on 2020-01-01 and is ignored" in result.stderr
    assert "WB201 the signature matches no known ST key" in result.stderr


def test_a_reason_that_a_bundle_cannot_hold_is_wrong_usage(folder: Path) -> None:
    image = folder / "stack.bin"
    image.write_bytes(content("no-carriage-returns-unsigned"))
    waiver = '[[waiver]]\nrule = "WB201"\nfiles = "*.bin"\nreason = "gr\u00fcn"\n'
    (folder / "imagekit.toml").write_text(waiver, encoding="utf-8")
    refused(run("create", "w.wbz", image, *PART), 2, "printable ASCII")


@pytest.mark.parametrize("name", [FUS, "ed25519.pem"])
def test_no_input_is_written_over(name: str, folder: Path) -> None:
    copy = folder / "copy.bin"
    copy.write_bytes(content("fus-2.2.0"))
    (folder / "link").symlink_to("copy.bin" if name == FUS else name)
    for out in ("link", "./copy.bin" if name == FUS else f"./{name}"):
        refused(run("create", out, copy, *PART, "--key", "ed25519.pem"), 2, "is one of the inputs")
    assert copy.read_bytes() == content("fus-2.2.0")


def test_a_bundle_to_standard_output_is_the_same_bytes(folder: Path) -> None:
    assert create("product.wbz").exit_code == 0
    assert create("-", "--name", "product").stdout_bytes == (folder / "product.wbz").read_bytes()


# --- verify, show


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([BUNDLES / "image-altered.wbz"], 3, "do not have the SHA-256"),
        ([BUNDLES / "signed-unknown-key-only.wbz"], 3, "not signed by any trusted key (1 required)"),
        ([BUNDLES / "data-before.wbz"], 3, "before the first member"),
        ([BUNDLES / "name-control-characters.wbz"], 3, r"\x1b"),
        ([BUNDLES / "not-a-bundle.wbz"], 4, "not a bundle"),
        ([BUNDLES / "nothing.wbz"], 4, "not a bundle"),
        (["missing.wbz"], 4, "no such file"),
        ([BUNDLES], 4, "is a directory"),
        ([BUNDLES / "good-ed25519.wbz", "--threshold", "2"], 2, "2 signatures are required, but --trust gives 1 key"),
        ([BUNDLES / "good-ed25519.wbz", "--threshold", "0"], 2, "--threshold"),
        ([BUNDLES / "good-ed25519.wbz", "--trust", public_file("ed25519")], 4, "given twice"),
        ([BUNDLES / "good-ed25519.wbz", "--trust", "missing.pub"], 4, "no such file"),
        ([BUNDLES / "good-ed25519.wbz", "--trust", "ed25519.pem"], 4, "holds a private key"),
    ],
)
def test_what_verify_refuses(arguments: list[object], code: int, words: str) -> None:
    refused(run("verify", *arguments, "--trust", public_file("ed25519")), code, words)


def test_without_trust_a_bundle_is_not_verified() -> None:
    refused(run("verify", BUNDLES / "good-ed25519.wbz"), 2, "--trust")


def test_trust_may_come_from_one_file_or_several(folder: Path) -> None:
    both = folder / "both.pub"
    both.write_bytes(public_file("ed25519").read_bytes() + public_file("p256").read_bytes())
    two = BUNDLES / "good-two-signers.wbz"
    assert run("verify", two, "--trust", both, "--threshold", 2).exit_code == 0
    assert verify(two, "ed25519", "p256", more=("--threshold", "2")).exit_code == 0
    refused(
        verify(two, "ed25519", "stranger", more=("--threshold", "2")), 3, "signed by 1 trusted key only (2 required"
    )


def test_an_untrusted_signer_is_reported() -> None:
    result = verify(BUNDLES / "good-with-a-stranger.wbz", "ed25519")
    assert f"by {fingerprint(public('stranger'))} (not trusted, not counted)" in result.stdout


def test_show_says_that_it_verifies_nothing(folder: Path) -> None:
    assert f"by {fingerprint(public('ed25519'))}: NOT VERIFIED" in run("show", BUNDLES / "good-ed25519.wbz").stdout
    (folder / "unsigned.wbz").write_bytes(fixture("signed-nobody"))
    assert "not signed" in run("show", "unsigned.wbz").stdout
    refused(run("show", BUNDLES / "lying-address.wbz"), 3, "but it must be")
    refused(run("show", BUNDLES / "not-a-bundle.wbz"), 4, "not a bundle")


# --- payload, attach


def raw(der: bytes) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))


@needs_openssl
@pytest.mark.parametrize("how", ["ed25519", "p256", "p256-raw"])
def test_openssl_signs_what_payload_writes(how: str, folder: Path) -> None:
    key = how.removesuffix("-raw")
    assert "not signed" in create(key="").stderr
    assert run("payload", "product.wbz", "--out", "product.pae").exit_code == 0
    sign = ["pkeyutl", "-sign", "-rawin", "-inkey", f"{key}.pem", "-in", "product.pae", "-out", "sig"]
    if key == "p256":
        sign = ["dgst", "-sha256", "-sign", "p256.pem", "-out", "sig", "product.pae"]
    subprocess.run(["openssl", *sign], check=True, capture_output=True)
    if how.endswith("raw"):
        (folder / "sig").write_bytes(raw((folder / "sig").read_bytes()))
    attach = ("attach", "product.wbz", "--signature", "sig", "--key", public_file(key))
    assert run(*attach).exit_code == 0
    assert verify("product.wbz", key).exit_code == 0
    before = (folder / "product.wbz").read_bytes()
    refused(run(*attach), 4, "has signed this bundle already")
    assert (folder / "product.wbz").read_bytes() == before


def test_payload_to_standard_output_is_the_same_bytes(folder: Path) -> None:
    create()
    run("payload", "product.wbz", "-o", "product.pae")
    assert run("payload", "product.wbz", "-o", "-").stdout_bytes == (folder / "product.pae").read_bytes()
    assert (folder / "product.pae").read_bytes() == read_envelope(_envelope(folder / "product.wbz")).signed
    refused(run("payload", "product.wbz", "-o", "./product.wbz"), 2, "is one of the inputs")


def test_a_second_signer_and_a_threshold_of_two(folder: Path) -> None:
    create()
    alone = (folder / "product.wbz").read_bytes()
    run("payload", "product.wbz", "-o", "pae")
    (folder / "sig").write_bytes(sign_bytes("p256", (folder / "pae").read_bytes()))
    refused(verify("product.wbz", "ed25519", "p256", more=("--threshold", "2")), 3, "2 required")
    assert run("attach", "product.wbz", "--signature", "sig", "--key", public_file("p256")).exit_code == 0
    assert verify("product.wbz", "ed25519", "p256", more=("--threshold", "2")).exit_code == 0
    assert (folder / "product.wbz").read_bytes() != alone
    run("create", "both.wbz", FUS, STACK, *PART, "--name", "product", "--key", "p256.pem", "--key", "ed25519.pem")
    assert (folder / "both.wbz").read_bytes() == (folder / "product.wbz").read_bytes()


@pytest.mark.parametrize(
    ("signature", "key", "words"),
    [
        (b"", "p256", "not a signature in DER, nor r || s"),
        (b"hello", "p256", "not a signature in DER, nor r || s"),
        (bytes(64), "p256", "not a signature of this bundle"),
        (b"\xff" * 64, "p256", "not a signature in DER, nor r || s"),
        (bytes(64), "ed25519", "not a signature of this bundle"),
        (b"", "ed25519", "not a signature of this bundle"),
    ],
)
def test_a_wrong_signature_is_not_attached(signature: bytes, key: str, words: str, folder: Path) -> None:
    create(key="")
    before = (folder / "product.wbz").read_bytes()
    (folder / "sig").write_bytes(signature)
    refused(run("attach", "product.wbz", "--signature", "sig", "--key", public_file(key)), 4, words)
    assert (folder / "product.wbz").read_bytes() == before


def test_a_signature_comes_with_one_key(folder: Path) -> None:
    create(key="")
    (folder / "sig").write_bytes(bytes(64))
    both = folder / "both.pub"
    both.write_bytes(public_file("ed25519").read_bytes() + public_file("p256").read_bytes())
    refused(run("attach", "product.wbz", "--signature", "sig", "--key", both), 2, "holds 2 keys")


# --- extract


def test_extract_gives_the_bytes_back(folder: Path) -> None:
    trust = ("--trust", public_file("ed25519"))
    result = run("extract", BUNDLES / "good-ed25519.wbz", "out", *trust)
    assert result.stdout.split() == ["out/1-fus-2.2.0.bin", "out/2-stack-1.24.0.bin", "out/manifest.json"]
    assert (folder / "out/1-fus-2.2.0.bin").read_bytes() == content("fus-2.2.0")
    assert (folder / "out/2-stack-1.24.0.bin").read_bytes() == content("stack-fus2-4k")
    assert (folder / "out/manifest.json").read_bytes() == read_envelope(_envelope(BUNDLES / "good-ed25519.wbz")).payload
    refused(run("extract", BUNDLES / "good-ed25519.wbz", "out", *trust), 4, "not empty")
    refused(run("extract", BUNDLES / "image-altered.wbz", "new", *trust), 3, "do not have the SHA-256")
    assert not (folder / "new").exists()
    refused(run("extract", BUNDLES / "good-ed25519.wbz", "ed25519.pem", *trust), 4, "exists and is not a folder")


def test_what_extract_prints_can_be_shown() -> None:
    result = run("extract", BUNDLES / "good-ed25519.wbz", "a\x1b[2J", "--trust", public_file("ed25519"))
    assert "\x1b" not in result.stdout


# --- Half-done writes


def _fail(error: BaseException) -> object:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


@pytest.mark.parametrize("what", ["fsync", "link"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_made_is_left(
    what: str, error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create("old.wbz", key="")
    before = (folder / "old.wbz").read_bytes()
    monkeypatch.setattr(os, what, _fail(error))
    for result in (create("new.wbz"), run("payload", "old.wbz", "-o", "new.pae")):
        assert result.exit_code == (4 if isinstance(error, OSError) else 130)
        assert isinstance(error, KeyboardInterrupt) or "no space left on device" in result.stderr
    assert left_behind(folder) == {"old.wbz"}
    assert (folder / "old.wbz").read_bytes() == before


def spawn(line: str) -> subprocess.CompletedProcess[bytes]:
    """Run the real program: a shell line that begins with `imagekit`."""
    line = f"PYTHONPATH='{BUNDLES.parents[1]}' '{sys.executable}' -m {line}"
    return subprocess.run(["bash", "-c", line], check=False, capture_output=True, timeout=60)


def test_the_real_program_says_one_line() -> None:
    good = BUNDLES / "good-ed25519.wbz"
    for line, code, words in (
        (f"imagekit bundle verify '{BUNDLES}/data-after.wbz' --trust '{public_file('p256')}'", 3, b"truncated"),
        (f"imagekit bundle verify '{BUNDLES}/not-a-bundle.wbz' --trust '{public_file('p256')}'", 4, b"not a bundle"),
        (f"imagekit bundle verify '{good}' --trust '{public_file('p256')}'", 3, b"not signed by any trusted key"),
        (f"imagekit bundle show '{good}'", 3, b"the manifest says 'test-wb5x-wb3x'"),
        ("imagekit keys generate missing/x.pem", 4, b"no such file"),
        (f"imagekit keys show '{public_file('p256')}' | true", 0, b""),
    ):
        result = spawn(line)
        assert (result.returncode, words in result.stderr, result.stderr.count(b"\n")) == (code, True, bool(words))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_device() -> None:
    refused(create("/dev/full", "--name", "x"), 4, "no space left on device")


def _envelope(path: Path) -> bytes:
    return read_archive(path.read_bytes())["manifest.dsse.json"]


def test_a_forgotten_out_does_not_cost_the_first_image(folder: Path) -> None:
    for name, path in (("fus.bin", FUS), ("stack.bin", STACK)):
        (folder / name).write_bytes(Path(path).read_bytes())
    result = run("create", "fus.bin", "stack.bin", *PART, "--key", "ed25519.pem")
    refused(result, 2, "OUT comes first, then the images")
    assert (folder / "fus.bin").read_bytes() == Path(FUS).read_bytes()


def test_a_read_only_file_is_not_replaced(folder: Path) -> None:
    (folder / "product.wbz").write_bytes(b"kept")
    (folder / "product.wbz").chmod(0o444)
    refused(create(), 4, "product.wbz: exists already. Delete it, or name another file.")
    assert (folder / "product.wbz").read_bytes() == b"kept"
    (folder / "product.wbz").chmod(0o644)
    (folder / "product.wbz").unlink()
    create(key="")
    (folder / "product.wbz").chmod(0o444)
    before = (folder / "product.wbz").read_bytes()
    (folder / "sig").write_bytes(sign_bytes("p256", read_envelope(_envelope(folder / "product.wbz")).signed))
    attach = run("attach", "product.wbz", "--signature", "sig", "--key", public_file("p256"))
    refused(attach, 4, "product.wbz: is read-only: not replaced")
    assert (folder / "product.wbz").read_bytes() == before


# --- What is told


def test_the_first_line_is_a_verdict() -> None:
    good, two = BUNDLES / "good-ed25519.wbz", BUNDLES / "good-two-signers.wbz"
    assert verify(good, "ed25519").stdout.startswith("valid: signed by 1 of 1 trusted key\n")
    assert verify(good, "ed25519", "p256").stdout.startswith("valid: signed by 1 of 2 trusted keys, 1 required\n")
    three = verify(two, "ed25519", "p256", "stranger", more=("--threshold", "2")).stdout
    assert three.startswith("valid: signed by 2 of 3 trusted keys, 2 required\n")
    assert run("show", good).stdout.startswith("NOT VERIFIED")


def test_which_boards_and_what_is_missing() -> None:
    both, stack = run("show", BUNDLES / "good-ed25519.wbz").stdout, run("show", BUNDLES / "good-two-signers.wbz").stdout
    assert "boards with FUS 1.2.0 and later" in both
    assert "it brings none" not in both
    assert "boards with FUS 2.0.0 and later" in stack
    assert "FUS 2.0.0 on the chip: the bundle holds no FUS" in stack
    assert "imagekit: fus.wbz: 1 image, sequence 0; not signed" in run("create", "fus.wbz", FUS, *PART).stderr
    fus = run("show", "fus.wbz").stdout
    assert "boards with FUS 1.2.0 and later, below 2.2.0" in fus
    assert "leaves    no stack" in fus


def test_the_document_of_show() -> None:
    document = json.loads(run("show", BUNDLES / "good-ed25519.wbz", "--json").stdout)
    verified = json.loads(verify(BUNDLES / "good-ed25519.wbz", "ed25519", more=("--json",)).stdout)
    assert (document["verified"], document["signers"]) == (False, [])
    assert verified["fus"] == [{"min": "1.2.0", "below": None}]
    assert {**document, "verified": True, "signers": verified["signers"]} == verified


def test_an_unknown_image_has_the_name_that_the_maker_gave(folder: Path) -> None:
    from tests.support.bundles import maker

    stack = maker().STACK
    path = f"predicate/images/{maker().sha256(stack)}/known_as"
    document = maker().changed(maker().statement(stack), path, "BLE_Stack_full of v9.9.9")
    (folder / "said.wbz").write_bytes(maker().bundle(document, stack))
    for result in (run("show", "said.wbz"), verify("said.wbz", "ed25519")):
        assert "; the maker of the bundle calls it BLE_Stack_full of v9.9.9" in result.stdout
    assert "is        not in the built-in catalogue" in run("show", BUNDLES / "good-two-signers.wbz").stdout


def test_the_name_of_a_file_counts_when_a_bundle_is_made(folder: Path) -> None:
    for name, image in (("stm32wb5x_FUS_fw.bin", STACK), ("stm32wb5x_FUS_fw_1_2_0.bin", FUS)):
        shutil.copy(image, folder / name)
    result = run("create", "x.wbz", "stm32wb5x_FUS_fw.bin", *PART)
    refused(result, 3, "stm32wb5x_FUS_fw.bin: WB402")
    assert not (folder / "x.wbz").exists()
    made = run("create", "x.wbz", "stm32wb5x_FUS_fw_1_2_0.bin", *PART)
    assert made.exit_code == 0
    assert "stm32wb5x_FUS_fw_1_2_0.bin: warning: WB403" in made.stderr


def test_warnings_are_printed_wherever_a_bundle_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from imagekit.rules.registry import Finding, Severity

    def found(*_: object, **__: object) -> tuple[Finding, ...]:
        return (Finding("WB405", Severity.WARNING, "it burns"),)

    for module in ("imagekit.bundle.verified.findings", "imagekit.cli.bundle_inputs.findings"):
        monkeypatch.setattr(module, found)
    assert f"{FUS}: warning: WB405 it burns\n" in create().stderr
    for result in (run("show", "product.wbz"), verify("product.wbz", "ed25519")):
        assert result.stdout.count("WB405 it burns") == 2
    document = json.loads(run("show", "product.wbz", "--json").stdout)
    assert document["images"][0]["warnings"] == [{"rule": "WB405", "message": "it burns"}]


def test_refusals_of_create_name_the_files_as_typed() -> None:
    for files, words in (
        ([STACK, IMAGES / "fus-hidden-version.bin"], f"FUS 1.2.0 cannot install {STACK}, which needs"),
        ([IMAGES / "no-carriage-returns-unsigned.bin"], f"{IMAGES / 'no-carriage-returns-unsigned.bin'}: WB201"),
    ):
        refused(run("create", "x.wbz", *files, *PART), 3, words)
    refused(
        run("create", "-", FUS, STACK, STACK, *PART, "--name", "x", "--waive", "WB201=x"), 3, "standard output: WB201"
    )


def test_what_is_there_is_never_written_over(folder: Path) -> None:
    assert create(key="").exit_code == 0
    refused(create(), 4, "product.wbz: exists already. Delete it, or name another file.")
    (folder / "link.wbz").symlink_to("nowhere")
    refused(create("link.wbz"), 4, "link.wbz: exists already")
    assert run("payload", "product.wbz", "-o", "pae").stderr == (
        "imagekit: pae: sign these bytes unchanged, then run "
        "`imagekit bundle attach product.wbz --signature SIG --key PUBLIC_KEY`\n"
    )
    refused(run("payload", "product.wbz", "-o", "pae"), 4, "pae: exists already")
    for count, key in ((1, "p256"), (2, "ed25519")):
        (folder / "sig").write_bytes(sign_bytes(key, (folder / "pae").read_bytes()))
        told = run("attach", "product.wbz", "--signature", "sig", "--key", public_file(key)).stderr
        assert told.startswith(f"imagekit: product.wbz: {count} signature{'s' * (count > 1)} now: ")
        assert fingerprint(public(key)) in told


def test_a_signature_in_base64_is_reported(folder: Path) -> None:
    create(key="")
    signed = sign_bytes("p256", read_envelope(_envelope(folder / "product.wbz")).signed)
    (folder / "sig").write_bytes(base64.encodebytes(signed))
    refused(run("attach", "product.wbz", "--signature", "sig", "--key", public_file("p256")), 4, "openssl base64 -d")


@pytest.mark.parametrize(
    ("name", "is_damage"),
    [("truncated", True), ("envelope-no-json", True), ("image-altered", False), ("manifest-nan", False)],
)
def test_damage_in_transfer_is_reported(name: str, is_damage: bool) -> None:
    result = verify(BUNDLES / f"{name}.wbz", "ed25519")
    assert result.stderr.endswith("this bundle is corrupted or was modified. Copy it again.\n") is is_damage


# --- Folders and modes


def test_extract_follows_no_link(folder: Path) -> None:
    trust = ("--trust", public_file("ed25519"))
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to("elsewhere")
    refused(run("extract", BUNDLES / "good-ed25519.wbz", "link", *trust), 4, "exists and is not a folder")
    assert list((folder / "elsewhere").iterdir()) == []
    (folder / "empty").mkdir(mode=0o750)
    assert run("extract", BUNDLES / "good-ed25519.wbz", "empty", *trust).exit_code == 0
    assert (folder / "empty").stat().st_mode & 0o777 == 0o750
    assert len(list((folder / "empty").iterdir())) == 3
    refused(run("extract", BUNDLES / "good-ed25519.wbz", "empty/", *trust), 4, "not empty")


@pytest.mark.parametrize("call", [1, 2, 3])
def test_extract_leaves_nothing_half_done(call: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fails(_: int) -> None:
        calls.append(1)
        if len(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    result = run("extract", BUNDLES / "good-ed25519.wbz", "out", "--trust", public_file("ed25519"))
    refused(result, 4, "no space left on device")
    assert left_behind(folder) == set()


def test_extract_into_the_folder_that_one_is_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    result = run("extract", BUNDLES / "good-ed25519.wbz", ".", "--trust", public_file("ed25519"))
    refused(result, 4, "is the current folder")


def test_a_file_keeps_its_mode_and_never_gets_one_by_its_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagekit.files import write_file

    monkeypatch.setattr(os, "chmod", _fail(AssertionError()))
    before = os.umask(0o027)
    try:
        write_file("new", b"1")
        monkeypatch.undo()
        monkeypatch.chdir(folder)
        (folder / "new").chmod(0o604)
        write_file("new", b"2")
        write_file("other", b"3")
    finally:
        os.umask(before)
    assert [(folder / name).stat().st_mode & 0o777 for name in ("new", "other")] == [0o604, 0o640]
    assert (folder / "new").read_bytes() == b"2"


def test_a_new_bundle_is_read_back_before_it_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(key="")
    before = (folder / "product.wbz").read_bytes()
    (folder / "sig").write_bytes(sign_bytes("p256", read_envelope(_envelope(folder / "product.wbz")).signed))
    monkeypatch.setattr("imagekit.bundle.archive.write_archive", lambda _: before[:-1])
    refused(create("new.wbz"), 3, "the end record is not at the end")
    attach = run("attach", "product.wbz", "--signature", "sig", "--key", public_file("p256"))
    refused(attach, 3, "the end record is not at the end")
    assert left_behind(folder) == {"product.wbz", "sig"}
    assert (folder / "product.wbz").read_bytes() == before


def test_nothing_that_is_written_replaces_a_private_key(folder: Path) -> None:
    before = (folder / "ed25519.pem").read_bytes()
    arguments = ["catalogue", "build", str(IMAGES), "-o", "ed25519.pem", "--release", "v1.0.0"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert result.exit_code != 0
    assert (folder / "ed25519.pem").read_bytes() == before
    with pytest.raises(PermissionError, match="holds a private key: not replaced"):
        write_file("ed25519.pem", b"anything")
    assert (folder / "ed25519.pem").read_bytes() == before


# --- the policy for FUS, and the date


def stated_by(*arguments: object) -> dict[str, object]:
    result = run("show", "product.wbz", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_create_upgrades_fus_only_where_needed_by_default() -> None:
    create()
    assert (stated_by()["fus_policy"], stated_by()["expires"]) == ("needed", None)
    assert "only where the last image needs it" in run("show", "product.wbz").stdout


def test_create_can_always_upgrade_fus() -> None:
    create("product.wbz", "--fus-policy", "always")
    assert stated_by()["fus_policy"] == "always"
    assert "always, when the FUS on the chip is older" in run("show", "product.wbz").stdout


def test_a_day_expires_at_its_end() -> None:
    create("product.wbz", "--expires", "2999-01-31")
    assert stated_by()["expires"] == "2999-01-31T23:59:59Z"
    assert verify("product.wbz", "ed25519").exit_code == 0


def test_verify_refuses_an_expired_bundle() -> None:
    create("product.wbz", "--expires", "2020-01-31T12:00:00Z")
    refused(verify("product.wbz", "ed25519"), 3, "it expired at 2020-01-31T12:00:00Z, and the clock of this computer")
    assert stated_by()["expires"] == "2020-01-31T12:00:00Z", "show does not verify"


@pytest.mark.parametrize("date", ["tomorrow", "2027-02-30", "2027-01-31 12:00", "31.1.2027"])
def test_a_date_in_another_form_is_wrong_usage(date: str) -> None:
    refused(create("product.wbz", "--expires", date), 2, "write it as 2027-01-31")


# --- Two programs at a time, and links in the way


@pytest.mark.skipif(sys.platform == "win32", reason="other locks on Windows")
def test_signatures_attached_in_parallel_all_stay(folder: Path) -> None:
    assert create(key="").exit_code == 0
    assert run("payload", "product.wbz", "-o", "product.pae").exit_code == 0
    names = ("ed25519", "p256", "stranger")
    for name in names:
        (folder / f"{name}.sig").write_bytes(sign_bytes(name, (folder / "product.pae").read_bytes()))
    started = [threading.Thread(target=attach_slowly, args=(name,)) for name in names]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    signed = read_envelope(read_archive((folder / "product.wbz").read_bytes())["manifest.dsse.json"])
    assert {signature.keyid for signature in signed.signatures} == {fingerprint(public(name)) for name in names}
    assert left_behind(folder) == {"product.wbz", "product.pae", *(f"{name}.sig" for name in names)}


def attach_slowly(name: str) -> None:
    """Attach a signature as the command does; between reading and writing there is time for the others."""
    with locked_file("product.wbz"):
        opened = unverified_module.read(Path("product.wbz").read_bytes(), throw_away_keys())
        time.sleep(0.05)
        data = unverified_module.attach(opened, public(name), Path(f"{name}.sig").read_bytes(), throw_away_keys())
        write_file("product.wbz", data)


@pytest.mark.skipif(sys.platform == "win32", reason="other locks on Windows")
def test_attach_waits_for_another_program(folder: Path) -> None:
    assert create(key="").exit_code == 0
    assert run("payload", "product.wbz", "-o", "product.pae").exit_code == 0
    (folder / "sig").write_bytes(sign_bytes("p256", (folder / "product.pae").read_bytes()))
    before = (folder / "product.wbz").read_bytes()
    arguments = ("attach", "product.wbz", "--signature", "sig", "--key", public_file("p256"))
    results: list[Result] = []
    with locked_file("product.wbz"):
        thread = threading.Thread(target=lambda: results.append(run(*arguments)))
        thread.start()
        thread.join(0.5)
        assert (results, (folder / "product.wbz").read_bytes()) == ([], before)
    thread.join()
    assert results[0].exit_code == 0, results[0].output


@pytest.mark.parametrize("command", ["create", "payload"])
def test_a_link_that_appears_at_the_output_is_not_followed(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert create("given.wbz").exit_code == 0
    (folder / "precious").write_bytes(b"mine")
    out = folder / ("new.wbz" if command == "create" else "new.pae")
    read_bundle = unverified_module.read

    def read_while_a_link_appears(*arguments: object) -> object:
        out.symlink_to(folder / "precious")
        return read_bundle(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(unverified_module, "read", read_while_a_link_appears)
    result = create("new.wbz") if command == "create" else run("payload", "given.wbz", "-o", "new.pae")
    refused(result, 4, "file exists")
    assert (folder / "precious").read_bytes() == b"mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
@pytest.mark.parametrize("command", ["show", "verify", "attach", "trust", "key"])
def test_a_pipe_is_not_waited_for(command: str, folder: Path) -> None:
    assert create("given.wbz").exit_code == 0
    os.mkfifo(folder / "pipe")
    key = public_file("p256")
    arguments: dict[str, tuple[object, ...]] = {
        "show": ("show", "pipe"),
        "verify": ("verify", "pipe", "--trust", key),
        "attach": ("attach", "pipe", "--signature", "given.wbz", "--key", key),
        "trust": ("verify", "given.wbz", "--trust", "pipe"),
        "key": ("create", "new.wbz", STACK, *PART, "--key", "pipe"),
    }
    refused(run(*arguments[command]), 4, "pipe: is not a regular file")
