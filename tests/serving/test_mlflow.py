"""The same requests through MLflow's own scoring server give the same answers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from nbmlops.serving.decoding import FrameDecoder
from nbmlops.serving.documents import CSV, JSON
from nbmlops.serving.runtimes.frames import data_frame
from nbmlops.serving.signature import Column

from . import bundles

pytestmark = pytest.mark.integration

COLUMNS = [
    Column("double", "double", nullable=True),
    Column("float", "float"),
    Column("long", "long"),
    Column("integer", "integer"),
    Column("boolean", "boolean"),
    Column("text", "string", nullable=True),
    Column("bytes", "binary"),
    Column("when", "datetime"),
]
ROWS = [
    [1, 2.5, 3, 4, True, "a", "YWI=", "2013-01-01T07:30:00"],
    [None, -1e10, 2**53, -5, False, None, "", "2014-12-31T00:00:00"],
]
NAMES = [column.name for column in COLUMNS]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]


@pytest.fixture(scope="module")
def schema():
    import mlflow.types as types

    return types.Schema([types.ColSpec(column.type, column.name) for column in COLUMNS])


def same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    theirs = theirs[NAMES]
    for column in COLUMNS:
        left, right = ours[column.name], theirs[column.name]
        assert left.isna().tolist() == right.isna().tolist(), column.name
        assert left.dropna().tolist() == right.dropna().tolist(), column.name
        if column.type not in ("string", "binary"):
            assert left.dtype == right.dtype, column.name


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": NAMES, "data": ROWS}},
        {"dataframe_split": {"columns": NAMES[::-1], "data": [row[::-1] for row in ROWS], "index": [7, 8]}},
        {"dataframe_records": RECORDS},
    ],
)
def test_frames_are_decoded_as_mlflow_does(schema, document):
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    decoder = FrameDecoder(COLUMNS)
    decoded = decoder.decode(json.dumps(document).encode(), JSON).data
    same(data_frame(decoder.tabulate([decoded]), COLUMNS), infer_and_parse_data(document, schema))


def test_csv_is_decoded_as_mlflow_does(schema):
    import io

    from mlflow.pyfunc.scoring_server import parse_csv_input

    columns = [column for column in COLUMNS if column.type not in ("binary", "datetime")]
    frame = pd.DataFrame(RECORDS)[[column.name for column in columns]]
    text = frame.to_csv(index=False)
    decoder = FrameDecoder(columns)
    ours = data_frame(decoder.tabulate([decoder.decode(text.encode(), CSV).data]), columns)
    theirs = parse_csv_input(io.StringIO(text))
    for column in columns:
        assert ours[column.name].isna().tolist() == theirs[column.name].isna().tolist()
        assert ours[column.name].dropna().tolist() == pytest.approx(theirs[column.name].dropna().tolist())


@pytest.mark.parametrize("runtime", ["onnx", "skops", "pyfunc"])
def test_answers_are_those_of_mlflows_own_server(served, made, tmp_path, runtime):
    import mlflow.pyfunc
    import mlflow.sklearn
    from fastapi.testclient import TestClient
    from mlflow.models import infer_signature
    from mlflow.pyfunc.scoring_server import init

    rows = bundles.frame(20, seed=3)
    folder = tmp_path / "bundle" / "model"
    signature = infer_signature(rows, bundles.fitted().predict(rows))
    requirements = ["scikit-learn"]
    mlflow.sklearn.save_model(
        bundles.fitted(), folder, serialization_format="cloudpickle", signature=signature, pip_requirements=requirements
    )
    if runtime == "pyfunc":
        files = {f"model/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        path = bundles.write(
            tmp_path / "bundle", files, runtime="pyfunc", model={"path": "model"}, signature=bundles.SIGNATURE
        )
    else:
        path = made(runtime)
    served.configure(("1", path, 1))
    theirs = TestClient(init(mlflow.pyfunc.load_model(str(folder))))
    for document in (
        {"dataframe_split": rows.to_dict("split")},
        {"dataframe_records": rows.to_dict("records")},
        {"inputs": rows.to_dict("list")},
        {"instances": rows.to_dict("records")},
    ):
        expected = theirs.post("/invocations", json=document)
        assert expected.status_code == 200, expected.text
        assert served.post(document).json == expected.json()
    text = rows.to_csv(index=False)
    expected = theirs.post("/invocations", content=text, headers={"content-type": "text/csv"})
    assert served.post(text.encode(), "text/csv; charset=utf-8").json == expected.json()


@pytest.mark.parametrize(
    "answer",
    [
        np.array([1, 2]),
        np.array([[1.5, 2.5]]),
        pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        pd.Series([1.5, 2.5], name="y"),
        [{"a": np.float64(1.5)}],
        {"a": [1, 2]},
        "text",
    ],
)
def test_answers_of_any_kind_have_mlflows_form(answer):
    import io

    from mlflow.pyfunc.scoring_server import predictions_to_json

    from nbmlops.serving.outputs import Outputs, encode
    from nbmlops.serving.runtimes.pyfunc import jsonable

    expected = io.StringIO()
    predictions_to_json(answer, expected)
    assert json.loads(encode(Outputs(payload=jsonable(answer)), "label", None)) == json.loads(expected.getvalue())
