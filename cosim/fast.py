# SPDX-License-Identifier: Apache-2.0
"""Whole networks in RTL: Verilator's compiled model of the accelerator behind a thin C interface.

Cocotb is for protocols and corners; here a call runs as many cycles as it has to, some million a
second, and what goes in and out are NumPy arrays. ``fast.cpp`` is the other side.
"""

from __future__ import annotations

import ctypes
import functools
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cosim import compiled
from cosim.design import Block, emit_block
from hw.accelerator import Accelerator
from hw.accelerator_params import AcceleratorParams
from hw.image import Image, patches
from hw.load import beats, payloads

__all__ = ["COUNTERS", "Model", "accelerator_block", "build"]

MODULE = "accelerator"
HARNESS = Path(__file__).with_suffix(".cpp")
COUNTERS = ("conversions", "active_wordlines", "sampled_pages", "map_writes")

_Words = npt.NDArray[np.uint32]


def accelerator_block(params: AcceleratorParams) -> Block:
    """Return the accelerator's Verilog."""
    return emit_block(Accelerator(params=params), MODULE)


def build(
    block: Block, *, optimise: str = "-O1", waves: bool = False, coverage: bool = False
) -> Path:
    """Compile a model of an accelerator, or of one with a seeded fault; as `compiled.build`."""
    return compiled.build(block, HARNESS, optimise=optimise, waves=waves, coverage=coverage)


class Model:
    """A running accelerator with the contents of an image.

    Parameters
    ----------
    library : Path
        As `build` returns it.
    image : Image
        Loaded as by `load`.
    load : bool
        Otherwise its memories must hold the image from the start.
    """

    def __init__(self, library: Path, image: Image, *, load: bool = True) -> None:
        self._params = image.params
        self.cycles, self.seconds = 0, 0.0  # run so far, and the processor time that it took
        self._library = ctypes.CDLL(str(library))
        self._library.dut_open.restype = ctypes.c_void_p
        self._library.dut_run.restype = ctypes.c_uint64
        self._dut = ctypes.c_void_p(self._library.dut_open())
        if load:
            self.load(image)

    def close(self) -> None:
        """End the simulation."""
        if self._dut:
            self._library.dut_close(self._dut)
            self._dut = ctypes.c_void_p()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, image: Image) -> None:
        """Write the contents of an image, of the same sizes, through the load streams."""
        layouts = payloads(image.params)
        for stream, values in beats(image).items():
            self.send(stream, layouts[stream].size, values)

    def send(self, stream: str, width: int, values: Sequence[int]) -> None:
        """Write beats of so many bits to a load stream."""
        words = -(-width // 64) * 2  # a port has 32-bit words, or 64 bits
        data = b"".join(value.to_bytes(4 * words, "little") for value in values)
        load = getattr(self._library, f"load_{stream}")
        load(self._dut, data, ctypes.c_size_t(len(values)), ctypes.c_size_t(words))

    @functools.cached_property
    def _addresses(self) -> npt.NDArray[np.uint32]:
        """Addresses [channel, row, column] in a bank."""
        shift = self._params.shift
        channel, row, column = np.ogrid[: self._params.bank_channels, : shift.height, : shift.width]
        addresses = (channel << shift.addr_bits) + (row << shift.column_bits) + column
        return addresses.astype(np.uint32)

    def _banks(self, channels: int) -> list[tuple[int, slice]]:
        """Return the banks of that many channels, with the channels in each."""
        rows = self._params.tile.rows
        firsts = range(0, channels, rows)
        return [(n, slice(f, min(f + rows, channels))) for n, f in enumerate(firsts)]

    def put_image(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Write an image, uint8 [C, H, W], where the stem reads it."""
        params = self._params
        self.put_map(params.layers[0].operands[0].buffer, patches(params, pixels))

    def put_map(self, buffer: int, values: npt.NDArray[np.signedinteger]) -> None:
        """Write a buffer, [C, H, W], or its first channels."""
        words = (values.astype(np.int64) & ((1 << self._params.shift.bits) - 1)).astype(np.uint32)
        for bank, channels in self._banks(len(words)):
            part = np.ascontiguousarray(words[channels])
            self._access("map_write", buffer, bank, self._addresses[: len(part)], part)

    def fill(self, value: int) -> None:
        """Write a value into every word of every buffer, also between rows and channels."""
        params = self._params
        addresses = np.arange(params.bank_depth, dtype=np.uint32)
        words = np.full_like(addresses, value & ((1 << params.shift.bits) - 1))
        for buffer in range(len(params.buffers)):
            for bank in range(params.banks):
                self._access("map_write", buffer, bank, addresses, words)

    def get_map(self, buffer: int) -> npt.NDArray[np.int64]:
        """Read a buffer, [C, H, W]; the pooled map is [C, 1, 1]."""
        params = self._params
        pooled = buffer == params.pooled
        addresses = np.arange(params.bank_channels, dtype=np.uint32)[:, None, None]
        addresses = addresses if pooled else self._addresses
        parts = []
        for bank, channels in self._banks(params.channels):
            wanted = np.ascontiguousarray(addresses[: channels.stop - channels.start])
            words = np.zeros_like(wanted)
            self._access("map_read", buffer, bank, wanted, words)
            parts.append(words.astype(np.int64))
        values = np.concatenate(parts)
        sign = 1 << (params.shift.bits - 1)
        return (values ^ sign) - sign

    def _access(self, name: str, buffer: int, bank: int, addresses: _Words, words: _Words) -> None:
        addresses = np.ascontiguousarray(addresses)
        getattr(self._library, name)(
            self._dut, buffer, bank, _pointer(addresses), _pointer(words),
            ctypes.c_size_t(words.size),
        )  # fmt: skip

    def run(self, *, step: bool = False, limit: int) -> int:
        """Run all layers, or the next one; returns the cycles, at most ``limit``."""
        begin = time.process_time()
        cycles = int(self._library.dut_run(self._dut, int(step), ctypes.c_uint64(limit)))
        self.seconds += time.process_time() - begin
        self.cycles += cycles
        return cycles

    def waves(self, file: Path) -> None:
        """Write every signal of every cycle from now on into a VCD, until `close`.

        One cycle is 2 ns; the clock rises in its middle. Only if built with ``waves``.
        """
        self._library.waves_open(self._dut, os.fsencode(file))

    def coverage(self, file: Path) -> None:
        """Write how often each line ran and each bit changed, in Verilator's format.

        Since the model began. Only if built with ``coverage``.
        """
        self._library.coverage_write(self._dut, os.fsencode(file))

    def logits(self) -> npt.NDArray[np.int32]:
        """Read the logits, int32 [classes]."""
        values = np.zeros(self._params.classes, np.int32)
        count = ctypes.c_size_t(values.size)
        self._library.logits_read(self._dut, _pointer(values), count)
        return values

    def counters(self) -> dict[str, int]:
        """Read what has been counted since reset, by name: `COUNTERS`."""
        values = np.zeros(len(COUNTERS), np.uint64)
        self._library.counters_read(self._dut, _pointer(values))
        return dict(zip(COUNTERS, values.tolist(), strict=True))


def _pointer(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
