"""The plot beside simulation.md: false verdicts by row, and times to a decision by effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

LEFT, WIDTH, ROW = 330, 460, 17
COLOURS = ("#2b6cb0", "#c05621")
LINES = (("evidence per call", "#718096"), ("blocks, swing 1", "#2b6cb0"),
         ("blocks, swing 2", "#c05621"))  # fmt: skip


def plot(
    shares: Sequence[tuple[str, float, float]],
    times: Sequence[tuple[float, float, float, float]],
    allowed: float,
) -> str:
    """SVG.

    Args:
        shares: of streams with a false PASS and a false FAIL, by row.
        times: effect in margins; median seconds to a decision by each method.
        allowed: the share that chance explains.
    """
    most = max(0.05, allowed * 1.2, *(max(a, b) for _, a, b in shares))
    out = []

    def text(x: float, y: float, said: str, anchor: str = "start", weight: str = "400") -> None:
        out.append(
            f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">'
            f"{escape(said)}</text>"
        )

    text(LEFT, 16, "False PASS (blue) and FAIL (orange) at the margin", weight="600")
    y = 34.0
    for name, *both in shares:
        text(LEFT - 8, y + 4, name, "end")
        for i, (share, colour) in enumerate(zip(both, COLOURS, strict=True)):
            width = max(1.0, share / most * WIDTH)
            out.append(
                f'<rect x="{LEFT}" y="{y - 7 + 6 * i:.0f}" width="{width:.1f}" height="5" '
                f'fill="{colour}"/>'
            )
        y += ROW
    at = LEFT + allowed / most * WIDTH
    out.append(
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="24" y2="{y - 8:.0f}" stroke="#1a202c" '
        'stroke-dasharray="4 3"/>'
    )
    text(at + 4, y, f"allowed: {allowed:.3f}")
    y += 40
    text(LEFT, y, "Median time to a decision, by effect in margins", weight="600")
    top, height = y + 14, 200
    low, high = math.log10(5), math.log10(30 * 3600)

    def place(seconds: float) -> float:
        level = math.log10(min(max(seconds, 5), 30 * 3600))
        return top + height * (1 - (level - low) / (high - low))

    for said, seconds in (("10 s", 10), ("1 min", 60), ("10 min", 600), ("1 h", 3600),
                          ("1 day", 86_400)):  # fmt: skip
        out.append(
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{place(seconds):.1f}" '
            f'y2="{place(seconds):.1f}" stroke="#e2e8f0"/>'
        )
        text(LEFT - 8, place(seconds) + 4, said, "end")
    step = WIDTH / max(1, len(times) - 1)
    for i, (effect, *_) in enumerate(times):
        text(LEFT + i * step, top + height + 18, f"{effect:g}", "middle")
    for j, (label, colour) in enumerate(LINES):
        points = " ".join(
            f"{LEFT + i * step:.1f},{place(row[1 + j]):.1f}" for i, row in enumerate(times)
        )
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        text(LEFT + WIDTH + 12, top + 20 + 18 * j, label)
        out.append(
            f'<rect x="{LEFT + WIDTH + 2}" y="{top + 12 + 18 * j:.0f}" width="8" height="8" '
            f'fill="{colour}"/>'
        )
    whole = top + height + 34
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 150}" '
        f'height="{whole:.0f}" font-family="system-ui, sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(out)}</svg>\n'
    )
