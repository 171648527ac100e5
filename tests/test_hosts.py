"""Which stack a host software expects."""

import pytest

from imagekit.errors import HostError
from imagekit.hosts import host_releases, hosts_using, releases_of
from imagekit.image.model import Version


def test_release_of_zephyr_names_its_stacks() -> None:
    (row,) = releases_of("zephyr:4.0")
    assert (row.cube, row.variants) == ("1.20.0", ("BLE_HCILayer", "BLE_HCILayer_extended"))


@pytest.mark.parametrize("text", ["Zephyr:v4.0", " zephyr:4.0"])
def test_case_and_a_leading_v_do_not_matter(text: str) -> None:
    assert releases_of(text) == releases_of("zephyr:4.0")


def test_name_alone_gives_every_release() -> None:
    assert len(releases_of("zephyr")) > 10


def test_disagreeing_sources_are_marked() -> None:
    assert [row.version for row in releases_of("zephyr") if row.is_unsure] == ["3.0", "4.2", "4.3"]


def test_unknown_host_names_the_known_ones() -> None:
    with pytest.raises(HostError, match="unknown host software 'zephir'; known: zephyr,"):
        releases_of("zephir:4.2")


def test_unknown_release_names_the_known_ones() -> None:
    with pytest.raises(HostError, match=r"nothing is known about zephyr 9\.9; known: 2\.0"):
        releases_of("zephyr:9.9")


def test_stack_names_the_hosts_that_use_it() -> None:
    assert "zephyr 4.0" in [row.title for row in hosts_using("BLE_HCILayer", "1.20.0")]


def test_every_row_has_a_source_and_a_readable_release() -> None:
    for row in host_releases():
        assert row.sources, row.title
        if row.cube:
            Version.from_text(row.cube)
