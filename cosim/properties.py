# SPDX-License-Identifier: Apache-2.0
"""Every proof, in one list: what is claimed, of what, how, and which fault must break it.

To add a proof, write a harness (``cosim.properties_shift`` says what that is) and append a
``Proof`` to ``PROOFS``. ``cosim.prove`` runs them.
"""

from __future__ import annotations

import functools

from cosim.proof import Cover, Fault, Proof
from cosim.properties_array import ArrayEqualsReader, ReaderContent
from cosim.properties_cobs import CobsRoundTrip, PacketParams
from cosim.properties_control import ControlAddresses
from cosim.properties_mask import MaskOrder, MaskSchedule, RegisterParams
from cosim.properties_queue import QueueOrder
from cosim.properties_requant import RequantSteps
from cosim.properties_safety import SAFETY
from cosim.properties_shift import ShiftContent, ShiftProtocol, ShiftRun
from cosim.properties_stream import PacketRun, StreamProtocol
from cosim.properties_tile import ShiftAddProduct, product_cycles
from hw.params import ArrayParams, ShiftParams
from hw.tile_params import TileParams
from hw.timing import array_cycles, axis_cycles, shift_cycles

__all__ = ["PROOFS"]


def _shape(height: int, width: int, bits: int) -> ShiftParams:
    return ShiftParams(height=height, width=width, bits=bits)


# Faults that many proofs must find: no row or column wraps to a boundary; no 0 is shifted in; a
# wrong direction.
_WRAPS = Fault("dut.walk.wraps", "0")
_NO_ZERO = Fault("dut.mem_wdata", "dut.mem_rdata")
_CODE = Fault("dut.walk.direction", "dut.direction[2:1],0")

# One channel after another, begun from reset: a whole run is then a matter of directions only.
_RUNNING = (Fault("start", "1"), Fault("rst", "0"))


def _one_channel(params: ShiftParams) -> Cover:
    """From a first ``start`` to the first cycle of the next channel."""
    cycles = shift_cycles(params)
    return Cover(params, cycles - 1, cycles, _RUNNING)


def _content(params: ShiftParams, fault: Fault, *, quick: bool = False) -> Proof:
    return Proof(
        name=f"shift-content-{params.name}",
        claim="after done the memory holds the shifted map; any run, cell, data, direction",
        harness=ShiftContent,
        params=params,
        depth=1,
        fault=fault,
        cover=_one_channel(_shape(4, 6, 2)),
        quick=quick,
    )


def _protocol(params: ShiftParams, fault: Fault, *, quick: bool = False) -> Proof:
    return Proof(
        name=f"shift-protocol-{params.name}",
        claim="addresses in range, H·W writes in SHIFT only, one done a start, ready",
        harness=ShiftProtocol,
        params=params,
        depth=1,
        fault=fault,
        cover=_one_channel(params if params.pixels <= 256 else _shape(4, 6, 2)),
        quick=quick,
    )


def _run(height: int, width: int) -> Proof:
    params = _shape(height, width, 1)
    cycles = shift_cycles(params)
    faults = _WRAPS, _NO_ZERO, _CODE  # in turn
    return Proof(
        name=f"shift-run-{params.name}",
        claim="one whole channel from reset: shifted, done once, in H·W + 2 cycles",
        harness=ShiftRun,
        params=params,
        depth=cycles,
        bounded=True,
        fault=faults[(height + width) % len(faults)],
        cover=Cover(params, cycles, cycles),
        quick=(height, width) in {(2, 2), (3, 5), (4, 4), (6, 4)},
    )


def _reader(params: ShiftParams, fault: Fault) -> Proof:
    return Proof(
        name=f"reader-{params.name}",
        claim="data is the pixel that the shift brings; every row, column, direction code",
        harness=ReaderContent,
        params=params,
        depth=1,
        fault=fault,
        cover=Cover(params, 0, 2),
        quick=True,
    )


def _array(params: ArrayParams) -> Proof:
    cycles = array_cycles(params) + 2  # one before, to read the untouched map; one to read after
    return Proof(
        name=f"array-equals-reader-{params.name}",
        claim="shifted and read plainly = untouched and read through the reader; g·H·W + 2 cycles",
        harness=ArrayEqualsReader,
        params=params,
        depth=cycles,
        bounded=True,
        fault=Fault("dut.lane_right_up.walk.wraps", "0"),
        cover=Cover(params, cycles, cycles),
    )


