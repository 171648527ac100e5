"""Any bytes given as an application are an Application or one error; any application comes back from Intel HEX."""

import itertools
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from imagekit.application.intel_hex import StartRecord, write_hex
from imagekit.application.model import from_binary, from_elf, from_hex
from imagekit.errors import ApplicationError
from tests.support.applications import VECTORS, Segment, elf

whole = elf(Segment(0x08000000, VECTORS), Segment(0x20000000, memory=64), sections=[(116, 16)])
damaged = st.builds(
    lambda start, end, insert: whole[:start] + insert + whole[end:],
    *(st.integers(0, len(whole)), st.integers(0, len(whole)), st.binary(max_size=20)),
)
changed = st.builds(
    lambda at, insert: whole[:at] + insert + whole[at + len(insert) :],
    *(st.integers(0, len(whole)), st.binary(min_size=1, max_size=4)),
)


@given(st.binary(max_size=200) | damaged | changed | st.binary(max_size=100).map(lambda tail: b"\x7fELF" + tail))
def test_any_bytes_are_an_application_or_an_error(data: bytes) -> None:
    for read in (from_elf, from_hex, lambda name, data: from_binary(name, data, 0x08000000)):
        with suppress(ApplicationError):
            one = read("x", data)
            assert 0x08000000 <= one.blocks[0].start < one.end <= 0x08100000
            assert all(low.end < high.start for low, high in itertools.pairwise(one.blocks))


@given(
    st.dictionaries(st.integers(0, 15), st.binary(min_size=1, max_size=300), min_size=1, max_size=8),
    st.none() | st.builds(StartRecord, type=st.sampled_from([3, 5]), value=st.integers(0, 2**32 - 1)),
)
def test_applications_come_back_from_hex(pages: dict[int, bytes], start: StartRecord | None) -> None:
    blocks = [(0x0800F000 + page * 0x1000, data) for page, data in sorted(pages.items())]
    one = from_hex("x.hex", write_hex(blocks, start))
    assert [(block.start, block.data) for block in one.blocks] == blocks
    assert one.start == start
