"""The documentation page: one HTML file without script, style sheet or picture from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h2{margin-top:2rem;border-top:1px solid #ddd;padding-top:1rem}code,pre{font-family:ui-monospace,monospace}
pre{background:#f5f5f5;padding:.8rem;overflow:auto;border-radius:4px}table{border-collapse:collapse}
td,th{border:1px solid #ddd;padding:.3rem .6rem;text-align:left;vertical-align:top}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}
td,th,h2{border-color:#444}}
"""


def page(document: dict[str, Any]) -> str:
    """Return the page for an OpenAPI document."""
    title = escape(document["info"]["title"])
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>",
        f"<h1>{title}</h1><p>{escape(document['info']['description'])}</p>",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(method, path, operation, secured="security" in document))
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{_pretty(schema)}</pre>")
    return "\n".join(parts) + "</html>"


def _operation(method: str, path: str, operation: dict[str, Any], *, secured: bool) -> str:
    token = secured and operation.get("security") != []
    parts = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}</p>",
        "<p>Needs the bearer token.</p>" if token else "",
        _table("Header", [(row["name"], row["description"]) for row in operation.get("parameters", [])]),
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    for name, example in body.get("examples", {}).items():
        text = json.dumps(example["value"])
        parts.append(f"<p>Example, {escape(name)}:</p><pre>{escape(_curl(path, text, token=token))}</pre>")
    parts.append(_table("Status", [(code, row["description"]) for code, row in operation["responses"].items()]))
    return "\n".join(parts)


def _curl(path: str, body: str, *, token: bool) -> str:
    header = ' -H "Authorization: Bearer $TOKEN"' if token else ""
    quoted = body.replace("'", "'\\''")
    return f"curl \"$URL{path}\"{header} -H 'Content-Type: application/json' -d '{quoted}'"


def _table(head: str, rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table><tr><th>{head}</th><th>Meaning</th></tr>{lines}</table>"


def _pretty(schema: Any) -> str:
    return escape(json.dumps(schema, indent=2, ensure_ascii=False))
