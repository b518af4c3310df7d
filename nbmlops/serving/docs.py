"""The documentation page: one HTML file without script, style sheet, font or picture from elsewhere."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from .pagestyle import STYLE
from .statuses import PROBLEMS

Document = dict[str, Any]


def page(document: Document) -> str:
    """Return the page for an OpenAPI document."""
    title, secured = escape(document["info"]["title"]), "security" in document
    operations = [
        (method, path, operation) for path, found in document["paths"].items() for method, operation in found.items()
    ]
    schemas = document["components"]["schemas"]
    sections = [
        _beginning(document, secured=secured),
        *(_operation(method, path, operation, secured=secured) for method, path, operation in operations),
        _problems(secured=secured),
        '<section id="schemas"><h2>Schemas</h2><p>JSON Schema 2020-12, as in <code>/openapi.json</code>.</p>',
        *(_schema(name, schema) for name, schema in schemas.items()),
        "</section>",
    ]
    head = (
        f"<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title>"
        '<meta name=viewport content="width=device-width,initial-scale=1"><meta name=color-scheme content="light dark">'
        f"<style>{STYLE}</style></head>"
    )
    body = "\n".join(sections)
    return f"{head}<body>{_contents(title, operations, schemas)}<main>{body}</main></body></html>"


def _contents(title: str, operations: list[tuple[str, str, Document]], schemas: Document) -> str:
    groups: dict[str, list[str]] = {}
    for method, path, operation in operations:
        link = f'<a href="#{_anchor(method, path)}">{_badge(method)}<span>{escape(path)}</span></a>'
        groups.setdefault(operation.get("tags", ["operations"])[0], []).append(link)
    lists = [f"<h4>{escape(name)}</h4>{''.join(links)}" for name, links in groups.items()]
    names = "".join(f'<a href="#{_schema_anchor(name)}">{escape(name)}</a>' for name in schemas)
    reference = '<a href="#errors">Errors</a><a href="#schemas">Schemas</a>'
    return (
        f"<nav><strong>{title}</strong>{''.join(lists)}<h4>reference</h4>{reference}<div class=sub>{names}</div></nav>"
    )


def _beginning(document: Document, *, secured: bool) -> str:
    info = document["info"]
    parts = [
        f"<header><h1>{escape(info['title'])} <small>server {escape(info['version'])}</small></h1>",
        f"<p class=lead>{escape(info['description'])}</p>",
    ]
    if secured:
        parts.append(
            "<p class=note>Send the bearer token with every request but the probes': "
            "<code>Authorization: Bearer $TOKEN</code>. "
            "In the examples <code>$URL</code> is the endpoint's address.</p>"
        )
    return "".join(parts) + "</header>"


def _anchor(method: str, path: str) -> str:
    return method + re.sub(r"[^a-z0-9]+", "-", path.lower()).rstrip("-")


def _schema_anchor(name: str) -> str:
    return "schema-" + escape(name)


def _badge(method: str) -> str:
    return f'<b class="m {escape(method)}">{escape(method.upper())}</b>'


def _operation(method: str, path: str, operation: Document, *, secured: bool) -> str:
    token = secured and operation.get("security") != []
    lock = "<span class=tag>token</span>" if token else "<span class=tag>open</span>" if secured else ""
    parts = [
        f'<section id="{_anchor(method, path)}"><h2>{_badge(method)}<code>{escape(path)}</code>{lock}</h2>',
        f"<p>{escape(operation['summary'])}</p>",
        f"<p>{escape(operation['description'])}</p>" if "description" in operation else "",
        _table(
            ("Parameter", "In", "Meaning"),
            [(row["name"], row["in"], row.get("description", "")) for row in operation.get("parameters", [])],
        ),
        _body(operation.get("requestBody", {}).get("content", {})),
        _examples(method, path, operation, token=token),
        _answers(operation["responses"]),
    ]
    return "\n".join(parts) + "</section>"


def _body(content: Document) -> str:
    rows = []
    for kind, media in content.items():
        said = _references(media["schema"]) or escape(media["schema"].get("description", "")) or "text"
        rows.append(f"<tr><td><code>{escape(kind)}</code></td><td>{said}</td></tr>")
    if not rows:
        return ""
    return f"<h3>Body</h3><table><tr><th>Content type</th><th>Schema</th></tr>{''.join(rows)}</table>"


def _references(schema: Any) -> str:
    names = dict.fromkeys(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(schema)))
    return " or ".join(f'<a href="#{_schema_anchor(name)}">{escape(name)}</a>' for name in names)


def _examples(method: str, path: str, operation: Document, *, token: bool) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    found = [
        (name, kind, example["value"])
        for kind, media in content.items()
        for name, example in media.get("examples", {}).items()
    ]
    if not found:
        return f"<h3>Example</h3>{_block('curl', _curl(method, path, token=token))}"
    parts = ["<h3>Examples</h3>"]
    for number, (name, kind, value) in enumerate(found):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        curl = _curl(method, path, token=token, kind=kind, body=text)
        code = _block("curl", curl) + _block("Python", _python(path, value, token=token, kind=kind))
        parts.append(f"<details{' open' if number == 0 else ''}><summary>{escape(name)}</summary>{code}</details>")
    return "".join(parts)


def _block(label: str, code: str) -> str:
    return f"<figure><figcaption>{label}</figcaption><pre>{escape(code)}</pre></figure>"


def _curl(method: str, path: str, *, token: bool, kind: str = "", body: str = "") -> str:
    lines = [f'curl "$URL{path}"']
    if method not in ("get", "post"):
        lines[0] += f" -X {method.upper()}"
    if token:
        lines.append('-H "Authorization: Bearer $TOKEN"')
    if kind:
        quoted = body.replace("'", "'\\''")
        lines += [f"-H 'Content-Type: {kind}'", f"--data-binary '{quoted}'"]
    return " \\\n  ".join(lines)


def _python(path: str, value: Any, *, token: bool, kind: str) -> str:
    headers = {"Content-Type": kind} if isinstance(value, str) else {}
    given = [f"{name!r}: {text!r}" for name, text in headers.items()]
    if token:
        given.insert(0, '"Authorization": f"Bearer {token}"')
    told = f"    headers={{{', '.join(given)}}},\n" if given else ""
    sent = f"    data={value!r}.encode(),\n" if isinstance(value, str) else f"    json={value!r},\n"
    return f'import requests\n\nanswer = requests.post(\n    f"{{url}}{path}",\n{told}{sent})\nprint(answer.json())'


def _answers(responses: Document) -> str:
    rows = []
    for status, answer in responses.items():
        content = answer.get("content", {})
        kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in content)
        schema = _references([media.get("schema") for media in content.values()])
        headers = "".join(f"<br><code>{escape(name)}</code>" for name in answer.get("headers", {}))
        said = _marked(answer["description"])
        style = "ok" if status.startswith("2") else "bad"
        rows.append(
            f'<tr><td><b class="s {style}">{escape(status)}</b></td><td>{said}</td>'
            f"<td>{kinds}{' ' + schema if schema else ''}{headers}</td></tr>"
        )
    return (
        "<h3>Answers</h3><table><tr><th>Status</th><th>Meaning</th><th>Content and headers</th></tr>"
        f"{''.join(rows)}</table>"
    )


def _marked(text: str) -> str:
    """Return a text with what stands between backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _problems(*, secured: bool) -> str:
    rows = "".join(
        f'<tr><td><b class="s bad">{one.status}</b></td><td><code>{one.code}</code></td>'
        f"<td>{escape(one.meaning)}</td><td>{_marked(one.remedy)}</td></tr>"
        for one in PROBLEMS
        if secured or one.status != 401
    )
    head = "<tr><th>Status</th><th>Code</th><th>Meaning</th><th>What to do</th></tr>"
    return f'<section id="errors"><h2>Errors</h2><table>{head}{rows}</table></section>'


def _schema(name: str, schema: Any) -> str:
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    title = escape(schema.get("title", ""))
    return (
        f'<details id="{_schema_anchor(name)}"><summary><code>{escape(name)}</code> {title}</summary>'
        f"<pre>{text}</pre></details>"
    )


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td><code>{escape(first)}</code></td>{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>"
        for first, *rest in rows
    )
    return f"<h3>Parameters</h3><table><tr>{''.join(f'<th>{name}</th>' for name in head)}</tr>{lines}</table>"
