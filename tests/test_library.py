"""The public library: what `import imagekit` offers, what it loads, and the example of docs/library.md."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import imagekit
from tests.support import library_example
from tests.support.bundles import bundle, private, public_file
from tests.support.corpus import CORPUS
from tests.support.images import FIXTURES, IMAGES, content, throw_away_keys

ROOT = FIXTURES.parent
PAGE = ROOT / "docs" / "library.md"
STACK = CORPUS / "v1.23.0" / "STM32WB5x" / "stm32wb5x_BLE_Stack_full_fw.bin"


def typed_names() -> dict[str, str]:
    """The names that type checkers see, and their modules."""
    tree = ast.parse(Path(imagekit.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {
        alias.name: str(node.module).removeprefix("imagekit.")
        for node in imports
        for alias in node.names
        if str(node.module).startswith("imagekit.")
    }


def test_type_checkers_and_programs_see_the_same_names() -> None:
    assert typed_names() == imagekit._MODULES
    assert list(imagekit.__all__) == sorted(["__version__", *imagekit._MODULES])


def test_dir_lists_every_public_name() -> None:
    assert set(imagekit.__all__) <= set(dir(imagekit))


@pytest.mark.parametrize("name", imagekit.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(imagekit, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'imagekit' has no attribute 'imaage'"):
        imagekit.imaage  # noqa: B018


def test_importing_the_library_loads_no_other_module() -> None:
    code = "import sys; import imagekit; dir(imagekit); print([m for m in sys.modules if m.startswith('imagekit.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like_input_is_accepted(kind: type) -> None:
    image = imagekit.Image.parse(kind(content("stack-4k")))
    assert image == imagekit.Image.parse(content("stack-4k"))
    keys = imagekit.load_public_keys(kind(public_file("p256").read_bytes()))
    data = bundle("stack-4k", keys=[private("p256")], parts=["STM32WB55RG"])
    opened = imagekit.open_bundle(kind(data), keys, st_keys=throw_away_keys())
    assert list(opened.images.values()) == [content("stack-4k")]


def test_the_page_shows_the_example_and_every_name() -> None:
    page = PAGE.read_text(encoding="utf-8")
    example = Path(library_example.__file__).read_text(encoding="utf-8")
    assert f"```python\n{example}```" in page
    assert [name for name in imagekit.__all__ if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("image", "part", "code", "words"),
    [
        ("stack-4k", "STM32WB55RG", 0, "install address: 0x080F3000"),
        ("stack-fus2-4k", "STM32WB55RG", 3, "error WB303: "),
        ("web-page", "STM32WB55RG", 4, "web page"),
        ("stack-4k", "STM32WB99", 4, "STM32WB99"),
    ],
)
def test_the_example_judges_an_image(
    image: str, part: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imagekit.assessment.st_keys", throw_away_keys)
    assert library_example.judge(IMAGES / f"{image}.bin", part, "1.2.0") == code
    assert words in "".join(capsys.readouterr())


@pytest.mark.skipif(not STACK.exists(), reason="no v1.23.0 in this corpus")
def test_the_example_runs_as_a_program() -> None:
    command = [sys.executable, str(library_example.__file__), str(STACK), "STM32WB55RG", "2.1.0"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "signature: valid" in result.stdout
    assert "install address: 0x080D0000" in result.stdout
