"""What a terminal's tables are made of. Counterparts: `table`, `table_traffic`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NAME = 30  # characters of a name


def grid(title: str, *columns: str) -> Table:
    """A table; a column whose name begins with ">" is about numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left")
    return table


def and_more(left: int) -> Iterator[RenderableType]:
    """Says that so many rows are not shown, if any."""
    if left > 0:
        yield Padding(Text(f"{left:,} more; --html FILE has them", style="dim"), (0, 0, 0, 2))


def cut(name: str) -> str:
    """A name, shortened to `NAME` characters."""
    return name if len(name) <= NAME else f"{name[: NAME - 1]}\u2026"


def plain(said: str) -> str:
    """Without the page's narrow space, which terminals draw as they like."""
    return said.replace("\u202f", " ")
