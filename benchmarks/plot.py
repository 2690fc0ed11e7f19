"""results.svg: CPU per call in production's path, a bar for each way and loop."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from benchmarks.matrix import DIRECT, Matrix

ROW, GAP, LABEL, BAR, VALUE, TOP = 16, 26, 210, 420, 90, 44
OURS, OTHERS, INK = "#1f77b4", "#b0b7bf", "#24292f"


def draw(found: Matrix) -> str:
    """Groups of bars, one for each shape of the smallest payload; one scale for a group."""
    payload = min(shape.payload for shape in found.shapes)
    shapes = [shape for shape in found.shapes if shape.payload == payload]
    ways = [way for way in found.ways if way != DIRECT and (way, shapes[0]) in found.table]
    height = TOP + len(shapes) * (len(ways) * ROW + GAP)
    width = LABEL + BAR + VALUE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}">',
        '<rect width="100%" height="100%" fill="white"/>',
        '<text x="8" y="20" font-size="14">'
        "CPU per call in production's path (microseconds, median)</text>",
    ]
    top = TOP
    for shape in shapes:
        lines.append(f'<text x="8" y="{top}" font-weight="bold">{escape(str(shape))}</text>')
        medians = {way: found.table[way, shape].path_us.median for way in ways}
        lines += _bars(medians, top + 6)
        top += len(ways) * ROW + GAP
    return "\n".join([*lines, "</svg>", ""])


def _bars(medians: dict[str, float], top: float) -> Iterator[str]:
    largest = max(medians.values())
    for place, (way, value) in enumerate(medians.items()):
        y = top + place * ROW
        length = value / largest * BAR
        colour = OURS if way.startswith("shadow-sidecar") else OTHERS
        yield f'<text x="{LABEL - 6}" y="{y + 11}" text-anchor="end">{escape(way)}</text>'
        size = f'width="{length:.1f}" height="{ROW - 4}"'
        yield f'<rect x="{LABEL}" y="{y + 2}" {size} fill="{colour}"/>'
        yield f'<text x="{LABEL + length + 5:.1f}" y="{y + 11}">{value:.0f}</text>'
