"""A minimal FastAPI server: a pydantic model of the row, one route. ``MODEL=… python fastapi_server.py PORT``."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import create_model
from scoring import COLUMNS, NUMBERS, load

Row = create_model("Row", **{name: (float if place < NUMBERS else str, ...) for place, name in enumerate(COLUMNS)})
score = load()
application = FastAPI()


@application.post("/predict")
async def predict(row: Row) -> dict[str, int]:  # type: ignore[valid-type]
    """Score one row."""
    return {"label": score([[getattr(row, name) for name in COLUMNS]])[0]}


if __name__ == "__main__":
    uvicorn.run(
        application, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
