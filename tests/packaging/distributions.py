"""Distributions as installers leave them, made by hand: files, a record with hashes, and where they came from."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WHEEL = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n"


def install(
    site: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, str] | None = None,
    direct_url: dict[str, Any] | None = None,
    installer: str = "pip",
) -> Path:
    """Install a distribution below `site` and return its metadata's folder."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    content = {
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: what it is\n",
        f"{info}/WHEEL": WHEEL,
        f"{info}/INSTALLER": installer,
    }
    if direct_url is not None:
        content[f"{info}/direct_url.json"] = json.dumps(direct_url)
    lines = []
    for path, text in content.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        quoted = f'"{path}"' if "," in path else path
        lines.append(f"{quoted},sha256={digest},{len(text)}")
    lines += [f"../../../bin/{name},sha256=abc,1", f"{info}/RECORD,,"]
    (site / info / "RECORD").write_text("".join(f"{line}\n" for line in lines))
    return site / info
