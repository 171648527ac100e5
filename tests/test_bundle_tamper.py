"""No byte of a bundle is free: whatever one is changed to, the bundle is refused."""

import pytest

from imagekit.bundle import archive
from imagekit.bundle.verified import open_bundle
from imagekit.errors import BundleError
from tests.support.bundles import fixture, public
from tests.support.images import throw_away_keys


def is_refused(data: bytes, key: str) -> bool:
    try:
        open_bundle(data, [public(key)], 1, throw_away_keys())
    except BundleError:
        return True
    return False


@pytest.mark.parametrize("key", ["ed25519", "p256"])
def test_every_byte_counts(key: str) -> None:
    good = fixture(f"good-{key}")
    trusted, keys = [public(key)], throw_away_keys()
    accepted = []
    for offset, byte in enumerate(good):
        for other in {byte ^ 0x01, byte ^ 0x20, byte ^ 0x80, (byte + 0x55) & 0xFF}:
            changed = good[:offset] + bytes([other]) + good[offset + 1 :]
            try:
                open_bundle(changed, trusted, 1, keys)
            except BundleError:
                continue
            accepted.append((offset, other))
    assert accepted == []


@pytest.mark.parametrize("key", ["ed25519", "p256"])
def test_every_end_and_every_beginning_counts(key: str) -> None:
    good = fixture(f"good-{key}")
    assert all(is_refused(good[:size], key) for size in range(len(good)))
    assert all(is_refused(good[start:], key) for start in range(1, len(good)))


@pytest.mark.parametrize("key", ["ed25519", "p256"])
def test_an_altered_image_in_a_rebuilt_archive_is_refused(key: str) -> None:
    """The checks behind the archive's own checksum stand on their own."""
    members = archive.read_archive(fixture(f"good-{key}"))
    for name, content in members.items():
        for offset in range(0, len(content), 7):
            altered = content[:offset] + bytes([content[offset] ^ 4]) + content[offset + 1 :]
            assert is_refused(archive.write_archive({**members, name: altered}.items()), key), (name, offset)


def test_the_members_of_two_bundles_do_not_mix() -> None:
    first, second = (archive.read_archive(fixture(name)) for name in ("good-ed25519", "good-two-signers"))
    assert is_refused(archive.write_archive([*list(first.items())[:1], *list(second.items())[1:]]), "ed25519")
    assert is_refused(archive.write_archive([*list(second.items())[:1], *list(first.items())[1:]]), "ed25519")
