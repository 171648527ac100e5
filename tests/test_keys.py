"""The keys that sign bundles: files that are private and never written over, passphrases, keys of the wrong kind."""

import base64
import errno
import os
import stat
from collections.abc import Callable
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

from imagekit.bundle.keys import _SMALL_ORDER, MOST_KEYS, distinct, fingerprint, load_private_key, load_public_keys
from imagekit.cli.program import app
from imagekit.errors import KeyFileError
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
    """A terminal at which somebody types these, one for each question."""
    typed: list[str] = []
    monkeypatch.setattr("imagekit.cli.options.sys.stdin", _Terminal())
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: typed.pop(0))
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
    refused(run("generate", "release.pem"), 4, f"{there}: is there already")
    assert [path.name for path in folder.iterdir()] == [there]


def test_the_private_key_is_not_called_as_the_public_one(folder: Path) -> None:
    refused(run("generate", "release.pub"), 2, "is the public key's name")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_both_files_or_none(call: int, error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setattr("imagekit.cli.keys._new_passphrase", lambda: PASSPHRASE)
    assert run("generate", "release.pem", "--passphrase").exit_code == 0
    pem = (folder / "release.pem").read_bytes()
    assert b"ENCRYPTED" in pem
    assert isinstance(load_pem_private_key(pem, PASSPHRASE.encode()), ed25519.Ed25519PrivateKey)
    monkeypatch.setattr("imagekit.cli.options.sys.stdin", _Terminal())
    from imagekit.cli.options import private_key

    terminal += [PASSPHRASE, "wrong", ""]
    assert fingerprint(private_key("release.pem").public_key()) in run("show", "release.pub").stdout
    for _ in range(2):
        with pytest.raises(typer.Exit) as left:
            private_key("release.pem")
        assert left.value.exit_code == 4


def test_without_a_terminal_nobody_is_asked(folder: Path) -> None:
    refused(run("generate", "release.pem", "--passphrase"), 2, "there is none")
    assert list(folder.iterdir()) == []
    (folder / "release.pem").write_bytes(private_pem(GOOD, PASSPHRASE))
    refused(run("show", "release.pem"), 4, "it is asked on the terminal, and there is none")


@pytest.mark.parametrize(
    ("passphrase", "words"), [("wrong", "wrong passphrase, or a damaged key"), (None, "a passphrase opens it")]
)
def test_a_wrong_passphrase(passphrase: str | None, words: str) -> None:
    with pytest.raises(KeyFileError, match=words):
        load_private_key(private_pem(GOOD, PASSPHRASE), passphrase)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (typer.Abort(), 130, ""),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), 4, "no text in the terminal's encoding"),
    ],
)
@pytest.mark.parametrize("arguments", [("show", "mine.pem"), ("generate", "new.pem", "--passphrase")])
def test_nobody_answers(
    error: Exception, code: int, words: str, arguments: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.pem").write_bytes(private_pem(GOOD, PASSPHRASE))

    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(typer, "prompt", fails)
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert words in result.stderr
    assert [path.name for path in folder.iterdir()] == ["mine.pem"]


# --- Kinds


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (public_pem(RSA), "neither Ed25519 nor ECDSA P-256"),
        (public_pem(P384), "neither Ed25519 nor ECDSA P-256"),
        (public_pem(K256), "neither Ed25519 nor ECDSA P-256"),
        (CERTIFICATE, "damaged key, or one of a kind"),
        (private_pem(GOOD), "holds a private key"),
        (public_pem(GOOD) + private_pem(GOOD), "holds a private key"),
        (b"", "holds no public key"),
        (b"ssh-ed25519 AAAA", "holds no public key"),
        (public_pem(GOOD).replace(b"M", b"!"), "damaged key"),
        (public_pem(GOOD)[:40] + public_pem(GOOD), "no whole block"),
        (b"-----BEGIN PUBLIC KEY-----\n" * 100_000, "no file of keys"),
        (public_pem(GOOD) * (MOST_KEYS + 1), f"more than {MOST_KEYS}"),
    ],
)
def test_what_is_no_public_key_for_bundles(pem: bytes, words: str, folder: Path) -> None:
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
def test_what_is_no_private_key_for_bundles(
    pem: bytes, words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyFileError, match=words):
        load_private_key(pem)
    (folder / "key").write_bytes(pem)
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    create = ["bundle", "create", "x.wbz", str(IMAGES / "stack-fus2-4k.bin"), "-p", "STM32WB55RG", "--key", "key"]
    refused(CliRunner().invoke(app, create), 4, words)
    assert not (folder / "x.wbz").exists()


def test_a_fingerprint_is_the_hash_of_the_subject_public_key_info() -> None:
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
def test_half_a_block_is_no_comment(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(KeyFileError, match="no whole block"):
        load_public_keys(spoil(public_pem(GOOD)))


def test_whose_key_it_is_and_how_to_get_the_public_one() -> None:
    with pytest.raises(KeyFileError, match=r"a private key.*`imagekit keys show --pem` prints the public one"):
        load_public_keys(private_pem(GOOD))


@pytest.mark.skipif(os.name != "posix", reason="a mode tells nothing on this system")
@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, True), (0o604, True), (0o400, False)])
def test_a_private_key_that_others_can_read(mode: int, warns: bool, folder: Path) -> None:
    (folder / "mine.pem").write_bytes(private_pem(GOOD))
    (folder / "mine.pem").chmod(mode)
    result = run("show", "mine.pem")
    assert result.exit_code == 0
    assert ("others can read this private key" in result.stderr, result.stderr.count("\n")) == (warns, warns)


def test_only_the_public_file_is_there(folder: Path) -> None:
    (folder / "q.pub").write_bytes(b"mine")
    refused(run("generate", "q.pem"), 4, "q.pub: is there already, where the public key of q.pem would be written")


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
        with pytest.raises(KeyFileError, match="not in its one spelling"):
            load_public_keys(ed25519_pem(y.to_bytes(32, "little")))
    base = 4 * pow(5, -1, P) % P
    assert load_public_keys(ed25519_pem(base.to_bytes(32, "little")))
    assert times_8(base) != (0, 1)
