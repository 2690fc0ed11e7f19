"""A judge cut into named pieces, so that only what has changed need be written; and put together.

    judge/NAME                       what the judge holds itself, a piece an attribute
    cell/CRITERION/SLICE             its counters
    blocks/CRITERION/CLAIM/SLICE     its blocks: what is open, and sums over all
    level/CRITERION/CLAIM/I/SLICE    closed blocks of the I-th length; changes when one closes
    examples/CRITERION/SLICE         its worst calls and its sample
    inputs                           which requests came how often, as a sketch
    fates, losses/NAME               what became of labels; what blocks know of lost calls
    label/WHAT/ID                    a call that waits for its label, and so on; see `labels`

Rule: what is put together says to the last bit what the judge said that was cut, and goes on as it
would have. Times are kept as Unix time, because another process has another monotonic clock; if
the machine's clock has been set back meanwhile, the judge's goes on from where it was, for the
blocks' sake. Pure. Counterparts: `codec`;
`judge`; `store.kept`, which names pieces so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.judge.codec import Codec, names_of
from sidecar.judge.counts import CellKey
from sidecar.judge.evidence.block_sums import BlockSums
from sidecar.judge.evidence.blocks import Blocks
from sidecar.judge.evidence.effective import DistinctInputs
from sidecar.judge.evidence.level import Level
from sidecar.judge.judge import Judge
from sidecar.judge.labels import Entry
from sidecar.judge.latches import Latches

_OF_CONFIGURATION = frozenset(
    {
        "_settings",
        "_instance",
        "unix_offset_ns",
        "control_fraction",
        "_plans",
        "_labelled",
        "_rules",
        "_numbers",
        "_everywhere",
        "_tallies",
        "_learned",
        "_weight",
    }
)
_BY_CELL = frozenset({"_cells", "_blocks", "_examples", "_inputs", "_labels"})
_TIMES = frozenset({"_began_ns", "_latest_ns"})
_FIXED = frozenset({"bets", "_bets", "_keep", "lengths", "seconds", "unseen_seconds", "_base_ns"})
SEQUENCE_LEAP = 1 << 20  # what an older life may have told of that was not written any more


EXAMPLES_EVERY = 10


class Later:
    """A value that is made plain by who writes it down; what it is made of never changes."""

    __slots__ = ("_codec", "_value")

    def __init__(self, codec: Codec, value: Any) -> None:
        self._codec, self._value = codec, value

    def __call__(self) -> Any:
        """The plain value."""
        return self._codec.plain(self._value)


class Cutter:
    """Tells what has changed of one judge."""

    def __init__(self, judge: Judge) -> None:
        """Begin; the first time everything has changed."""
        self._judge = judge
        self._codec = codec_of(judge)
        self._marks: dict[tuple[str, ...], Any] = {}
        self._rounds = -1
        judge.label_store.note()

    def anew(self) -> None:
        """Everything counts as changed."""
        self._marks.clear()
        self._judge.label_store.note()

    @property
    def count(self) -> int:
        """Of all pieces."""
        return len(self._marks) + self._judge.label_store.entries

    def changed(self, *, whole: bool = False) -> dict[str, Any]:
        """The pieces that have changed since the last time; None for those that are gone.

        Args:
            whole: all of them; else examples only now and then.
        """
        marks, changed = self._marks, {}
        self._rounds = 0 if whole else self._rounds + 1
        seen: dict[tuple[str, ...], Any] = {}
        for path, mark, value in self._cut():
            seen[path] = mark
            if path not in marks or marks[path] != mark:
                changed["/".join(path)] = mark if value is None else value()
        for path in marks.keys() - seen.keys():
            changed["/".join(path)] = None
        self._marks = seen
        for what, name, entry in self._judge.label_store.changes():
            plain = None
            if entry is not None:
                time_ns = entry.time_ns
                at = None if time_ns is None else time_ns + self._judge.unix_offset_ns
                plain = [entry.order, at, self._codec.plain(entry.value)]
            changed[f"label/{what}/{name}"] = plain
        return changed

    def latches(self) -> dict[str, Any]:
        """The piece that decisions are in."""
        return {"judge/_latches": self._codec.plain(self._judge.latches)}

    def _cut(self) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
        """Path, a mark that differs when the piece does, and how to make it; None: the mark."""
        judge, codec = self._judge, self._codec
        for name in names_of(judge):
            if name in _OF_CONFIGURATION or name in _BY_CELL:
                continue
            value = getattr(judge, name)
            at = value + judge.unix_offset_ns if name in _TIMES else value
            yield ("judge", name), codec.plain(at), None
        for key, cell in judge.cells.items():
            yield ("cell", *key), tuple(cell.items()), lambda cell=cell: dict(cell)
        for name in _of_block_cells(judge):
            yield ("losses", name), codec.plain(getattr(judge.block_cells, name)), None
        yield ("inputs",), judge.inputs.calls, lambda: codec.plain(judge.inputs.to_bytes())
        yield ("fates",), codec.plain(judge.label_store.fates), None
        for key, claims in judge.block_cells.cells.items():
            for i, blocks in enumerate(claims):
                yield from self._cut_blocks(key, str(i), blocks)
        for cell_key, stamp, worst, sample in judge.examples.kept():
            kept = self._marks.get(("examples", *cell_key))
            # For people: a few seconds late is early enough, and there may be thousands of them.
            mark = stamp if kept is None or self._rounds % EXAMPLES_EVERY == 0 else kept
            yield (
                ("examples", *cell_key),
                mark,
                lambda w=worst, s=sample: Later(codec, (list(w), list(s))),
            )

    def _cut_blocks(
        self, key: CellKey, claim: str, blocks: Blocks
    ) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
        plain = self._codec.plain
        head = {n: plain(getattr(blocks, n)) for n in _HEAD if hasattr(blocks, n)}
        yield ("blocks", key.criterion, claim, key.slice), head, None
        for i, level in enumerate(blocks.levels):
            path = ("level", key.criterion, claim, str(i), key.slice)
            yield (
                path,
                level.changes,
                lambda level=level: {
                    n: plain(_packed(n, level)) for n in names_of(level) if n not in _FIXED
                },
            )


_HEAD = [name for name in sorted(BlockSums.__slots__) if name not in _FIXED | {"_levels"}]


def _of_block_cells(judge: Judge) -> list[str]:
    """What the blocks of all cells have in common, and the configuration does not give."""
    fixed = {"_cells", "_claims", "_plans", "_lengths", "_unseen_seconds"}
    return [name for name in names_of(judge.block_cells) if name not in fixed]


def codec_of(judge: Judge) -> Codec:
    """What a judge's configuration gives, by name."""
    known: dict[str, object] = {"settings": judge.settings}
    for plan in judge.plans:
        known[f"plan/{plan.criterion.name}"] = plan
        known[f"criterion/{plan.criterion.name}"] = plan.criterion
    return Codec(known)


