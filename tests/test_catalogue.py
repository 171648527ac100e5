"""The catalogue: what is shipped, how it is built, what it identifies."""

import copy
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from imagekit import catalogue
from imagekit.bundle.keys import private_pem
from imagekit.catalogue import Catalogue, Content, Publication, StName, by_release
from imagekit.cli.program import app
from imagekit.errors import CatalogueError
from imagekit.files import write_file
from imagekit.image.model import Version
from imagekit.report import catalogue as report
from imagekit.targets import Series
from tests.support.bundles import private
from tests.support.corpus import CORPUS, counts_hold, needs_corpus
from tests.support.images import IMAGES, content, image


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["catalogue", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "series", "variant", "version"),
    [
        ("stm32wb5x_BLE_Stack_full_fw.bin", Series.WB5X, "BLE_Stack_full", None),
        ("stm32wb1x_BLE_HCILayer_extended_fw.bin", Series.WB1X, "BLE_HCILayer_extended", None),
        ("stm32wb3x_Mac_802_15_4_fw.bin", Series.WB3X, "Mac_802_15_4", None),
        ("stm32wb5x_FUS_fw_1_2_0.bin", Series.WB5X, "FUS_1_2_0", Version(1, 2, 0)),
        ("stm32wb5x_FUS_fw_for_fus_0_5_3.bin", Series.WB5X, "FUS_for_fus_0_5_3", None),
        ("stm32wb5x_Safeboot_fw_v1.2.0.bin", Series.WB5X, "Safeboot_v1.2.0", Version(1, 2, 0)),
        ("STM32WB5X_FUS_FW.BIN", Series.WB5X, "FUS", None),
        ("stm32wb5x_FUS_fw.hex", Series.WB5X, "FUS", None),
    ],
)
def test_st_s_names(name: str, series: Series, variant: str, version: Version | None) -> None:
    assert StName.parse(name) == StName(series, variant, version)


@pytest.mark.parametrize(
    "name", ["", "stack.bin", "stm32wb7x_FUS_fw.bin", "stm32wb5x_FUS.bin", "my_stm32wb5x_FUS_fw.bin"]
)
def test_other_names_are_not_st_s(name: str) -> None:
    assert StName.parse(name) is None


@pytest.mark.slow
@needs_corpus
@counts_hold
def test_build_reproduces_the_entries_of_the_corpus(tmp_path: Path) -> None:
    out = tmp_path / "catalogue.json"
    assert run("build", CORPUS, "-o", out).exit_code == 0
    built, shipped = catalogue.loads(out.read_bytes()), catalogue.shipped()
    assert len(built.contents) == 204
    for sha256, entry in built.contents.items():
        known = shipped.contents[sha256]
        published = [publication for publication in known.published if publication.release in built.releases]
        assert dataclasses.replace(known, published=tuple(published)) == entry
    assert {
        sha256
        for sha256, entry in shipped.contents.items()
        if any(publication.release in built.releases for publication in entry.published)
    } == set(built.contents)


def test_the_built_in_catalogue_covers_37_releases() -> None:
    shipped = catalogue.shipped()
    assert len(shipped.contents) == 658
    assert (shipped.releases[0], shipped.releases[-1], len(shipped.releases)) == ("v1.1.0", "v1.24.0", 37)
    assert sum(len(entry.published) for entry in shipped.contents.values()) == 1433
    assert sum(bool(entry.known_bad) for entry in shipped.contents.values()) == 6


