from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
import yaml

from nbmlops.conversion import OnnxModel
from nbmlops.core.errors import InvalidObject
from nbmlops.packaging.contents import plan
from nbmlops.serving import source_files


def planned(models, **options):
    return plan(models.folder, models.signature_, models.captured_, **options)


def model_files(contents) -> set[str]:
    return {name for name in contents.sources if name.startswith(("model", "assets"))}


def test_an_estimator_travels_with_its_code_and_assets_alone(make_models):
    contents = planned(make_models("sklearn"))
    assert model_files(contents) == {
        "model/model.pkl",
        "model/code/house/rules.py",
        "assets/labels.txt",
        "assets/vocabulary/en.txt",
    }
    manifest = contents.manifest
    assert manifest["runtime"] == "sklearn"
    assert manifest["model"] == {"path": "model/model.pkl", "serialization": "cloudpickle", "trusted": []}
    assert manifest["code"] == ["model/code"]
    assert manifest["assets"] == ["assets/labels.txt", "assets/vocabulary"]
    assert manifest["onnx"] is None


def test_a_converted_model_travels_alone(make_models, onnx):
    contents = planned(make_models("sklearn"), onnx=onnx)
    assert model_files(contents) == {"model.onnx", "assets/labels.txt", "assets/vocabulary/en.txt"}
    assert contents.sources["model.onnx"] == b"converted"
    assert contents.manifest["runtime"] == "onnx"
    assert contents.manifest["model"] == {"path": "model.onnx"}
    assert contents.manifest["onnx"] == onnx.interface()
    assert contents.manifest["code"] == []


class Behind(OnnxModel):
    """An estimator that is served behind its pipeline's own preprocessing."""

    runtime = "hybrid"


def test_a_pipeline_in_two_runtimes_travels_whole_beside_its_converted_estimator(make_models, onnx):
    behind = Behind(**{one.name: getattr(onnx, one.name) for one in fields(onnx)})
    contents = planned(make_models("sklearn"), onnx=behind)
    assert model_files(contents) == {
        "model.onnx",
        "model/model.pkl",
        "model/code/house/rules.py",
        "assets/labels.txt",
        "assets/vocabulary/en.txt",
    }
    manifest = contents.manifest
    assert manifest["runtime"] == "hybrid"
    assert manifest["model"] == {
        "path": "model.onnx",
        "preprocessing": "model/model.pkl",
        "serialization": "cloudpickle",
        "trusted": [],
    }
    assert manifest["code"] == ["model/code"]
    assert manifest["onnx"] == onnx.interface()
    pins = contents.sources["requirements.lock"].decode()
    for needed in ("onnxruntime==", "scikit-learn==", "pandas==", "cloudpickle==", "numpy==1.2.3\n"):
        assert needed in pins
    with pytest.raises(InvalidObject, match="saved for the pyfunc runtime"):
        planned(make_models("python"), onnx=behind)


def test_any_other_model_travels_as_an_mlflow_model_without_examples_of_the_data(make_models):
    contents = planned(make_models("python"))
    assert contents.manifest["runtime"] == "pyfunc"
    assert contents.manifest["model"] == {"path": "model"}
    files = model_files(contents)
    assert {"model/MLmodel", "model/model.pkl", "model/requirements.txt", "model/artifacts/words.txt"} <= files
    for left in ("input_example.json", "serving_input_example.json", "registered_model_meta", "assets/labels.txt"):
        assert f"model/{left}" not in files
    mlmodel = yaml.safe_load(contents.sources["model/MLmodel"])
    assert mlmodel["flavors"]["python_function"]["artifacts"]["words"]["uri"] == "artifacts/words.txt"
    assert not {"run_id", "model_id", "utc_time_created"} & mlmodel.keys()


def test_what_computes_a_converted_model_is_written_down(make_models, onnx):
    models = make_models("sklearn")
    assert planned(models, onnx=replace(onnx, provider="CUDAExecutionProvider")).manifest["provider"] == (
        "CUDAExecutionProvider"
    )
    assert planned(models, onnx=onnx).manifest["provider"] == ""


def test_an_onnx_file_is_served_without_mlflow(make_models):
    contents = planned(make_models("onnx"))
    assert contents.manifest["runtime"] == "onnx"
    assert contents.manifest["model"] == {"path": "model/model.onnx"}
    assert "model/model.onnx.data" in contents.sources
    assert "mlflow==" not in contents.sources["requirements.lock"].decode()


def test_plain_files_can_not_be_served(make_models):
    with pytest.raises(InvalidObject, match="no predict"):
        planned(make_models("files"))


def test_the_manifest_lists_every_file_and_nothing_personal(make_models, onnx):
    for contents in (planned(make_models()), planned(make_models(), onnx=onnx)):
        assert set(contents.manifest["files"]) == set(contents.sources)
        assert {f"nbmlops_serving/{name}" for name in source_files()} < set(contents.sources)
        text = json.dumps(dict(contents.manifest))
        for personal in ("run-1", "m-1", "2026", "/home", "input_example"):
            assert personal not in text


def test_environments_are_told_apart(make_models, onnx):
    own, converted = planned(make_models()), planned(make_models(), onnx=onnx)
    assert own.manifest["environment_id"] == converted.manifest["environment_id"] == "sha256:" + "e" * 64
    serving = {one.manifest["serving_environment_id"] for one in (own, converted)}
    assert len(serving) == 2
    assert own.manifest["environment_id"] not in serving


@pytest.mark.parametrize("value", [float("nan"), 2**60])
def test_an_example_that_canonical_json_can_not_hold_is_left_out(value, make_models):
    models = make_models()
    models.signature_ = {**models.signature_, "example": {"columns": ["wind"], "data": [[value]]}}
    assert planned(models).manifest["signature"]["example"] is None


def test_the_text_of_cells_travels_with_what_runs_them(make_models, onnx):
    models = make_models("python")
    models.captured_ = {**models.captured_, "sources": {"<cell 1>": "def predict(rows): ...\n"}}
    contents = planned(models)
    assert json.loads(contents.sources["sources.json"]) == {"<cell 1>": "def predict(rows): ...\n"}
    assert "sources.json" in contents.manifest["files"]
    assert "sources.json" not in planned(models, onnx=onnx).sources
    assert "sources.json" not in planned(make_models("python")).sources
