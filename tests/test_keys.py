"""The keys that sign bundles: files that are private and never written over, passphrases, keys of the wrong kind."""

import base64
import errno
import getpass
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from typer.testing import CliRunner, Result

from imagekit.bundle.keys import (
    _SMALL_ORDER,
    MOST_KEYS,
    distinct,
    fingerprint,
    generate,
    load_private_key,
    load_public_keys,
)
from imagekit.bundle.keys import private_pem as our_private_pem
from imagekit.cli.console import public_keys
from imagekit.cli.key_files import new_passphrase
from imagekit.cli.program import app
from imagekit.errors import KeyFileError
from imagekit.files import key_files
from tests.support.bundles import maker, public, public_file
from tests.support.images import IMAGES, throw_away_keys

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PASSPHRASE = "correct horse"  # noqa: S105 - of a key that lives for one test


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A terminal at which these are typed, one for each question."""
    typed: list[str] = []
    monkeypatch.setattr("imagekit.cli.key_files.sys.stdin", _Terminal())
    monkeypatch.setattr(getpass, "getpass", lambda _: typed.pop(0))
    return typed


class _Terminal:
    def isatty(self) -> bool:
        return True


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["keys", *map(str, arguments)], env={"COLUMNS": "300"})


def refused(result: Result, code: int, words: str) -> None:
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert words in result.stderr
    assert code == 2 or result.stderr.count("\n") == 1


def private_pem(key: object, passphrase: str | None = None) -> bytes:
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    assert isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def public_pem(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


RSA = rsa.generate_private_key(65537, 2048)
P384 = ec.generate_private_key(ec.SECP384R1())
K256 = ec.generate_private_key(ec.SECP256K1())
GOOD = ed25519.Ed25519PrivateKey.generate()

# --- Files


@pytest.mark.parametrize("type_", ["ed25519", "p256"])
@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_a_pair_of_files_one_of_them_private(type_: str, umask: int, folder: Path) -> None:
    before = os.umask(umask)
    try:
        result = run("generate", "release.pem", "--type", type_)
    finally:
        os.umask(before)
    assert (result.exit_code, result.stderr) == (0, "")
    assert stat.S_IMODE((folder / "release.pem").stat().st_mode) == 0o600
    key = load_private_key((folder / "release.pem").read_bytes())
    (trusted,) = load_public_keys((folder / "release.pub").read_bytes())
    assert fingerprint(key.public_key()) == fingerprint(trusted) == result.stdout.split()[0]
    assert {path.name for path in folder.iterdir()} == {"release.pem", "release.pub"}


@pytest.mark.parametrize("there", ["release.pem", "release.pub"])
@pytest.mark.parametrize("is_link", [False, True])
def test_no_key_is_ever_written_over(there: str, is_link: bool, folder: Path) -> None:
    if is_link:
        (folder / there).symlink_to("nowhere")
    else:
        (folder / there).write_bytes(b"mine")
    refused(run("generate", "release.pem"), 4, f"{there}: exists already")
    assert [path.name for path in folder.iterdir()] == [there]


def test_the_private_key_is_not_called_as_the_public_one(folder: Path) -> None:
    refused(run("generate", "release.pub"), 2, "would be the name of the public key")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_both_files_are_written_or_neither(
    call: int, error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fails(_: int) -> None:
        calls.append(1)
        if len(calls) == call:
            raise error

    monkeypatch.setattr(os, "fsync", fails)
    result = run("generate", "release.pem")
    assert result.exit_code == (4 if isinstance(error, OSError) else 130)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there() -> None:
    refused(run("generate", "missing/release.pem"), 4, "no such file")


# --- Passphrases


def test_a_passphrase_opens_the_key(folder: Path, terminal: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagekit.cli.keys.new_passphrase", lambda _: PASSPHRASE)
    assert run("generate", "release.pem", "--passphrase").exit_code == 0
    pem = (folder / "release.pem").read_bytes()
    assert b"ENCRYPTED" in pem
    assert isinstance(load_pem_private_key(pem, PASSPHRASE.encode()), ed25519.Ed25519PrivateKey)
    monkeypatch.setattr("imagekit.cli.key_files.sys.stdin", _Terminal())
    from imagekit.cli.key_files import private_key

    terminal += [PASSPHRASE, "wrong", ""]
    assert fingerprint(private_key("release.pem").public_key()) in run("show", "release.pub").stdout
    for _ in range(2):
        with pytest.raises(typer.Exit) as left:
            private_key("release.pem")
        assert left.value.exit_code == 4


def test_a_passphrase_needs_a_terminal_or_a_file(folder: Path) -> None:
    refused(run("generate", "release.pem", "--passphrase"), 4, "standard input is not a terminal")
    assert list(folder.iterdir()) == []
    (folder / "release.pem").write_bytes(private_pem(GOOD, PASSPHRASE))
    refused(run("show", "release.pem"), 4, "standard input is not a terminal")


@pytest.mark.parametrize(
    ("passphrase", "words"), [("wrong", "wrong passphrase, or a damaged key"), (None, "give its passphrase")]
)
def test_a_wrong_passphrase(passphrase: str | None, words: str) -> None:
    with pytest.raises(KeyFileError, match=words):
        load_private_key(private_pem(GOOD, PASSPHRASE), passphrase)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, ""),
        (EOFError(), 130, ""),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), 4, "not text in the encoding of the terminal"),
    ],
)
@pytest.mark.parametrize("arguments", [("show", "mine.pem"), ("generate", "new.pem", "--passphrase")])
def test_a_question_without_an_answer(
    error: Exception, code: int, words: str, arguments: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.pem").write_bytes(private_pem(GOOD, PASSPHRASE))

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(getpass, "getpass", fails)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert words in result.stderr
    assert [path.name for path in folder.iterdir()] == ["mine.pem"]


def test_a_passphrase_comes_from_a_file(folder: Path) -> None:
    (folder / "secret").write_bytes(PASSPHRASE.encode() + b"\r\n")
    assert run("generate", "release.pem", "--passphrase-file", "secret").exit_code == 0
    load_private_key((folder / "release.pem").read_bytes(), PASSPHRASE)
    assert run("show", "release.pem", "--passphrase-file", "secret").exit_code == 0
    refused(run("show", "release.pem", "--passphrase-file", "none"), 4, "file of the passphrase, none: no such file")


def test_a_passphrase_comes_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEKIT_KEY_PASSPHRASE", PASSPHRASE)
    assert run("generate", "release.pem", "--passphrase").exit_code == 0
    load_private_key((folder / "release.pem").read_bytes(), PASSPHRASE)
    assert run("show", "release.pem").exit_code == 0
    assert run("generate", "open.pem").exit_code == 0
    load_private_key((folder / "open.pem").read_bytes())


@pytest.mark.parametrize(
    ("passphrase", "words"),
    [("x" * 1024, "the passphrase has 1024 bytes"), ("", "is empty"), ("a\0b", "zero byte"), ("\udc80", "UTF-8")],
)
def test_an_impossible_passphrase_is_an_error(passphrase: str, words: str, folder: Path) -> None:
    (folder / "secret").write_bytes(passphrase.encode("utf-8", "surrogateescape"))
    refused(run("generate", "release.pem", "--passphrase-file", "secret"), 4, words)
    assert [path.name for path in folder.iterdir()] == ["secret"]


def test_two_passphrases_must_be_the_same(folder: Path, terminal: list[str]) -> None:
    terminal += ["one", "other"]
    with pytest.raises(KeyFileError, match="differ"):
        new_passphrase(None)
    assert list(folder.iterdir()) == []


def test_a_private_key_is_encrypted_with_600000_rounds() -> None:
    pem = our_private_pem(GOOD, PASSPHRASE)
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    assert bytes.fromhex("02030927c0") in der, "INTEGER 600000, the rounds of PBKDF2"
    assert bytes.fromhex("2a864886f70d0209") in der, "hmacWithSHA256"
    key = load_pem_private_key(pem, PASSPHRASE.encode())
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    assert key.private_bytes_raw() == GOOD.private_bytes_raw()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this machine")
def test_openssl_opens_our_encrypted_keys(folder: Path) -> None:
    (folder / "mine.pem").write_bytes(our_private_pem(generate("p256"), PASSPHRASE))
    command = ["openssl", "pkey", "-in", "mine.pem", "-noout", "-passin", f"pass:{PASSPHRASE}"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


_KILLED_IN_LINK = """
import os, sys
link, count, last = os.link, 0, int(sys.argv[1])
def killed(*arguments):
    global count
    count += 1
    if count == last:
        os._exit(9)
    link(*arguments)
