"""Trades → klines → higher intervals: exact folds over columns.

    Trades ─► fold ─► runs (one per window) ─► builder ─► Kline | Late
              numpy, rows                      plain Python, windows

`merge` is the sum that all of it rests on: associative and commutative, so neither the cut of the
batches nor the way from base to higher intervals can change a number.
"""

from core.klines.builder import KlineBuilder

__all__ = ["KlineBuilder"]
