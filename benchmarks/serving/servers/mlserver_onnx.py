"""A runtime for MLServer that gives the tensors of a request to ONNX Runtime as they come, without a DataFrame."""

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from mlserver.utils import get_model_uri

DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}


class OnnxModel(MLModel):
    """Serves an ONNX file."""

    async def load(self) -> bool:
        """Open the file."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = await get_model_uri(self._settings)
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.label = self.session.get_outputs()[0].name
        self.columns = [(one.name, one.shape[1], DTYPES[one.type]) for one in self.session.get_inputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer with labels."""
        tensors = iter(payload.inputs)  # those of one type come in side by side
        feed = {
            name: np.array([list(next(tensors).data) for _ in range(width)], dtype=dtype).T
            for name, width, dtype in self.columns
        }
        labels = self.session.run([self.label], feed)[0]
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("predict", labels)])