def test_one_content_is_found_without_parsing_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []
    loads = json.loads

    def counted_loads(data: bytes) -> object:
        parsed.append(data)
        return loads(data)

    monkeypatch.setattr(json, "loads", counted_loads)
    shipped = catalogue.shipped.__wrapped__()
    assert shipped.contents.get("0" * 64) is None
    assert not parsed
    known = shipped.contents["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
    assert (known.known_bad, len(parsed)) == ("an empty file", 1)


def test_every_variant_has_a_purpose_unless_no_source_gives_one() -> None:
    unknown = {variant for variant in catalogue.shipped().variants if not catalogue.purpose(variant)}
    assert unknown == {"zigbee_full", "ble_zigbee_static"}
    assert "no extended advertising" in catalogue.purpose("BLE_Stack_full")


def test_an_update_replaces_the_releases_of_the_newer_catalogue() -> None:
    old = catalogue_of(("v1.23.0", "a"), ("v1.24.0", "b"))
    newer = catalogue_of(("v1.24.0", "a"), ("v1.25.0", "c"))
    updated = old.updated(newer)
    assert updated.releases == ("v1.23.0", "v1.24.0", "v1.25.0")
    releases = {sha256: (entry.first_release, entry.last_release) for sha256, entry in updated.contents.items()}
    assert releases == {"a": ("v1.23.0", "v1.24.0"), "c": ("v1.25.0", "v1.25.0")}


def catalogue_of(*published: tuple[str, str]) -> Catalogue:
    """A catalogue of contents by release and SHA-256."""
    contents = {}
    for release, sha256 in published:
        files = (Publication(release, f"STM32WB5x/{sha256}.bin", {}),)
        contents[sha256] = Content(sha256, 0, *(None,) * 2, (), *(None,) * 5, published=files, known_bad=None)
    return Catalogue(tuple(release for release, _ in published), contents)


def test_no_bytes_of_st_s_are_shipped() -> None:
    data = Path(catalogue.__file__).parent / "data"
    assert {path.suffix for path in data.rglob("*") if path.is_file()} == {".pem", ".md", ".json", ".toml"}


def test_dumps_is_the_inverse_of_loads() -> None:
    shipped = catalogue.shipped()
    assert catalogue.loads(catalogue.dumps(shipped).encode()) == shipped


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"schema": "other"}', b'{"schema": "imagekit.catalogue/1", "contents": []}', b"\xff"]
)
def test_other_files_are_not_a_catalogue(data: bytes) -> None:
    with pytest.raises(CatalogueError, match=r"not a catalogue|schema"):
        catalogue.loads(data)


def identify(**fields: object) -> set[tuple[str, ...]]:
    return {content.variants for content in catalogue.shipped().identify(**fields)}  # type: ignore[arg-type]


def test_the_fields_of_a_chip_identify_the_variant() -> None:
    assert len(identify(series=Series.WB5X, version="1.13.3")) > 5
    fields = {"series": Series.WB5X, "magic": 0x23372991, "sectors": 24, "sram2a_kib": 19, "sram2b_kib": 25}
    assert identify(version="1.13.3.2", **fields) == {("BLE_HCILayer",)}


def test_fields_that_two_variants_share_are_ambiguous() -> None:
    """BLE_Stack_basic and BLE_Stack_full of v1.13.3 cannot be told apart on a chip."""
    fields = {"series": Series.WB5X, "magic": 0x23372991, "sectors": 36, "sram2a_kib": 10, "sram2b_kib": 15}
    assert identify(version="1.13.3.2", **fields) == {("BLE_Stack_basic",), ("BLE_Stack_full",)}
    result = run(
        *("show", "--series", "wb5x", "--magic", "0x23372991", "--version", "v1.13.3.2"),
        *("--sectors", "36", "--sram2a", "10", "--sram2b", "15"),
    )
    assert result.stdout.endswith("2 contents, 2 variants: these fields do not tell which one\n")


def test_a_version_is_matched_by_whole_numbers() -> None:
    versions = {content.version for content in catalogue.shipped().identify(version="1.1")}
    assert versions
    assert all(str(version).startswith("1.1.") for version in versions)


def test_unknown_fields_match_nothing() -> None:
    result = run("show", "--version", "9.9.9")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "not in the built-in catalogue (ST releases v1.1.0 to v1.24.0)" in result.stderr


def test_show_lists_all() -> None:
    result = run("show")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 659


