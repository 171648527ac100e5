"""The catalogue: what is shipped, how it is built, what it identifies."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from imagekit import catalogue
from imagekit.catalogue import Catalogue, Content, Publication, StName
from imagekit.cli.program import app
from imagekit.errors import CatalogueError
from imagekit.image.model import Version
from imagekit.targets import Series
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


@needs_corpus
@counts_hold
def test_the_shipped_catalogue_is_the_one_built_from_the_corpus(tmp_path: Path) -> None:
    out = tmp_path / "catalogue.json"
    assert run("build", CORPUS, "-o", out).exit_code == 0
    assert out.read_bytes() == (Path(catalogue.__file__).parent / "data" / "catalogue.json").read_bytes()


def test_the_shipped_catalogue_knows_204_contents_of_ten_releases() -> None:
    shipped = catalogue.shipped()
    assert len(shipped.contents) == 204
    assert (shipped.releases[0], shipped.releases[-1], len(shipped.releases)) == ("v1.1.0", "v1.23.0", 10)
    assert sum(len(content.published) for content in shipped.contents.values()) == 355
    assert sum(bool(content.known_bad) for content in shipped.contents.values()) == 6


def test_no_bytes_of_st_s_are_shipped() -> None:
    data = Path(catalogue.__file__).parent / "data"
    assert {path.suffix for path in data.rglob("*") if path.is_file()} == {".pem", ".md", ".json", ".toml"}


def test_dumps_is_the_inverse_of_loads() -> None:
    shipped = catalogue.shipped()
    assert catalogue.loads(catalogue.dumps(shipped).encode()) == shipped


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"schema": "other"}', b'{"schema": "imagekit.catalogue/1", "contents": []}', b"\xff"]
)
def test_what_is_no_catalogue(data: bytes) -> None:
    with pytest.raises(CatalogueError, match=r"not a catalogue|schema"):
        catalogue.loads(data)


def identify(**fields: object) -> set[tuple[str, ...]]:
    return {content.variants for content in catalogue.shipped().identify(**fields)}  # type: ignore[arg-type]


def test_a_chip_s_fields_name_the_variant_where_the_version_does_not() -> None:
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
    assert "not in the built-in catalogue (ST releases v1.1.0 to" in result.stderr


def test_show_lists_all() -> None:
    result = run("show")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 205


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


def test_build_says_what_a_file_is_and_where_it_was_published(release: Path, tmp_path: Path) -> None:
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
def test_build_of_nothing_leaves_the_old_catalogue_alone(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    folder, out = tmp_path / "v1.24.0", tmp_path / "keep.json"
    folder.mkdir()
    (folder / "application.bin").write_bytes(b"other")
    out.write_text("old")
    result = run("build", make(folder), "-o", out)
    assert (result.exit_code, words in result.stderr, out.read_text()) == (4, True, "old")


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


def test_build_needs_a_release_in_the_path_or_said(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    out = tmp_path / "out.json"
    shutil.copy(IMAGES / "stack-4k.bin", folder / "stm32wb5x_BLE_LLD_fw.bin")
    result = run("build", folder, "-o", out)
    assert result.exit_code == 4
    assert "no folder above it is named for a release, such as v1.23.0: say it with --release" in result.stderr
    assert run("build", folder, "-o", out, "--release", "v1.24.0").exit_code == 0
    assert catalogue.loads(out.read_bytes()).releases == ("v1.24.0",)


def test_build_leaves_out_what_does_not_have_a_name_of_st_s(release: Path, tmp_path: Path) -> None:
    (release / "STM32CubeWB-1.24.0" / "application.bin").write_bytes(b"other")
    result = run("build", release, "-o", tmp_path / "out.json")
    assert result.stderr.endswith("2 files, 1 left out because of their names\n")


def test_build_follows_a_link_and_leaves_devices_alone(release: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
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


def test_a_catalogue_of_one_s_own_is_used(release: Path, tmp_path: Path) -> None:
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
    assert "WB404 its name says safeboot; ST published it as BLE_LLD" in checked.stdout
    (tmp_path / "broken.json").write_text("{}")
    broken = CliRunner().invoke(app, ["inspect", str(named), "--catalogue", str(tmp_path / "broken.json")])
    assert (broken.exit_code, "broken.json: not a catalogue" in broken.stderr) == (4, True)


def test_inspect_says_where_st_published_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "known as  BLE_LLD of v1.22.0, STM32WB5x/stm32wb5x_BLE_LLD_fw.bin, and 1 more" in text
