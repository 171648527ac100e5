"""What the wheel and the source distribution hold: all that is needed, no tests in the wheel, nothing of ST's."""

import hashlib
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path, PurePath

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import imagekit
from imagekit.catalogue import shipped

pytestmark = pytest.mark.skipif(
    find_spec("hatchling") is None, reason="hatchling is not installed: pip install hatchling"
)

ROOT = Path(__file__).parents[1]
LARGEST = 320 * 1024
"""No file of ours but the catalogue is larger; most of ST's stacks are smaller, and their hashes identify them."""
CATALOGUE = "imagekit/data/catalogue.json"
EMPTY = hashlib.sha256().hexdigest()


def build(source: Path, folder: Path, *targets: str) -> list[Path]:
    """Build what is asked for; without a network, in this environment."""
    options = [option for target in targets for option in ("-t", target)]
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), *options]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel and the source distribution."""
    wheel, sdist = build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")
    assert (wheel.suffix, sdist.suffix) == (".whl", ".gz")
    return wheel, sdist


def content_of(archive: Path) -> dict[str, bytes]:
    """Every file of an archive by its name; those of a source distribution without its one folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        files = [(member, sdist.extractfile(member)) for member in sdist.getmembers()]
        return {member.name.partition("/")[2]: file.read() for member, file in files if file}


def ours(*folders: str) -> set[str]:
    """The files of the checkout in these folders, as they are named in it."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_both_packages_and_nothing_else(built: tuple[Path, Path]) -> None:
    names = set(content_of(built[0]))
    info = f"stm32wb_imagekit-{imagekit.__version__}.dist-info/"
    assert names - {name for name in names if name.startswith(info)} == ours("imagekit", "flasher")
    data = {
        f"imagekit/data/{name}"
        for name in ("catalogue.json", "catalogue-variants.toml", "explanations.toml", "known-bad.toml")
    }
    keys = {f"imagekit/data/keys/{name}.pem" for name in ("st-wb5x-wb3x", "st-wb1x", "st-wb3x-early")}
    assert data | keys | {"imagekit/py.typed", "flasher/py.typed", f"{info}licenses/LICENSE"} <= names


def test_the_wheel_has_its_metadata(built: tuple[Path, Path]) -> None:
    content = content_of(built[0])
    info = f"stm32wb_imagekit-{imagekit.__version__}.dist-info"
    said = message_from_bytes(content[f"{info}/METADATA"])
    assert (said["Name"], said["Version"]) == ("stm32wb-imagekit", imagekit.__version__)
    assert (said["Requires-Python"], said["License-Expression"]) == (">=3.11", "Apache-2.0")
    assert content[f"{info}/entry_points.txt"].decode().split() == [
        *("[console_scripts]", "flasher", "=", "flasher.__main__:main", "imagekit", "=", "imagekit.__main__:main"),
    ]


def test_the_source_holds_what_its_tests_need(built: tuple[Path, Path]) -> None:
    names = set(content_of(built[1]))
    assert ours("imagekit", "flasher", "tests", "fixtures", "docs", ".ci") <= names
    top = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", ".pre-commit-hooks.yaml"}
    assert top | {"SECURITY.md", "requirements.lock", ".pre-commit-config.yaml"} <= names
    folders = {PurePath(name).parts[0] for name in names if "/" in name}
    assert folders == {"imagekit", "flasher", "tests", "fixtures", "docs", ".ci"}


@pytest.mark.parametrize("number", [0, 1], ids=["wheel", "sdist"])
def test_neither_archive_holds_a_file_of_st(number: int, built: tuple[Path, Path]) -> None:
    known = set(shipped().contents) - {EMPTY}
    for name, data in content_of(built[number]).items():
        assert hashlib.sha256(data).hexdigest() not in known, name
        assert len(data) <= LARGEST or name == CATALOGUE, name
        if name.endswith(".bin"):
            assert name.startswith("fixtures/"), name


def test_a_wheel_made_from_the_source_is_the_same(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[1]) as sdist:
        sdist.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    (again,) = build(source, tmp_path / "dist", "wheel")
    assert again.read_bytes() == built[0].read_bytes()


def pinned() -> dict[str, Version]:
    """What requirements.lock pins, by the normalized name of the package."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+)==(\S+) (?:; .+ )?\\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", lock, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\S+==", lock, re.MULTILINE)), "an entry without a hash"
    return {canonicalize_name(name): Version(version) for name, version, _ in entries}


def test_the_lock_file_pins_every_dependency_in_its_range() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["recover"], *extras["test"]]
    pins = pinned()
    for requirement in map(Requirement, wanted):
        if requirement.name != project["name"]:
            assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in map(Requirement, project["dependencies"]):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"}, requirement