def test_show_by_hash_says_what_is_bad() -> None:
    result = run("show", "e3b0c44298fc")
    assert "bad       an empty file" in result.stdout
    assert "published v1.11.1 STM32WB5x/stm32wb5x_FUS_fw_1_0_2.bin: STM32WB5xxG 0x080EC000" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--series", "WB9x"],
        ["--magic", "x"],
        ["--sectors", "many"],
        ["--sectors", "-1"],
        ["--version", "banana"],
        ["zzz"],
    ],
)
def test_show_with_nonsense_is_wrong_usage(arguments: list[str]) -> None:
    assert run("show", *arguments).exit_code == 2


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "STM32CubeWB-1.24.0" / "Projects" / "STM32WB_Copro_Wireless_Binaries" / "STM32WB5x"
    folder.mkdir(parents=True)
    shutil.copy(IMAGES / "stack-4k.bin", folder / "stm32wb5x_BLE_LLD_fw.bin")
    shutil.copy(IMAGES / "unencrypted.bin", folder / "stm32wb5x_FUS_fw.bin")
    table = "<tr><th>B</th><th>STM32WB5xxG(1M)</th><th>STM32WB5xxC(256K)</th></tr>"
    row = "<tr><td>stm32wb5x_BLE_LLD_fw.bin</td><td>0x080 F3 000</td><td>NA</td></tr>"
    notes = f"<html><body><label>V1.24.0 / 21-Nov-2025</label><table>{table}{row}</table></body></html>"
    (folder / "Release_Notes.html").write_text(notes)
    return tmp_path


