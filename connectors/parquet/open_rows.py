"""Rows of the lake that are in no file yet, as parts like the files they will become."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from connectors.arrowlog.reader import pending, root_of
from connectors.arrowlog.state import Name
from connectors.parquet.layout import Kind, Part, Slot, Wanted, day_of, folder, part_name
from connectors.parquet.tables import SHAPES, Batch, Table, id_name, trades_table


def logged_parts(path: Path, wanted: Wanted) -> list[Part]:
    """Return what the logs hold of the parts at or below `path`, in order.

    Call it before `find`, so that no row is in neither (`connectors.arrowlog.reader`).

    Raises:
        FileError: A log cannot be read.

    """
    root = root_of(path)
    if root is None:
        return []
    top = path.resolve()
    logged = pending(root, lambda name: wanted.takes_slot(_slot(name)))
    parts = (_part(root, name, batches) for name, batches in logged)
    return sorted(p for p in parts if wanted.takes(p) and p.path.is_relative_to(top))


def _slot(name: Name) -> Slot:
    return Slot(Kind(str(name[0])), str(name[1]), str(name[2]))


def _part(root: Path, name: Name, batches: Sequence[Batch]) -> Part:
    slot = _slot(name)
    rows = _table(slot.kind, (int(name[3]), int(name[4])), batches)
    first = rows.column(id_name(slot.kind)).to_numpy().min()
    column = rows.column("open_time" if slot.kind is Kind.KLINES else "time")
    time_us = column[0].value
    place = folder(root, slot, time_us) / part_name(int(first))
    return Part(slot, day_of(time_us), int(first), place, rows)


def _table(kind: Kind, scales: tuple[int, int], batches: Sequence[Batch]) -> Table:
    if kind is not Kind.TRADES:
        return pa.Table.from_batches(batches, SHAPES[kind].schema)
    plain = pa.Table.from_batches(batches)
    columns = {name: plain.column(name).to_numpy() for name in plain.schema.names}
    return trades_table(columns, *scales)
