from __future__ import annotations

import hashlib
import json

import pytest

from nbmlops.core import digests
from nbmlops.serving.bundle import read_bundle
from nbmlops.serving.errors import ServingError
from nbmlops.serving.runtimes import make_runtime

from . import bundles


def test_the_digest_is_that_of_the_canonical_manifest(made):
    bundle = read_bundle(made("onnx"))
    assert bundle.digest == digests.of_json(json.loads((made("onnx") / "bundle.json").read_text()))
    assert bundle.signature.names == ("distance", "hour", "carrier")


def manifest(path, **changes):
    document = json.loads((path / "bundle.json").read_text()) | changes
    (path / "bundle.json").write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format 2"),
        ({"format": None}, "format None"),
        ({"runtime": "spark"}, "runtime 'spark'"),
        ({"model": 5}, "can't be read"),
        ({"signature": {"inputs": [{"name": "x", "type": "complex"}]}}, "complex"),
        ({"signature": {"inputs": 5}}, "signature"),
        ({"signature": {"inputs": {"tensor": {"dtype": "float64"}}}}, "signature"),
    ],
)
def test_another_form_is_no_bundle(tmp_path, changes, words):
    path = manifest(bundles.constant_bundle(tmp_path, 1.0), **changes)
    with pytest.raises(ServingError, match=words) as caught:
        read_bundle(path)
    assert caught.value.code == "invalid_bundle"


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_an_unreadable_manifest_is_no_bundle(tmp_path, text):
    (tmp_path / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ServingError, match=r"bundle\.json can't be read"):
        read_bundle(tmp_path)


def test_a_folder_without_manifest_is_no_bundle(tmp_path):
    with pytest.raises(ServingError, match=r"no readable bundle\.json"):
        read_bundle(tmp_path / "missing")


def test_a_changed_file_is_found(tmp_path):
    path = bundles.constant_bundle(tmp_path, 1.0)
    (path / "model.onnx").write_bytes(b"changed")
    with pytest.raises(ServingError, match=r"model\.onnx") as caught:
        read_bundle(path)
    assert caught.value.code == "corrupt_bundle"


def test_a_missing_file_is_found(tmp_path):
    path = bundles.constant_bundle(tmp_path, 1.0)
    (path / "model.onnx").unlink()
    with pytest.raises(ServingError, match="missing") as caught:
        read_bundle(path)
    assert caught.value.code == "corrupt_bundle"


def test_a_model_that_can_not_be_loaded_says_why(tmp_path):
    content = b"no model"
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    path = bundles.constant_bundle(tmp_path, 1.0)
    (path / "model.onnx").write_bytes(content)
    with pytest.raises(ServingError, match="can't be loaded") as caught:
        make_runtime(read_bundle(manifest(path, files={"model.onnx": digest})))
    assert caught.value.code == "model_failed"


def test_a_graph_fed_from_an_unknown_column_is_refused(tmp_path):
    path = manifest(
        bundles.constant_bundle(tmp_path, 1.0),
        onnx={"inputs": [{"name": "x", "column": "other"}], "label_output": "y"},
    )
    with pytest.raises(ServingError, match="signature lacks"):
        make_runtime(read_bundle(path))
