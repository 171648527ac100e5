"""Signed conditions of a bundle: when its FUS is installed, and until when the bundle itself is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from imagekit.bundle import manifest_json
from imagekit.bundle.manifest import FusPolicy
from imagekit.bundle.order import steps_on
from imagekit.bundle.verified import VerifiedBundle, open_bundle
from imagekit.errors import BundleError
from imagekit.image.model import Version
from tests.support.bundles import bundle, fixture, private, public, trusted
from tests.support.flashing import opened
from tests.support.images import throw_away_keys

EXPIRY = datetime(2027, 1, 31, 12, tzinfo=UTC)
UPGRADE = ("fus-2.2.0", "stack-fus2-4k")


def expiring(now: datetime) -> VerifiedBundle:
    data = bundle(*UPGRADE, keys=[private("p256")], expires="2027-01-31T12:00:00Z")
    return open_bundle(data, [public("p256")], st_keys=throw_away_keys(), now=now)


def gives(made: VerifiedBundle, fus: str) -> list[str]:
    return [step.gives for step in steps_on(made.manifest, Version.from_text(fus))]


# --- until when


def test_a_bundle_opens_until_the_second_before_it_expires() -> None:
    assert expiring(EXPIRY - timedelta(seconds=1)).manifest.expires == "2027-01-31T12:00:00Z"


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=400)])
def test_an_expired_bundle_is_refused_and_the_clock_is_named(late: timedelta) -> None:
    with pytest.raises(BundleError) as refused:
        expiring(EXPIRY + late)
    clock = (EXPIRY + late).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert refused.value.reason == "expired"
    assert str(refused.value) == (
        f"it expired at 2027-01-31T12:00:00Z, and the clock of this computer says {clock}: get a newer bundle, or "
        "correct the clock"
    )


def test_a_bundle_without_a_date_never_expires() -> None:
    opened_late = open_bundle(
        fixture("good-ed25519"), trusted(), st_keys=throw_away_keys(), now=EXPIRY.replace(year=9999)
    )
    assert opened_late.manifest.expires is None


# --- when FUS is installed


def test_a_bundle_of_version_1_always_upgrades_fus() -> None:
    """Its bytes have neither member, and writing it again gives the same bytes."""
    made = open_bundle(fixture("good-ed25519"), trusted(), st_keys=throw_away_keys())
    assert made.manifest.fus_policy is FusPolicy.ALWAYS
    payload = manifest_json.dumps(made.manifest)
    assert b"fus_policy" not in payload
    assert manifest_json.loads(payload) == made.manifest


def test_needed_leaves_a_fus_out_that_the_stack_does_not_need() -> None:
    needed, always = (opened(*UPGRADE, fus_policy=policy) for policy in (FusPolicy.NEEDED, FusPolicy.ALWAYS))
    assert gives(needed, "2.0.0") == ["1.24.0"]
    assert gives(always, "2.0.0") == ["2.2.0", "1.24.0"]
    assert gives(needed, "1.2.0") == gives(always, "1.2.0") == ["2.2.0", "1.24.0"]


def test_needed_leaves_a_plain_stack_on_an_older_fus() -> None:
    assert gives(opened("fus-2.2.0", "stack-4k", fus_policy=FusPolicy.NEEDED), "1.2.0") == ["1.13.3"]


def test_a_bundle_ending_with_fus_installs_it_under_each_policy() -> None:
    for policy in FusPolicy:
        assert gives(opened("fus-2.2.0", fus_policy=policy), "2.0.0") == ["2.2.0"]


def test_a_bundle_that_does_not_lead_there_keeps_all_steps() -> None:
    assert gives(opened(*UPGRADE, fus_policy=FusPolicy.NEEDED), "1.1.0") == ["2.2.0", "1.24.0"]


# --- one spelling


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("fus_policy", "always", 'manifest.predicate.fus_policy: not "needed"'),
        ("fus_policy", "never", 'manifest.predicate.fus_policy: not "needed"'),
        ("fus_policy", None, "not the one spelling of this statement"),
        ("fus_policy", 1, 'manifest.predicate.fus_policy: not "needed"'),
        ("expires", None, "not the one spelling of this statement"),
        ("expires", "2027-01-31", "manifest.predicate.expires: not a time"),
        ("expires", "2027-02-30T00:00:00Z", "manifest.predicate.expires: not a time"),
        ("expires", "2027-01-31T12:00:00+00:00", "manifest.predicate.expires: not a time"),
        ("expires", 5, "manifest.predicate.expires: not a time"),
    ],
)
def test_any_other_spelling_is_refused(member: str, value: object, reason: str) -> None:
    statement = json.loads(manifest_json.dumps(opened("stack-4k").manifest))
    statement["predicate"][member] = value
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(BundleError) as refused:
        manifest_json.loads(payload)
    assert reason in str(refused.value)
    assert refused.value.reason == "manifest"


def test_both_members_are_signed() -> None:
    stated = replace(opened(*UPGRADE).manifest, fus_policy=FusPolicy.NEEDED, expires="2027-01-31T12:00:00Z")
    predicate = json.loads(manifest_json.dumps(stated))["predicate"]
    assert (predicate["fus_policy"], predicate["expires"]) == ("needed", "2027-01-31T12:00:00Z")
    assert manifest_json.loads(manifest_json.dumps(stated)) == stated
