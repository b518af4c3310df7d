from __future__ import annotations

import json

import pytest

from nbmlops.core import digests
from nbmlops.core.errors import Corrupt, InvalidInput
from nbmlops.core.workspace import Workspace
from nbmlops.packaging import attest, attestations, build_bundle, verify

FACTS = {"rung": "float64", "rows": 1000}


@pytest.fixture
def bundle(make_models, tmp_path):
    return build_bundle(make_models(), "flights/1", workspace=Workspace(tmp_path))


def stored(bundle, kind):
    return bundle.path.with_name(f"{bundle.path.name}.attestations") / f"{kind}.json"


def test_what_is_stated_is_read_back_and_the_bundle_stays_as_it_was(bundle):
    assert attestations(bundle) == {}
    assert attest(bundle, "certificate", FACTS) == digests.of_json(FACTS)
    attest(bundle, "proof", {"rows": 5})
    assert attestations(bundle) == {"certificate": FACTS, "proof": {"rows": 5}}
    assert verify(bundle) == bundle


def test_the_file_is_a_statement_that_others_can_read(bundle):
    attest(bundle, "certificate", FACTS)
    statement = json.loads(stored(bundle, "certificate").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"] == {"sha256": bundle.digest.removeprefix("sha256:")}
    assert statement["predicate"] == FACTS


def test_a_newer_statement_of_a_kind_takes_the_place_of_the_older(bundle):
    attest(bundle, "proof", {"rows": 5})
    attest(bundle, "proof", {"rows": 6})
    assert attestations(bundle) == {"proof": {"rows": 6}}
    assert [path.name for path in stored(bundle, "proof").parent.iterdir()] == ["proof.json"]


def test_a_statement_about_another_bundle_is_refused(bundle, make_models, tmp_path):
    other = build_bundle(make_models("python"), "flights/2", workspace=Workspace(tmp_path))
    attest(other, "proof", FACTS)
    stored(bundle, "proof").parent.mkdir()
    stored(bundle, "proof").write_bytes(stored(other, "proof").read_bytes())
    with pytest.raises(Corrupt, match="is about the bundle"):
        attestations(bundle)


@pytest.mark.parametrize("text", ["{", "[]", '{"subject": []}'])
def test_half_a_file_is_named(bundle, text):
    attest(bundle, "proof", FACTS)
    stored(bundle, "proof").write_text(text)
    with pytest.raises(Corrupt, match=r"proof\.json can't be read"):
        attestations(bundle)


@pytest.mark.parametrize("kind", ["", "../proof", "Proof", "a b"])
def test_a_kind_is_one_plain_word(bundle, kind):
    with pytest.raises(InvalidInput, match="no kind of attestation"):
        attest(bundle, kind, FACTS)