def test_build_records_facts_and_publications(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run("build", release, "-o", out)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"imagekit: {out}: 2 files\n")
    built = catalogue.loads(out.read_bytes())
    assert built.releases == ("v1.24.0",)
    path = "STM32WB5x/stm32wb5x_BLE_LLD_fw.bin"
    assert built.contents[image("stack-4k").sha256] == Content(
        sha256=image("stack-4k").sha256,
        size=3100,
        kind="stack",
        magic="0x23372991",
        series=("WB3x", "WB5x"),
        version="1.13.3.5",
        sectors=1,
        sram2a_kib=32,
        sram2b_kib=20,
        key=None,
        published=(Publication("v1.24.0", path, {"STM32WB5xxG": "0x080F3000", "STM32WB5xxC": None}),),
        known_bad=None,
    )
    (other,) = [content for content in built.contents.values() if content.kind is None]
    assert (other.size, other.series, other.variants) == (len(content("unencrypted")), (), ("FUS",))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "typo", "no such file or directory"),
        (lambda folder: folder, "not written: found no file that ST named"),
        (lambda folder: shutil.copy(IMAGES / "lfs-pointer.bin", folder / "stm32wb5x_FUS_fw.bin"), "Git LFS pointer"),
        (lambda folder: shutil.copy(IMAGES / "web-page.bin", folder / "stm32wb5x_FUS_fw.bin"), "web page"),
    ],
)
def test_build_of_nothing_keeps_the_old_catalogue(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    folder, out = tmp_path / "v1.24.0", tmp_path / "keep.json"
    folder.mkdir()
    (folder / "application.bin").write_bytes(b"other")
    old = '{"schema": "imagekit.catalogue/1"}'
    out.write_text(old)
    result = run("build", make(folder), "-o", out)
    assert (result.exit_code, words in result.stderr, out.read_text()) == (4, True, old)


@pytest.mark.parametrize(
    "there",
    [
        b"# a comment\n" * 1000 + private_pem(private("p256"), None),
        private("p256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        content("stack-4k"),
        b"notes",
        b'{"schema": "imagekit.check/1"}',
    ],
)
def test_build_replaces_only_a_catalogue(there: bytes, release: Path, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.write_bytes(there)
    result = run("build", release, "-o", out)
    assert (result.exit_code, "exists and is not a catalogue: not replaced" in result.stderr) == (4, True)
    assert out.read_bytes() == there


@pytest.mark.parametrize("comment", [b"", b"# a comment\n" * 1000])
def test_no_result_replaces_a_private_key(comment: bytes, tmp_path: Path) -> None:
    key = private("p256")
    for there in (
        comment + private_pem(key, None),
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    ):
        (tmp_path / "key").write_bytes(there)
        with pytest.raises(PermissionError, match="holds a private key"):
            write_file(str(tmp_path / "key"), b"report")


GOOD_ENTRY: dict[str, Any] = json.loads(
    catalogue.dumps(Catalogue(("v1.24.0",), dict(list(catalogue.shipped().contents.items())[:3])))
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every member in a document."""
    members: Any = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list):
        members = enumerate(value)
    return [path, *(place for key, member in members for place in places(member, (*path, key)))]


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(places(GOOD_ENTRY)[1:]), value=ANYTHING, is_removed=st.booleans())
def test_a_malformed_catalogue_is_refused_or_harmless(place: tuple[Any, ...], value: Any, is_removed: bool) -> None:
    document = copy.deepcopy(GOOD_ENTRY)
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    if is_removed:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    try:
        loaded = catalogue.loads(json.dumps(document).encode())
    except CatalogueError:
        return
    for known in loaded.contents.values():
        catalogue.image_of(known)
        assert known.published_series is not None
        assert all(map(by_release, known.published))
    assert loaded.updated(loaded).releases is not None
    assert report.text(list(loaded.contents.values()), identifying=False) is not None
    assert json.dumps(report.document(list(loaded.contents.values())))
    assert catalogue.loads(catalogue.dumps(loaded).encode()) == loaded


def test_a_magic_is_hexadecimal_with_or_without_its_prefix() -> None:
    assert run("show", "--magic", "b10c8b99").stdout == run("show", "--magic", "0xB10C8B99").stdout != ""


def test_build_leaves_nothing_half_written(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "no such folder" / "out.json"
    result = run("build", release, "-o", out)
    assert result.exit_code == 4
    assert "no such file or directory" in result.stderr
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "out.json").mkdir()
    assert run("build", release, "-o", locked / "out.json").exit_code == 4
    assert [path.name for path in locked.iterdir()] == ["out.json"]


def test_build_needs_a_release_in_the_path_or_an_option(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    out = tmp_path / "out.json"
    shutil.copy(IMAGES / "stack-4k.bin", folder / "stm32wb5x_BLE_LLD_fw.bin")
    result = run("build", folder, "-o", out)
    assert result.exit_code == 4
    assert "no folder above it is named for a release, such as v1.23.0: use --release" in result.stderr
    assert run("build", folder, "-o", out, "--release", "v1.24.0").exit_code == 0
    assert catalogue.loads(out.read_bytes()).releases == ("v1.24.0",)


def test_build_leaves_out_names_that_are_not_st_s(release: Path, tmp_path: Path) -> None:
    (release / "STM32CubeWB-1.24.0" / "application.bin").write_bytes(b"other")
    result = run("build", release, "-o", tmp_path / "out.json")
    assert result.stderr.endswith("2 files, 1 left out because of their names\n")


def test_build_follows_a_link_and_writes_to_a_pipe(release: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text('{"schema": "imagekit.catalogue/1"}')
    link.symlink_to(real)
    assert run("build", release, "-o", link).exit_code == 0
    assert link.is_symlink()
    assert catalogue.loads(real.read_bytes()).releases == ("v1.24.0",)
    assert catalogue.loads(run("build", release, "-o", "-").stdout.encode()).releases == ("v1.24.0",)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run("build", release, "-o", pipe).exit_code == 0
    assert pipe.is_fifo()
    assert catalogue.loads(os.read(reader, 1 << 16)).releases == ("v1.24.0",)
    os.close(reader)


def test_a_catalogue_of_the_user_is_used(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.json"
    run("build", release / "STM32CubeWB-1.24.0", "-o", out)
    result = CliRunner().invoke(app, ["inspect", "--json", str(IMAGES / "stack-4k.bin"), "--catalogue", str(out)])
    assert json.loads(result.stdout)["images"][0]["known_as"][0]["release"] == "v1.24.0"
    shown = run("show", "--catalogue", out, "--version", "1.13.3")
    assert "is        BLE_LLD, 3100 bytes" in shown.stdout
    named = tmp_path / "STM32WB5X_safeboot_fw.bin"
    shutil.copy(IMAGES / "stack-4k.bin", named)
    checked = CliRunner().invoke(app, ["check", str(named), "--catalogue", str(out)])
    assert "WB404" not in checked.stdout  # no content that is known has that name
    shutil.copy(IMAGES / "fus-2.2.0.bin", release / "STM32CubeWB-1.24.0" / "stm32wb5x_Safeboot_fw.bin")
    run("build", release / "STM32CubeWB-1.24.0", "-o", out)
    checked = CliRunner().invoke(app, ["check", str(named), "--catalogue", str(out)])
    assert "WB404 the name says safeboot, but ST published it as BLE_LLD" in checked.stdout
    (tmp_path / "broken.json").write_text("{}")
    broken = CliRunner().invoke(app, ["inspect", str(named), "--catalogue", str(tmp_path / "broken.json")])
    assert (broken.exit_code, "broken.json: not a catalogue" in broken.stderr) == (4, True)


def test_inspect_names_the_releases_of_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = image("stack-4k").sha256
    publications = tuple(Publication(f"v1.{n}.0", "STM32WB5x/stm32wb5x_BLE_LLD_fw.bin", {}) for n in (22, 23))
    known = Content(sha256, 0, *(None,) * 2, (), *(None,) * 5, published=publications, known_bad=None)
    monkeypatch.setattr(catalogue, "shipped", lambda: Catalogue((), {sha256: known}))
    result = CliRunner().invoke(app, ["inspect", "--json", str(IMAGES / "stack-4k.bin")])
    (entry,) = json.loads(result.stdout)["images"]
    assert entry["known_as"] == [
        {"release": "v1.22.0", "path": "STM32WB5x/stm32wb5x_BLE_LLD_fw.bin"},
        {"release": "v1.23.0", "path": "STM32WB5x/stm32wb5x_BLE_LLD_fw.bin"},
    ]
    text = CliRunner().invoke(app, ["inspect", str(IMAGES / "stack-4k.bin")]).stdout
    assert text.startswith("BLE_LLD\n")
    assert "  purpose   Bluetooth LE low level driver" in text
    assert "  released  first in v1.22.0, last in v1.23.0\n" in text


def test_show_what_lists_every_version_of_a_variant() -> None:
    result = run("show", "--what", "ble_stack_full", "--series", "WB5x")
    assert result.exit_code == 0
    head, *rows = result.stdout.splitlines()[:9]
    assert head == "BLE_Stack_full 1.24.0, WB3x and WB5x, v1.24.0"
    assert rows[0].startswith("  size      ")
    assert "  FUS       2.0.0 or later" in rows
    assert "  goes to   STM32WB5xxG 0x080D0000" in rows
    assert run("show", "--what", "nothing").exit_code == 3


def test_an_update_is_added_to_the_built_in_catalogue(release: Path, tmp_path: Path) -> None:
    folder = (release / "STM32CubeWB-1.24.0").rename(release / "STM32CubeWB-1.25.0")
    out = tmp_path / "out.json"
    assert run("update", folder, "-o", out).exit_code == 0
    updated = catalogue.loads(out.read_bytes())
    assert updated.releases[-2:] == ("v1.24.0", "v1.25.0")
    assert updated.contents[image("stack-4k").sha256].first_release == "v1.25.0"
    shown = run("show", "--catalogue", out, "--version", "9.9.9")
    assert "not in this catalogue (ST releases v1.1.0 to v1.25.0)" in shown.stderr