def _stream(params: ShiftParams, fault: Fault, *, quick: bool = False) -> Proof:
    small = _shape(2, 3, 2)
    return Proof(
        name=f"stream-protocol-{params.name}",
        claim="TVALID holds with its payload; H·W beats, TLAST on the last; error; latency",
        harness=StreamProtocol,
        params=params,
        depth=2,
        fault=fault,
        cover=Cover(small, 0, axis_cycles(small), (Fault("rst", "0"),)),
        quick=quick,
    )


def _packet(params: ShiftParams, *, pauses: int) -> Proof:
    cycles = axis_cycles(params) + pauses
    return Proof(
        name=f"stream-content-{params.name}",
        claim=f"beats out are the shifted beats in, with up to {pauses} pauses",
        harness=PacketRun,
        params=params,
        depth=cycles,
        bounded=True,
        fault=Fault("dut.shift.direction", "dut.direction[2:1],0"),
        cover=Cover(params, axis_cycles(params) - 1, cycles),
    )


def _product(fault: Fault, *, quick: bool = False, **sizes: int) -> Proof:
    """Two of everything, unless told otherwise."""
    usual = dict.fromkeys(
        ("rows", "columns", "columns_per_adc", "cell_bits", "weight_bits", "act_bits"), 2
    )
    params = TileParams(pages=2, tables=1, **usual | sizes)
    cycles = product_cycles(params)
    return Proof(
        name=f"shift-add-{params.name}",
        claim="sums over planes, cells, crossbars, passes are Σ U·Q − Z·ΣQ; all of them any",
        harness=ShiftAddProduct,
        params=params,
        depth=cycles,
        bounded=True,
        fault=fault,
        cover=Cover(params, cycles, cycles),
        quick=quick,
    )


def _queue(fault: Fault, *, quick: bool = False) -> Proof:
    params = TileParams(
        rows=2, columns=2, columns_per_adc=2, cell_bits=1, weight_bits=1, act_bits=2, pages=2,
        tables=1,
    )  # fmt: skip
    # By this cycle the queue has been full, and a word from a skipped page has left whole.
    cycle = 14
    return Proof(
        name=f"sum-queue-{params.units}x{params.columns_per_adc}",
        claim="sums leave in the order of their pages, those of skipped pages as zeros; any stalls",
        harness=QueueOrder,
        params=params,
        depth=cycle,
        bounded=True,
        fault=fault,
        cover=Cover(params, cycle, cycle),
        quick=quick,
    )


def _requant(params: TileParams, fault: Fault, *, quick: bool = False) -> Proof:
    return Proof(
        name=f"requant-{params.sum_bits}-{params.act_bits}-{params.stream_bits}",
        claim="bias, round by k, saturate, table, affine, saturate; all sums, parameters, tables",
        harness=RequantSteps,
        params=params,
        depth=1,
        fault=fault,
        cover=Cover(params, 5, 6, (Fault("rst", "0"),)),
        quick=quick,
    )


_PRUNED_CONTROL = functools.partial(ControlAddresses, pruned=True)


def _control(
    params: ShiftParams, fault: Fault, *, pruned: bool = False, quick: bool = False
) -> Proof:
    pins = ("rst", "0"), ("start", "1"), ("activations_ready", "1"), ("shift_done", "1")
    # On four pixels the second layer's first write comes in this cycle at the earliest.
    cycle = 85
    return Proof(
        name=f"control-{'pruned' if pruned else 'addresses'}-{params.name}",
        claim="pages as scheduled; parameters, maps, logits: addresses in range, image after image",
        harness=_PRUNED_CONTROL if pruned else ControlAddresses,
        params=params,
        depth=1,
        fault=fault,
        cover=Cover(_shape(2, 2, 6), cycle, cycle, tuple(Fault(*pin) for pin in pins)),
        quick=quick,
    )


def _mask(positions: int, fault: Fault, *, quick: bool = False) -> Proof:
    params, small = RegisterParams(positions), RegisterParams(5)
    # Loaded in the first cycle, and for good: seven states follow.
    return Proof(
        name=f"mask-order-{params.name}",
        claim="positions, which of them are kept, the last state: as its twin; any seed, count",
        harness=MaskOrder,
        params=params,
        depth=1,
        fault=fault,
        cover=Cover(small, 7, 8, (Fault("rst", "0"),)),
        quick=quick,
    )


