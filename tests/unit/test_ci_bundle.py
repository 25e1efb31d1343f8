"""A bundle is hostile bytes: what is not the blob that it is called does not count."""

import hashlib
import io
import json
import zipfile

import pytest

from grader.ci import bundle
from grader.ci.bundle import blob_id, read_bundle

NOTEBOOK = b'{"cells": []}'


def sha(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def packed(members, method=zipfile.ZIP_DEFLATED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def test_blobs_are_those_that_hash_to_their_names():
    """An honest member is there, with the manifest's claim; the id is git's."""
    found = read_bundle(packed([(sha(NOTEBOOK), NOTEBOOK), ("manifest.json", json.dumps({"head": "a" * 40}))]))
    assert (found.blobs, found.claimed_head, found.problems) == ({sha(NOTEBOOK): NOTEBOOK}, "a" * 40, ())
    assert blob_id(b"", "0" * 40) == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert blob_id(b"", "0" * 64) == "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813"


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "tiny/tiny.ipynb", "A" * 40, sha(b"other"), sha(NOTEBOOK) + "/", "."]
)
def test_other_names_and_other_bytes_do_not_count(name):
    """Paths, capital letters, and blobs that are not what they are called are left aside, and that is said."""
    found = read_bundle(packed([(name, NOTEBOOK)]))
    assert found.blobs == {}
    assert "1 file(s) that are not what they are called" in found.problems[0]


@pytest.mark.parametrize("manifest", [b"", b"null", b"[]", b'{"head": 7}', b'{"head": "HEAD"}', b"[" * 90_000, b"\xff"])
def test_a_manifest_decides_nothing(manifest):
    """Whatever stands in it, the blobs count and no claim is read."""
    found = read_bundle(packed([("manifest.json", manifest), (sha(NOTEBOOK), NOTEBOOK)]))
    assert (found.claimed_head, found.blobs) == (None, {sha(NOTEBOOK): NOTEBOOK})


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"x" * 1000, packed([(sha(NOTEBOOK), NOTEBOOK)])[:-30]])
def test_damage_is_a_sentence(data):
    """What is no archive gives nothing but a sentence."""
    found = read_bundle(data)
    assert (found.blobs, len(found.problems)) == ({}, 1)


def test_a_bomb_is_not_inflated(monkeypatch):
    """Inflating stops at the limit, also when the sizes in the archive lie."""
    monkeypatch.setattr(bundle, "MOST_BYTES", 1 << 20)
    data = bytes(8 << 20)
    honest = packed([(sha(data), data)])
    assert read_bundle(honest).blobs == {}
    lying = honest.replace((8 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert lying != honest
    found = read_bundle(lying)
    assert (found.blobs, len(found.problems)) == ({}, 1)


def test_too_many_members_are_refused_unread():
    """A thousand names are counted before anything is parsed."""
    assert "more than 200 files" in read_bundle(packed([(f"{n:040x}", b"") for n in range(1000)])).problems[0]
