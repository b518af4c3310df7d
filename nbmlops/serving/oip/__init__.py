"""The Open Inference Protocol, version 2, over HTTP, with binary tensors both ways.

References
----------
Open Inference Protocol, https://github.com/kserve/open-inference-protocol (``specification/protocol``); the extension
of binary tensor data, https://github.com/triton-inference-server/server (``docs/protocol``).
"""

from __future__ import annotations