def _masks(params: ShiftParams, fault: Fault, *, quick: bool = False) -> Proof:
    pins = Fault("rst", "0"), Fault("start", "1"), Fault("finished", "1")
    # A cycle to start, five groups of eight cycles, two to begin and end, five groups once more.
    cycle = 1 + 40 + 2 + 40
    return Proof(
        name=f"mask-schedule-{params.name}",
        claim="each register has its page's parameters; rows in range; a layer begins with all",
        harness=MaskSchedule,
        params=params,
        depth=1,
        fault=fault,
        cover=Cover(params, cycle, cycle, pins),
        quick=quick,
    )


def _cobs(longest: int, fault: Fault, *, quick: bool = False) -> Proof:
    params = PacketParams(longest)
    return Proof(
        name=f"cobs-round-trip-{params.name}",
        claim=f"any packet of 1…{longest} bytes, encoded and decoded, is itself, in one frame",
        harness=CobsRoundTrip,
        params=params,
        depth=params.cycles,
        bounded=True,
        fault=fault,
        cover=Cover(params, params.cycles, params.cycles),
        quick=quick,
    )


_SMALL_TILE = TileParams(
    rows=4, columns=4, columns_per_adc=2, weight_bits=4, act_bits=4, stream_bits=4, pages=2,
    tables=2,
)  # fmt: skip

PROOFS: tuple[Proof, ...] = (
    _content(_shape(16, 16, 8), _NO_ZERO, quick=True),
    _content(_shape(7, 14, 8), Fault("dut.boundary", "0")),
    _content(_shape(14, 7, 8), _WRAPS),
    _content(_shape(12, 12, 8), _CODE),
    _content(_shape(6, 10, 8), _NO_ZERO, quick=True),
    _content(_shape(28, 28, 8), _NO_ZERO),
    _content(_shape(32, 32, 8), _CODE),
    _protocol(_shape(16, 16, 8), Fault("dut.walk.load", "dut.done"), quick=True),
    _protocol(_shape(7, 14, 8), Fault("dut.walk.last", "1"), quick=True),
    _protocol(_shape(12, 12, 8), Fault("dut.walk.load", "0")),
    _protocol(_shape(6, 10, 8), Fault("dut.walk.step", "1"), quick=True),
    _protocol(_shape(256, 256, 8), Fault("dut.ready", "1")),
    *(_run(height, width) for height in range(2, 9) for width in range(2, 9)),
    _reader(_shape(16, 16, 8), Fault("dut.direction", "0,direction[2:0]")),
    _reader(_shape(7, 14, 8), Fault("dut.row", "column[2:0]")),
    _reader(_shape(12, 12, 8), Fault("dut.mem_rdata", "00000000")),
    _array(ArrayParams(shift=_shape(3, 4, 2), channels=24)),
    _stream(_shape(16, 16, 8), Fault("dut.error", "dut.s_axis_tlast"), quick=True),
    _stream(_shape(7, 14, 8), Fault("dut.s_axis_tlast", "1")),
    _stream(_shape(6, 10, 8), Fault("dut.m_axis_tready", "1"), quick=True),
    _packet(_shape(2, 3, 1), pauses=2),
    _product(Fault("dut.before", "0" * 7), crossbars=2, quick=True),
    _product(Fault("dut.addend", "dut.operand"), passes=2),
    _product(Fault("dut.old_0", "0" * 8), columns=4, weight_bits=4, act_bits=3),
    _product(
        Fault("dut.digits", "dut.bits"),
        rows=3,
        columns=3,
        cell_bits=1,
        weight_bits=3,
        act_bits=3,
        columns_per_adc=1,
    ),
    _queue(Fault("turn", "0"), quick=True),
    _requant(TileParams(pages=2, tables=2), Fault("dut.shifted", "dut.acc_1,00000000")),
    _requant(TileParams(pages=2, tables=2, stream_bits=16), Fault("dut.write__en", "0")),
    _requant(_SMALL_TILE, Fault("dut.channel_2", "dut.channel_1"), quick=True),
    _mask(5, Fault("dut.left", "dut.count"), quick=True),
    _mask(12, Fault("dut.following", "dut.state[0],dut.state[3:1]")),
    _mask(64, Fault("dut.position", "dut.state")),
    _masks(_shape(3, 5, 6), Fault("unit.done", "unit.ends"), quick=True),
    _cobs(3, Fault("decoder.zero", "0"), quick=True),
    _cobs(5, Fault("encoder.zero", "0")),
    _control(_shape(3, 5, 6), Fault("fetch.last_channel", "0"), quick=True),
    _control(_shape(16, 16, 6), Fault("writer.full_bank", "0")),
    _control(_shape(3, 5, 6), Fault("sequencer.found", "0" * 8), pruned=True, quick=True),
    *SAFETY,
)
