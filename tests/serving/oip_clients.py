"""Calls an endpoint as the users of other servers do, with their own clients; prints what these got as JSON.

``python oip_clients.py CLIENT URL TOKEN`` runs in an environment of its own, which ``make clients`` makes:
the clients pin what nbmlops does not.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "flights"
ROWS = {"distance": [500.0, 700.5, 2999.0], "hour": [7, 18, 23], "carrier": ["AA", "UA", "DL"]}


def triton(url: str, token: str) -> dict[str, Any]:
    import tritonclient.http as client

    headers = {"Authorization": f"Bearer {token}"}  # each call gets a copy, since the client writes lengths into it
    there = client.InferenceServerClient(url.removeprefix("http://"))

    def inputs(binary: bool) -> list[Any]:
        arrays = {
            "distance": np.array(ROWS["distance"]),
            "hour": np.array(ROWS["hour"]).reshape(-1, 1),
            "carrier": np.array(ROWS["carrier"], dtype=object),
        }
        result = []
        for name, array in arrays.items():
            result.append(client.InferInput(name, list(array.shape), client.np_to_triton_dtype(array.dtype)))
            result[-1].set_data_from_numpy(array, binary_data=binary)
        return result

    def outputs(binary: bool) -> list[Any]:
        return [client.InferRequestedOutput(name, binary_data=binary) for name in ("predict", "predict_proba")]

    def refusal(**more: Any) -> dict[str, Any]:
        try:
            there.infer(MODEL, more.pop("inputs", inputs(True)), **{"headers": dict(headers), **more})
        except client.InferenceServerException as error:
            return {"message": error.message(), "status": error.status()}
        return {}

    found: dict[str, Any] = {
        "live": there.is_server_live(),
        "ready": there.is_server_ready(),
        "model ready": there.is_model_ready(MODEL, headers=headers),
        "version ready": there.is_model_ready(MODEL, "1", headers=headers),
        "server": there.get_server_metadata(headers=headers),
        "model": there.get_model_metadata(MODEL, "1", headers=headers),
        "index": there.get_model_repository_index(headers=headers),
        "other input": refusal(inputs=[client.InferInput("distancee", [1], "FP64").set_data_from_numpy(np.ones(1))]),
        "other model": refusal(model_version="9"),
        "no token": refusal(headers={}),
    }
    for sent in (True, False):
        for got in (True, False):
            answer = there.infer(
                MODEL, inputs(sent), request_id="mine", model_version="1", outputs=outputs(got), headers=dict(headers)
            )
            found[f"sent {sent}, got {got}"] = {
                "response": {name: answer.get_response()[name] for name in ("id", "model_name", "model_version")},
                "predict": answer.as_numpy("predict").tolist(),
                "predict_proba": answer.as_numpy("predict_proba").tolist(),
                "dtypes": [answer.as_numpy(name).dtype.str for name in ("predict", "predict_proba")],
            }
    answer = there.infer(
        MODEL, inputs(True), headers=dict(headers), parameters={"output": "both"}, priority=1, timeout=1000
    )
    found["all"] = [answer.as_numpy("predict").tolist(), answer.as_numpy("predict_proba").tolist()]
    pending = there.async_infer(MODEL, inputs(True), headers=dict(headers))
    found["async"] = pending.get_result().as_numpy("predict").tolist()
    there.close()
    return found


def kserve(url: str, token: str) -> dict[str, Any]:
    import httpx
    import kserve as client

    headers = {"Authorization": f"Bearer {token}"}

    def request(binary: bool, **more: Any) -> Any:
        distance = client.InferInput("distance", [3], "FP64")
        distance.set_data_from_numpy(np.array(ROWS["distance"]), binary_data=binary)
        hour = client.InferInput("hour", [3, 1], "INT64")
        hour.set_data_from_numpy(np.array(ROWS["hour"]).reshape(3, 1), binary_data=binary)
        carrier = client.InferInput("carrier", [3], "BYTES")
        carrier.set_data_from_numpy(np.array(ROWS["carrier"], dtype=object), binary_data=binary)
        return client.InferRequest(MODEL, [distance, hour, carrier], request_id="mine", **more)

    async def call() -> dict[str, Any]:
        there = client.InferenceRESTClient(client.RESTConfig(protocol="v2", timeout=30))
        found: dict[str, Any] = {
            "live": await there.is_server_live(url),
            "ready": await there.is_server_ready(url),
            "model ready": await there.is_model_ready(url, MODEL, headers=dict(headers)),
            "other model ready": await there.is_model_ready(url, "other", headers=dict(headers)),
        }
        for binary in (True, False):
            for back in (True, False):
                more = {"parameters": {"output": "both", "binary_data_output": back}}
                answer = await there.infer(url, request(binary, **more), model_name=MODEL, headers=dict(headers))
                found[f"sent {binary}, got {back}"] = {
                    "id": answer.id,
                    "model_name": answer.model_name,
                    "outputs": {output.name: output.as_numpy().tolist() for output in answer.outputs},
                }
        try:
            await there.infer(url, request(True), model_name="other", headers=dict(headers))
        except httpx.HTTPStatusError as error:
            found["other model"] = str(error)
        await there.close()
        return found

    return asyncio.run(call())


def mlserver(url: str, token: str) -> dict[str, Any]:
    import pandas as pd
    import requests
    from mlserver import codecs, types

    frame = pd.DataFrame(ROWS)
    headers = {"Authorization": f"Bearer {token}"}
    path = f"{url}/v2/models/{MODEL}"

    def post(request: types.InferenceRequest) -> types.InferenceResponse:
        answer = requests.post(f"{path}/infer", json=request.model_dump(mode="json"), headers=headers, timeout=30)
        return types.InferenceResponse.model_validate_json(answer.content)

    found: dict[str, Any] = {
        "server": types.MetadataServerResponse.model_validate(
            requests.get(f"{url}/v2", headers=headers, timeout=30).json()
        ).name,
        "model": types.MetadataModelResponse.model_validate(
            requests.get(path, headers=headers, timeout=30).json()
        ).model_dump(mode="json"),
    }
    request = codecs.PandasCodec.encode_request(frame, use_bytes=False)
    request.id = "mine"
    request.outputs = [types.RequestOutput(name="predict"), types.RequestOutput(name="predict_proba")]
    answer = post(request)
    found["pandas"] = {
        "id": answer.id,
        "version": answer.model_version,
        "outputs": {output.name: codecs.NumpyCodec.decode_output(output).tolist() for output in answer.outputs},
    }
    request.outputs = None
    found["frame"] = codecs.PandasCodec.decode_response(post(request)).to_dict("list")
    single = types.InferenceRequest(
        inputs=[
            codecs.NumpyCodec.encode_input("distance", frame[["distance"]].to_numpy()),
            codecs.NumpyCodec.encode_input("hour", frame["hour"].to_numpy()),
            codecs.StringCodec.encode_input("carrier", ROWS["carrier"], use_bytes=False),
        ]
    )
    found["numpy"] = codecs.NumpyRequestCodec.decode_response(post(single)).tolist()
    refused = requests.post(f"{path}/infer", json={"inputs": []}, headers=headers, timeout=30)
    found["refused"] = types.InferenceErrorResponse.model_validate(refused.json()).error
    found["batch"] = _batch(url, token, request)
    return found


def _batch(url: str, token: str, request: Any) -> list[Any]:
    """Run ``mlserver infer`` over a file of requests."""
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder, "in.txt"), Path(folder, "out.txt")
        # It sends numpy arrays, and turns texts into such of a fixed width; numbers alone come through.
        numbers = json.loads(request.model_dump_json(exclude_none=True))
        here.write_text((json.dumps(numbers) + "\n") * 3)
        command = [
            str(Path(sys.executable).parent / "mlserver"),
            "infer",
            "-u",
            url.removeprefix("http://"),
            "-m",
            MODEL,
        ]
        command += [
            "-i",
            str(here),
            "-o",
            str(there),
            "-H",
            f"Authorization: Bearer {token}",
            "-b",
            "--transport",
            "rest",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if not there.exists():
            return [done.stdout + done.stderr]
        return [json.loads(line) for line in there.read_text().splitlines()]


if __name__ == "__main__":
    name, address, secret = sys.argv[1:]
    print(json.dumps({"triton": triton, "kserve": kserve, "mlserver": mlserver}[name](address, secret)))
