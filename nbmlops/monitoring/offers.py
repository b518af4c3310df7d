"""What this room offers on an endpoint; `nbmlops.deployment` finds it by its entry point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nbmlops.core.workspace import Workspace
from nbmlops.monitoring.collected import CollectedData


def collected(workspace: Workspace, endpoint: str, **selection: Any) -> pd.DataFrame:
    """Return what an endpoint was sent and answered; `selection` is that of `CollectedData.frame`."""
    return CollectedData.of(workspace, endpoint).frame(**selection)
