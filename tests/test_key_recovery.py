"""Public keys recovered from signatures: two images are enough, one is not, and damage is told apart."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from imagekit.cli import app
from imagekit.image import Image
from imagekit.key_recovery import candidates, recover
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
def test_what_is_no_signature_of_st_s_gives_no_key(name: str) -> None:
    assert candidates(image(name)) == set()


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
    assert "not among imagekit's: 3 contents in 4 files" in out
    assert (IMAGES.parent / "keys" / "throw-away-wb5x-wb3x.pem").read_text() in out
    assert "text.bin" in err


def test_the_command_finds_nothing(tmp_path: Path) -> None:
    code, out, err = run(IMAGES / "stack-4k.bin", IMAGES / "stack-2k.bin")
    assert (code, out) == (3, "")
    assert err.count("altered, or signed under a key of its own") == 2
    assert run(tmp_path)[0] == 4
    assert run(IMAGES / "stack-4k.bin", IMAGES / "text.bin", IMAGES / "fus-2.2.0.bin")[0] == 4
