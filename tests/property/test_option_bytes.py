"""Any bytes and any text given as option bytes or as a question end in a value or in one error of ours."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from imagekit.errors import ExplanationError, OptionBytesError
from imagekit.explanations import fus_error, lookup, suggestions
from imagekit.option_bytes.decode import OptionBytes, decode, decode_pairs
from imagekit.option_bytes.verdicts import Grade, judge_fields, judge_together
from imagekit.targets import TARGETS, Target

targets = st.sampled_from(TARGETS)
words = st.integers(0, 0xFFFFFFFF)
names = st.sampled_from(
    ["OPTR", "SFR", "SRRVR", "IPCCBR", "WRP1AR", "SFSA", "SBRV", "C2OPT", "SBRSA", "BRSD", "ESE", "x"]
)
pairs = st.lists(st.builds("{}=0x{:X}".format, names, words), min_size=1, max_size=5).map(" ".join)
lines = st.lists(
    st.builds("0x{:08X} : {:08X} {:08X}".format, st.integers(0x1FFF7800, 0x1FFF8080), words, words)
    | st.text(max_size=30)
).map("\n".join)


def judge(option_bytes: OptionBytes) -> None:
    """Every verdict can be shown, and a good one needs no recovery."""
    for verdict in (*judge_fields(option_bytes), *judge_together(option_bytes)):
        assert verdict.meaning
        assert (verdict.grade in (Grade.WARNING, Grade.ERROR)) or not verdict.recovery


@given(st.binary(max_size=300) | lines.map(lambda text: text.encode("utf-8", "replace")), targets)
def test_any_dump_is_decoded_or_refused(data: bytes, target: Target) -> None:
    with suppress(OptionBytesError):
        judge(decode(data, target))


@given(st.lists(words, min_size=16, max_size=16), targets)
def test_any_sound_dump_is_judged(values: list[int], target: Target) -> None:
    data = b"".join(one.to_bytes(4, "little") + (one ^ 0xFFFFFFFF).to_bytes(4, "little") for one in values)
    judge(decode(data, target))


@given(pairs | st.text(max_size=60), targets)
def test_any_pairs_are_decoded_or_refused(text: str, target: Target) -> None:
    with suppress(OptionBytesError):
        judge(decode_pairs(text, target))


@given(st.text(max_size=80) | st.integers(0, 2**40).map(str))
def test_any_question_is_answered_or_refused(text: str) -> None:
    found = lookup(text)
    assert len(found) == len({(one.group, one.name) for one in found})
    assert len(suggestions(text)) <= 3


@given(st.integers(-1, 256))
def test_any_code_is_explained_or_refused(code: int) -> None:
    with suppress(ExplanationError):
        assert fus_error(code).has_code(code)
