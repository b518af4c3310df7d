"""The report as one HTML page that opens offline: card, pictures, slices."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nbmlops.core import digests
from nbmlops.core.display import Html, picture, table
from nbmlops.explanation.figures import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nbmlops.explanation.report import Explanation

PAGE = "explanation.html"
STYLE = (
    ":root{color-scheme:light dark}body{font:14px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;"
    "padding:0 1em;background:Canvas;color:CanvasText}td,th{padding:.15em .9em .15em 0}"
    "h2{font-size:1.1em;margin:1.4em 0 .3em}"
)


def figures(explanation: Explanation) -> dict[str, tuple[str, Figure]]:
    """Return name -> what it shows and the picture, as far as the explanation has rows for it."""
    one = explanation.prediction or explanation.row is not None
    found: dict[str, tuple[str, Figure]] = {}
    if explanation.rows > 1:
        found["importance"] = ("What moves the output most", explanation.bar())
        found["beeswarm"] = ("Each row's contributions", explanation.beeswarm())
        found["dependence"] = ("Contributions over values, with what interacts", explanation.dependence())
    what = "The explained row" if one else "The row that is moved most"
    found["waterfall"] = (f"{what}, from the base value to its output", explanation.waterfall())
    return found


def fragment(explanation: Explanation, drawn: dict[str, tuple[str, bytes]] | None = None) -> str:
    """Return card, pictures and slices as HTML."""
    pictures = _drawn(explanation) if drawn is None else drawn
    parts = [explanation._show_().html]
    for title, content in pictures.values():
        parts += [f"<h2>{html.escape(title)}</h2>", picture(content, title).html]
    if explanation.rows > 1:
        parts += ["<h2>Slices</h2>", _slices(explanation).html]
    return "".join(parts)


def _drawn(explanation: Explanation) -> dict[str, tuple[str, bytes]]:
    return {name: (title, png(figure)) for name, (title, figure) in figures(explanation).items()}


def _slices(explanation: Explanation) -> Html:
    if not explanation.slices:
        return Html("<p>No column has levels with five rows or more.</p>", "no slices")
    rows = [
        (
            one.column,
            one.label,
            one.rows,
            one.output,
            ", ".join(f"{name} {value:.3g}" for name, value in one.importance),
        )
        for one in explanation.slices
    ]
    output = f"mean {explanation.scale_of(explanation.outputs[-1] if explanation.outputs else None)}"
    made = table(("slice by", "where", "rows", output, "moves it most (mean |contribution|)"), rows)
    return Html(made.html, made.text)


def overview(explanation: Explanation) -> bytes:
    """Return one picture for viewers that show no HTML."""
    return png(explanation.bar() if explanation.rows > 1 else explanation.waterfall())


def page(explanation: Explanation, drawn: dict[str, tuple[str, bytes]] | None = None) -> str:
    """Return the whole report as one page without any outer resource."""
    title = html.escape(f"Explanation of {explanation.prediction or explanation.model}")
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{fragment(explanation, drawn)}</body></html>'


def write(explanation: Explanation, folder: Path) -> dict[str, str]:
    """Write page, pictures, facts and contributions below `folder`, and return file -> digest.

    The rows themselves are not among them: what a caller gave to be explained stays with the caller.
    """
    import json

    drawn = _drawn(explanation)
    (folder / PAGE).write_text(page(explanation, drawn), encoding="utf-8")
    for name, (_, content) in drawn.items():
        (folder / f"{name}.png").write_bytes(content)
    facts = explanation.to_dict() | {"slices": [one.to_dict() for one in explanation.slices]}
    (folder / "explanation.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    np.savez_compressed(
        folder / "contributions.npz",
        values=explanation.values,
        base_values=explanation.base_values,
        predicted=explanation.predicted,
        positions=explanation.positions,
    )
    return {path.name: digests.of_file(path) for path in sorted(folder.iterdir())}