os.link = killed
sys.argv = ["imagekit", "keys", "generate", "release.pem"]
from imagekit.__main__ import main
main()
"""


@pytest.mark.parametrize(("call", "names"), [(1, set()), (2, {"release.pub"})])
def test_a_kill_leaves_no_half_of_a_private_key(call: int, names: set[str], folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    result = subprocess.run([sys.executable, "-c", _KILLED_IN_LINK, str(call)], check=False, env=environment)
    assert result.returncode == 9
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".imagekit-")} == names


def test_a_file_system_without_links_gets_keys_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert run("generate", "release.pem").exit_code == 0
    assert {path.name for path in folder.iterdir()} == {"release.pem", "release.pub"}
    assert stat.S_IMODE((folder / "release.pem").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals on Windows")
def test_a_terminal_never_shows_the_passphrase(folder: Path) -> None:
    """The passphrase is typed as soon as the prompt is there, twice."""
    import pty

    child, terminal = pty.fork()
    if child == 0:
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
        os.execv(sys.executable, [sys.executable, "-m", "imagekit", "keys", "generate", "release.pem", "--passphrase"])  # noqa: S606
    shown = b""
    for prompt in (b"New passphrase: ", b"The same again: "):
        while prompt not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, b"hidden words\n")
    with suppress(OSError):  # the end of the terminal is an error on Linux
        while True:
            shown += os.read(terminal, 1024)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"hidden" not in shown
    load_private_key((folder / "release.pem").read_bytes(), "hidden words")


# --- Folders of trusted keys


def test_a_folder_of_trusted_keys(folder: Path) -> None:
    keys = folder / "trusted"
    keys.mkdir()
    with pytest.raises(OSError, match="holds no file of public keys"):
        key_files(str(keys))
    for name in ("p256", "ed25519"):
        (keys / f"{name}.pub").write_bytes(public_file(name).read_bytes())
    (keys / "notes.txt").write_bytes(b"not a key")
    found = [fingerprint(key) for key in public_keys(str(keys))]
    assert found == [fingerprint(public("ed25519")), fingerprint(public("p256"))]
    (keys / "p256.pub").unlink()
    assert [fingerprint(key) for key in public_keys(str(keys))] == found[:1]


# --- Kinds


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (public_pem(RSA), "neither Ed25519 nor ECDSA P-256"),
        (public_pem(P384), "neither Ed25519 nor ECDSA P-256"),
        (public_pem(K256), "neither Ed25519 nor ECDSA P-256"),
        (CERTIFICATE, "holds a certificate"),
        (private_pem(GOOD), "holds a private key"),
        (public_pem(GOOD) + private_pem(GOOD), "holds a private key"),
        (b"", "holds no public key"),
        (b"ssh-ed25519 AAAA", "holds no public key"),
        (public_pem(GOOD).replace(b"M", b"!"), "a key that is damaged"),
        (public_pem(GOOD)[:40] + public_pem(GOOD), "incomplete PEM block"),
        (b"-----BEGIN PUBLIC KEY-----\n" * 100_000, "not a file of keys"),
        (public_pem(GOOD) * (MOST_KEYS + 1), f"more than {MOST_KEYS}"),
    ],
)
def test_an_unusable_public_key_is_refused(pem: bytes, words: str, folder: Path) -> None:
    with pytest.raises(KeyFileError, match=words):
        load_public_keys(pem)
    (folder / "key").write_bytes(pem)
    trust = ["bundle", "verify", str(public_file("p256").parent / "good-p256.wbz"), "--trust", "key"]
    refused(CliRunner().invoke(app, trust), 4, words)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (private_pem(RSA), "neither Ed25519 nor ECDSA P-256"),
        (private_pem(P384), "neither Ed25519 nor ECDSA P-256"),
        (public_pem(GOOD), "no private key in PEM"),
        (CERTIFICATE, "no private key in PEM"),
        (b"", "no private key in PEM"),
    ],
)
def test_an_unusable_private_key_is_refused(
    pem: bytes, words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyFileError, match=words):
        load_private_key(pem)
    (folder / "key").write_bytes(pem)
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    create = ["bundle", "create", "x.wbz", str(IMAGES / "stack-fus2-4k.bin"), "-p", "STM32WB55RG", "--key", "key"]
    refused(CliRunner().invoke(app, create), 4, words)
    assert not (folder / "x.wbz").exists()


def test_a_fingerprint_is_the_hash_of_the_public_key_info() -> None:
    for name in ("ed25519", "p256", "stranger"):
        assert fingerprint(public(name)) == maker().keyid(name)


def test_one_key_in_two_spellings_is_one_key() -> None:
    """A compressed point does not make a second signer of the first."""
    key = public("p256")
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    start = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    body = base64.b64encode(start + point).decode()
    (other,) = load_public_keys(f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode())
    with pytest.raises(KeyFileError, match="given twice"):
        distinct([key, other])


# --- show


def test_show_says_which_keys(folder: Path) -> None:
    (folder / "both.pub").write_bytes(public_file("ed25519").read_bytes() + public_file("p256").read_bytes())
    (folder / "mine.pem").write_bytes(private_pem(GOOD))
    assert run("show", "both.pub", "mine.pem").stdout.splitlines() == [
        f"{fingerprint(public('ed25519'))}  Ed25519  both.pub",
        f"{fingerprint(public('p256'))}  ECDSA P-256  both.pub",
        f"{fingerprint(GOOD.public_key())}  Ed25519, private  mine.pem",
    ]
    assert run("show", "mine.pem", "--pem").stdout.encode() == public_pem(GOOD)
    refused(run("show", "missing.pem"), 4, "no such file")


# --- PEM


def test_labels_decide_and_comments_do_not(folder: Path) -> None:
    """What stands between blocks is comment, whatever it says."""
    comment = b"# the PRIVATE KEY of this one is ENCRYPTED and in the safe\n"
    assert load_public_keys(comment + public_pem(GOOD) + comment)
    assert load_private_key(comment + private_pem(GOOD) + comment).public_key() == GOOD.public_key()
    (folder / "mine.pem").write_bytes(comment + private_pem(GOOD))
    (folder / "mine.pub").write_bytes(comment + public_pem(GOOD))
    assert "private" in run("show", "mine.pem").stdout
    assert "private" not in run("show", "mine.pub").stdout


def test_a_key_behind_its_parameters() -> None:
    """As openssl ecparam -genkey writes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert fingerprint(load_private_key(parameters + pem).public_key()) == fingerprint(key.public_key())
    with pytest.raises(KeyFileError, match="holds 2 private keys"):
        load_private_key(pem + pem)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem + pem[:50],
        lambda pem: pem + pem.replace(b"-----END", b"----END"),
        lambda pem: pem + pem.replace(b"KEY-----\n", b"KEY----\n", 1),
        lambda pem: pem + b"x" + pem,
        lambda pem: pem[:60] + b"\n" + pem,
        lambda pem: pem.replace(b"END PUBLIC", b"END PRIVATE"),
    ],
)
def test_half_a_block_is_not_a_comment(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(KeyFileError, match="incomplete PEM block"):
        load_public_keys(spoil(public_pem(GOOD)))


def test_whose_key_it_is_and_how_to_get_the_public_one() -> None:
    with pytest.raises(KeyFileError, match=r"a private key.*`imagekit keys show --pem` prints the public key"):
        load_public_keys(private_pem(GOOD))


@pytest.mark.skipif(os.name != "posix", reason="a mode tells nothing on this system")
@pytest.mark.parametrize(
    ("mode", "warns"), [(0o600, False), (0o640, True), (0o604, True), (0o620, True), (0o601, True), (0o400, False)]
)
def test_a_private_key_that_others_can_read(mode: int, warns: bool, folder: Path) -> None:
    (folder / "mine.pem").write_bytes(private_pem(GOOD))
    (folder / "mine.pem").chmod(mode)
    result = run("show", "mine.pem")
    assert result.exit_code == 0
    assert ("other users can read or change this private key" in result.stderr, result.stderr.count("\n")) == (
        warns,
        warns,
    )


def test_only_the_public_file_is_there(folder: Path) -> None:
    (folder / "q.pub").write_bytes(b"mine")
    refused(run("generate", "q.pem"), 4, "q.pub: exists already, where the public key of q.pem would be written")


# --- Points that are no keys: Ed25519 in pure Python (RFC 8032, section 5.1)

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P,
    )


def x_of(y: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0
    return x


def times_8(y: int) -> Point:
    point = (x_of(y), y)
    for _ in range(3):
        point = add(point, point)
    return point


def ed25519_pem(raw: bytes) -> bytes:
    body = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n".encode()


def test_points_of_small_order_are_all_refused() -> None:
    assert all(times_8(y) == (0, 1) for y in _SMALL_ORDER)
    # Eight points have an order that divides 8: 0 and its negative have one y, and so have the other pairs.
    assert sum(1 if x_of(y) == 0 else 2 for y in _SMALL_ORDER) == 8
    for y in _SMALL_ORDER:
        for sign in (0, 1 << 255):
            with pytest.raises(KeyFileError, match="a point of small order"):
                load_public_keys(ed25519_pem((y | sign).to_bytes(32, "little")))


def test_a_key_has_one_spelling() -> None:
    for y in range(P, 2**255):
        with pytest.raises(KeyFileError, match="an invalid Ed25519 key"):
            load_public_keys(ed25519_pem(y.to_bytes(32, "little")))
    base = 4 * pow(5, -1, P) % P
    assert load_public_keys(ed25519_pem(base.to_bytes(32, "little")))
    assert times_8(base) != (0, 1)
