"""Which stack a host software expects."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner, Result

from imagekit.catalogue import shipped
from imagekit.cli.program import app
from imagekit.errors import HostError
from imagekit.hosts import host_releases, hosts_using, releases_of
from imagekit.image.model import Version
from imagekit.report.inspect import image_entry, inspection
from tests.support.images import assessed


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


def show(*words: str) -> Result:
    return CliRunner().invoke(app, ["catalogue", "show", *words], env={"COLUMNS": "300"})


def test_show_for_a_host_names_its_stacks() -> None:
    result = show("--for", "zephyr:4.0")
    assert result.exit_code == 0
    assert "needs     BLE_HCILayer or BLE_HCILayer_extended of STM32CubeWB v1.20.0" in result.stdout
    assert "BLE_HCILayer of v1.20.0" in result.stdout


def test_show_for_a_host_says_when_sources_disagree() -> None:
    assert "unsure    the sources disagree" in show("--for", "zephyr:4.2").stdout


def test_show_for_a_host_as_json_links_hosts_and_contents() -> None:
    document = json.loads(show("--for", "flipper:1.0", "--json").stdout)
    (host,) = document["hosts"]
    contents = {content["sha256"]: content for content in document["contents"]}
    assert (host["cube"], host["variants"]) == ("1.20.0", ["BLE_Stack_light"])
    assert {contents[sha256]["version"].rsplit(".", 1)[0] for sha256 in host["contents"]} == {"1.20.0"}


def test_host_without_a_radio_needs_no_stack() -> None:
    assert "no stack: it does not use the radio" in show("--for", "riot").stdout


@pytest.mark.parametrize(
    ("words", "reason"),
    [(("--for", "zephir"), "unknown host software"), (("--for", "zephyr:4.0", "--series", "WB5x"), "give it alone")],
)
def test_wrong_use_of_for_says_why(words: tuple[str, ...], reason: str) -> None:
    result = show(*words)
    assert (result.exit_code, reason in result.stderr) == (2, True)


def test_known_image_says_who_uses_it() -> None:
    content = next(
        content
        for content in shipped().contents.values()
        if any(publication.release == "v1.20.0" for publication in content.published)
        and content.variants == ("BLE_HCILayer",)
    )
    assessment = dataclasses.replace(assessed("stack-4k"), known=content)
    titles = [host.title for host in assessment.hosts]
    assert {"zephyr 4.0", "zephyr 4.1", "stm32duinoble 1.20.0"} <= set(titles)
    assert f"used by   {', '.join(titles)}" in inspection("stack.bin", assessment, ())
    entry = image_entry("stack.bin", assessment, ())
    assert {"name": "zephyr", "version": "4.0", "unsure": False} in entry["used_by"]  # type: ignore[operator]


def test_unknown_image_has_no_line_of_users() -> None:
    assert "\n  used by" not in inspection("stack.bin", assessed("stack-4k"), ())