def restore(judge: Judge, pieces: Mapping[str, Any], now_ns: int) -> None:
    """Give a new judge, of the same configuration, what another had counted.

    Args:
        judge: has not counted anything.
        pieces: every one, by path; or of all only `Cutter.latches`, where evidence was lost.
        now_ns: the present, on the monotonic clock.

    Raises:
        ValueError, KeyError, IndexError, TypeError: they were not cut by this version, or not of
            such a judge.
    """
    codec = codec_of(judge)
    own = {p.split("/", 1)[1]: v for p, v in pieces.items() if p.startswith("judge/")}
    expected = set(names_of(judge)) - _OF_CONFIGURATION - _BY_CELL
    if set(own) not in ({"_latches"}, expected):
        differing = ", ".join(sorted(set(own) ^ expected))
        raise ValueError(f"not written by this version: {differing}")
    ahead = (own.get("_latest_ns") or 0) - (now_ns + judge.unix_offset_ns)
    if ahead > 0:
        judge.unix_offset_ns += ahead  # the clock was set back
    if "_latches" in own:
        own["_latches"] = _with_new(codec, own["_latches"], Latches())
    for name, plain in own.items():
        value = codec.value(plain)
        setattr(judge, name, value - judge.unix_offset_ns if name in _TIMES else value)
    labels: list[tuple[str, str, Entry]] = []
    for path, value in pieces.items():
        kind, _, rest = path.partition("/")
        match kind:
            case "cell":
                judge.cells[CellKey(*rest.split("/", 1))] = {
                    name: float(count) for name, count in value.items()
                }
            case "blocks":
                criterion, claim, slice_ = rest.split("/", 2)
                blocks = judge.block_cells.of(CellKey(criterion, slice_))[int(claim)]
                _set(codec, blocks, value)
            case "level":
                criterion, claim, i, slice_ = rest.split("/", 3)
                blocks = judge.block_cells.of(CellKey(criterion, slice_))[int(claim)]
                _set(codec, blocks.levels[int(i)], value)
            case "examples":
                judge.examples.restore(CellKey(*rest.split("/", 1)), codec.value(value))
            case "label":
                what, _, name = rest.partition("/")
                order, at, plain = value
                time_ns = None if at is None else at - judge.unix_offset_ns
                labels.append((what, name, Entry(order, time_ns, codec.value(plain))))
            case "inputs":
                judge.inputs = DistinctInputs.from_bytes(codec.value(value))
            case "losses":
                setattr(judge.block_cells, rest, codec.value(value))
            case "fates":
                judge.label_store.fates = codec.value(value)
    judge.label_store.restore(labels)
    judge.continued(SEQUENCE_LEAP)


def _with_new(codec: Codec, plain: Any, fresh: Latches) -> Any:
    """Decisions outlive the version that made them: what it did not know of is as at the begin."""
    if not isinstance(plain, dict) or "c" not in plain:
        return plain
    known = plain["c"][1]
    new = {n: codec.plain(getattr(fresh, n)) for n in names_of(fresh) if n not in known}
    return {"c": [plain["c"][0], {**known, **new}]}


def _packed(name: str, level: Level) -> Any:
    """A window of blocks as one table: hundreds of rows, and written often."""
    if name == "_rows":
        return {}
    if name == "_packed" and not level.is_empty:
        return level.table
    return getattr(level, name)


def _set(codec: Codec, thing: object, attributes: Mapping[str, Any]) -> None:
    for name in names_of(thing):
        if name not in _FIXED and name != "_levels":
            if name not in attributes:
                raise ValueError(f"not written by this version: {type(thing).__name__}.{name}")
            setattr(thing, name, codec.value(attributes[name]))
