"""What the cells of an inverted file hold: ids and codes of customers, in either of the two layouts that FAISS uses.

8-bit codes (`SQ8`, of indexes built by kinfolk before format 2) lie one after the other. 4-bit codes for the fast scan
(`PQ…x4fs`) are interleaved in blocks of 32 customers, the last one filled up with zeros.
"""

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from index.search import Rows

Codes = npt.NDArray[np.uint8]


class Lists:
    """The cells of `inverted`, to be read and rewritten in place."""

    def __init__(self, inverted: Any) -> None:
        self._inverted = inverted  # keeps FAISS's memory alive
        self._lists: Any = faiss.downcast_InvertedLists(inverted.invlists)
        self._packer: Any = getattr(self._lists, "packer", None)
        self._width: int = inverted.code_size

    def size(self, cell: int) -> int:
        """Customers in a cell."""
        return int(self._lists.list_size(cell))

    def ids(self, cell: int) -> Rows:
        """int64 [size]: the ids in a cell, a copy."""
        size = self.size(cell)
        return self._ids(cell, size).copy() if size else np.zeros(0, dtype=np.int64)

    def codes(self, cell: int) -> Codes:
        """uint8 [size, code size]: the codes in a cell, a copy."""
        size = self.size(cell)
        if size == 0:
            return np.zeros((0, self._width), dtype=np.uint8)
        raw = self._raw(cell, size)
        if self._packer is None:
            return raw.copy()
        flat = np.empty((len(raw) * self._packer.nvec, self._width), dtype=np.uint8)
        for block, rows in zip(raw, np.split(flat, len(raw)), strict=True):
            self._packer.unpack_all(faiss.swig_ptr(block), faiss.swig_ptr(rows))
        return flat[:size]

    def refill(self, cell: int, ids: Rows, codes: Codes) -> None:
        """Let a cell hold these entries alone, in this order."""
        size = len(ids)
        self._lists.resize(cell, size)
        if size == 0:
            return
        self._ids(cell, size)[:] = ids
        raw = self._raw(cell, size)
        if self._packer is None:
            raw[:] = codes
            return
        flat = np.zeros((len(raw) * self._packer.nvec, self._width), dtype=np.uint8)
        flat[:size] = codes
        for block, rows in zip(raw, np.split(flat, len(raw)), strict=True):
            self._packer.pack_all(faiss.swig_ptr(rows), faiss.swig_ptr(block))

    def _ids(self, cell: int, size: int) -> Rows:
        """FAISS's own memory, until the cell is resized."""
        own: Rows = faiss.rev_swig_ptr(self._lists.get_ids(cell), size)
        return own

    def _raw(self, cell: int, size: int) -> Codes:
        """FAISS's own memory, until the cell is resized: one row a customer, or a block of them."""
        if self._packer is None:
            rows, wide = size, self._width
        else:
            rows, wide = -(-size // self._packer.nvec), self._lists.block_size
        own: Codes = faiss.rev_swig_ptr(self._lists.get_codes(cell), rows * wide).reshape(rows, wide)
        return own
