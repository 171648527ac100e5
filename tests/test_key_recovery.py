"""Public keys recovered from signatures: two images are enough, one is not, and damage is told apart."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from imagekit.cli.program import app
from imagekit.image.key_recovery import candidates, recover
from imagekit.image.model import Image
from tests.support.images import IMAGES, content, image, throw_away_keys

WB5X = ("stack-4k", "fus-2.2.0", "stack-fus2-4k")
WB1X = ("stack-2k", "fus-2.2.0-2k")


def point(name: str) -> bytes:
    key = next(one for one in throw_away_keys() if one.name == name)
    return key.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def test_two_images_give_their_key() -> None:
    keys, left = recover(map(image, (*WB5X, *WB1X)))
    assert [(key.point, len(key.images)) for key in keys] == [(point("test-wb5x-wb3x"), 3), (point("test-wb1x"), 2)]
    assert left == ()
    assert [key.public_key for key in keys] == [one.public_key for one in throw_away_keys()[:2]]


def test_one_image_leaves_two_keys_possible() -> None:
    assert point("test-wb1x") in candidates(image("stack-2k"))
    assert len(candidates(image("stack-2k"))) == 2
    assert recover([image("stack-2k")]) == ((), (image("stack-2k"),))


def test_the_same_content_twice_proves_nothing() -> None:
    assert recover([image("stack-2k")] * 2) == ((), (image("stack-2k"),))


def test_an_altered_image_has_no_place() -> None:
    data = content("stack-4k")
    altered = Image.parse(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    keys, left = recover([*map(image, WB5X), altered])
    assert [len(key.images) for key in keys] == [3]
    assert left == (altered,)


@pytest.mark.parametrize(
    "name",
    [
        "signature-r-zero",
        "signature-s-zero",
        "signature-r-too-large",
        "signature-s-too-large",
        "signature-too-long",
        "customer-signature-only",
    ],
)
def test_a_signature_not_by_st_gives_no_key(name: str) -> None:
    assert candidates(image(name)) == set()


# --- Crafted signatures


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def with_signature(name: str, r: int, s: int) -> Image:
    """An image of which the signature is another."""
    data, block = content(name), image(name).st_signature
    assert block
    assert data.count(block.signature) == 1
    made = Image.parse(data.replace(block.signature, r.to_bytes(32, "big") + s.to_bytes(32, "big")))
    assert made.signed_digest == image(name).signed_digest
    return made


def numbers(name: str) -> tuple[int, int]:
    block = image(name).st_signature
    assert block
    return int.from_bytes(block.signature[:32], "big"), int.from_bytes(block.signature[32:], "big")


def test_the_other_s_of_a_signature_does_not_count_twice() -> None:
    r, s = numbers("stack-2k")
    turned = with_signature("stack-2k", r, ORDER - s)
    assert candidates(turned) == candidates(image("stack-2k"))
    assert recover([image("stack-2k"), turned]) == ((), (image("stack-2k"), turned))
    assert len(recover([image("stack-2k"), turned, image("fus-2.2.0-2k")])[0][0].images) == 3


def test_a_signature_with_another_tail_does_not_count_twice() -> None:
    """A customer's signature stands behind ST's, and ST's does not cover it."""
    data = content("customer-signed")
    one, other = Image.parse(data), Image.parse(data[:-84])
    assert (one.sha256 != other.sha256, one.signed_digest) == (True, other.signed_digest)
    assert recover([one, other]) == ((), (one, other))


def test_a_signature_that_leads_to_infinity_gives_no_key() -> None:
    from ecdsa import NIST256p

    k = 7
    e = int.from_bytes(image("stack-4k").signed_digest, "big")
    r = (k * NIST256p.generator).x()
    crafted = with_signature("stack-4k", r, e * pow(k, -1, ORDER) % ORDER)
    assert candidates(crafted) == set()
    keys, left = recover([*map(image, WB5X[1:]), crafted])
    assert [len(key.images) for key in keys] == [2]
    assert left == (crafted,)


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["keys", "recover", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command(tmp_path: Path) -> None:
    for name in WB5X:
        (tmp_path / f"{name}.bin").write_bytes(content(name))
    (tmp_path / "text.bin").write_bytes(content("text"))
    (tmp_path / "copy.bin").write_bytes(content("stack-4k"))
    code, out, err = run(tmp_path, "--pem")
    assert code == 0
    assert out.startswith(point("test-wb5x-wb3x").hex())
    assert "not one of ST's known keys: 3 contents in 4 files" in out
    assert (IMAGES.parent / "keys" / "throw-away-wb5x-wb3x.pem").read_text() in out
    assert "text.bin" in err


def test_the_command_finds_nothing(tmp_path: Path) -> None:
    code, out, err = run(IMAGES / "stack-4k.bin", IMAGES / "stack-2k.bin")
    assert (code, out) == (3, "")
    assert err.count("it was modified, or signed with a different key") == 2
    assert run(tmp_path)[0] == 4
    assert run(IMAGES / "stack-4k.bin", IMAGES / "text.bin", IMAGES / "fus-2.2.0.bin")[0] == 4
