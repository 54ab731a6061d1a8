# SPDX-License-Identifier: Apache-2.0
"""The proofs without bound that each state machine keeps to its rules, in one list.

Part of ``cosim.properties.PROOFS``; which machine has which proof, ``docs/verification.md`` says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amaranth.lib import wiring

from cosim.proof import Cover, Fault, Proof
from cosim.properties_bus import BusRules
from cosim.properties_cobs import DecoderRules, EncoderRules, PacketParams
from cosim.properties_driver import RulesParams, SkippingTileRules, TileRules
from cosim.properties_link import AnswerRules, CrcSteps, NoParams, RequestRules
from cosim.properties_pass import ArrayRules, DeviceRules, PassRules
from cosim.properties_registers import BeatRules, RegisterRules
from cosim.properties_uart import LineParams, UartReceives, UartSends
from fpga.link_transmit import LONGEST_ANSWER
from hw.params import ArrayParams, ShiftParams
from hw.tile_params import TileParams

__all__ = ["SAFETY"]

_ON = Fault("rst", "0")
_LINK = NoParams()


def _high(*names: str) -> tuple[Fault, ...]:
    """Return the pins that hold these inputs high, and reset low."""
    return (_ON, *(Fault(name, "1") for name in names))


def _rules(
    name: str,
    claim: str,
    harness: Callable[[Any], wiring.Component],
    params: Any,
    fault: Fault,
    cover: Cover,
    *,
    depth: int = 1,
    quick: bool = False,
) -> Proof:
    full = name if params is _LINK else f"{name}-{params.name}"
    return Proof(full, claim, harness, params, depth, fault, cover, quick=quick)


def _tile(params: RulesParams, fault: Fault, *, skips: bool = False, quick: bool = False) -> Proof:
    pins = _high("activation_valid", "command_valid", "channel_valid", "ready")
    small = RulesParams(_TILE, 1)
    return _rules(
        "tile-skips" if skips else "tile-control",
        "counters in range, the queue never full when written, commands wait"
        + ("" if skips else "; outputs after their vector and command, and hold"),
        SkippingTileRules if skips else TileRules,
        params,
        fault,
        Cover(small, 18, 26, pins),
        quick=quick,
    )


def _pass(shift: ShiftParams, fault: Fault, *, quick: bool = False) -> Proof:
    return _rules(
        "pass",
        "each bank's moving channels, in their directions; done once, in n·H·W + 2 cycles",
        PassRules,
        shift,
        fault,
        Cover(_shape(2, 2, 6), 28, 32, (_ON,)),
        quick=quick,
    )


def _array(params: ArrayParams, fault: Fault, *, quick: bool = False) -> Proof:
    small = ArrayParams(shift=_shape(2, 2, 2), channels=24)
    return _rules(
        "array-protocol",
        "lanes together, channels in range, done once a block, ready, g·H·W + 2 cycles",
        ArrayRules,
        params,
        fault,
        Cover(small, 15, 20, _high("start")),
        quick=quick,
    )


def _shape(height: int, width: int, bits: int) -> ShiftParams:
    return ShiftParams(height=height, width=width, bits=bits)


def _receives(period: int, fault: Fault, *, quick: bool = False) -> Proof:
    return _rules(
        "uart-receives",
        "bits sampled in their middle; a byte or an error, never both, never too soon",
        UartReceives,
        LineParams(period),
        fault,
        Cover(LineParams(4), 2, 42, (_ON,)),
        quick=quick,
    )


def _sends(period: int, fault: Fault, *, quick: bool = False) -> Proof:
    return _rules(
        "uart-sends",
        "ten bits a byte, each for its whole time; a byte is taken at rest only",
        UartSends,
        LineParams(period),
        fault,
        Cover(LineParams(4), 41, 44, _high("valid")),
        quick=quick,
    )


def _encoder(longest: int, fault: Fault, *, quick: bool = False) -> Proof:
    return _rules(
        "cobs-encoder",
        "addresses in range, one frame a packet, its bytes hold",
        EncoderRules,
        PacketParams(longest),
        fault,
        Cover(PacketParams(5), 5, 25, _high("valid", "last", "ready")),
        quick=quick,
    )


_TILE = TileParams(
    rows=3, columns=4, columns_per_adc=2, cell_bits=2, weight_bits=2, act_bits=2, pages=2,
    tables=1, stream_bits=2,
)  # fmt: skip
_TWO_CROSSBARS = TileParams(
    rows=3, columns=6, columns_per_adc=3, cell_bits=2, weight_bits=4, act_bits=3, pages=2,
    tables=1, stream_bits=3, crossbars=2,
)  # fmt: skip

SAFETY: tuple[Proof, ...] = (
    _tile(RulesParams(_TILE, 1), Fault("dut.room", "1"), quick=True),
    _tile(RulesParams(_TILE, 3), Fault("dut.driver.ends", "dut.driver.taken")),
    _tile(RulesParams(_TWO_CROSSBARS, 2), Fault("dut.last_plane", "1")),
    _tile(RulesParams(_TILE, 2), Fault("dut.room", "1"), skips=True, quick=True),
    _pass(_shape(3, 5, 6), Fault("dut.lane_0.direction", "dut.lane_1.direction"), quick=True),
    _pass(_shape(16, 16, 6), Fault("dut.lane_0.start", "start")),
    _array(ArrayParams(shift=_shape(3, 4, 2), channels=24), Fault("dut.channel", "1"), quick=True),
    _array(ArrayParams(shift=_shape(16, 16, 8), channels=252), Fault("dut.lane_up.start", "start")),
    _rules(
        "shift-device",
        "busy for H·W + 2 cycles a run; the host writes at rest only, inside the map",
        DeviceRules,
        _shape(16, 16, 8),
        Fault("dut.start", "run"),
        Cover(_shape(3, 4, 2), 14, 18, (_ON,)),
        quick=True,
    ),
    _receives(4, Fault("dut.data", "dut.bits[7:0]"), quick=True),
    _receives(100, Fault("dut.error", "0")),
    _sends(4, Fault("dut.bytes__ready", "1"), quick=True),
    _sends(100, Fault("dut.bytes__payload", "byte[0],byte[7:1]")),
    _rules(
        "link-crc",
        "CRC-32 by long division, a bit a cycle; busy, intact",
        CrcSteps,
        _LINK,
        Fault("dut.data", "data[0],data[7:1]"),
        Cover(_LINK, 2, 12, (_ON,)),
        quick=True,
    ),
    _rules(
        "link-receives",
        "each frame is held or dropped; a request holds, has a possible length, lies in its memory",
        RequestRules,
        _LINK,
        Fault("dut.late", "0"),
        Cover(_LINK, 2, 30, (_ON,)),
        quick=True,
    ),
    _rules(
        "link-sends",
        "body and four bytes of CRC are one packet; no byte is lost; the frame's bytes hold",
        AnswerRules,
        _LINK,
        Fault("dut.packet__ready", "1"),
        Cover(_LINK, 60, 90, _high("valid", "last", "ready")),
        depth=2,
        quick=True,
    ),
    _rules(
        "link-bus",
        "one strobe at a time, runs while not busy, one answer a request; addresses hold",
        BusRules,
        _LINK,
        Fault("dut.bus__busy", "0"),
        Cover(_LINK, 2, 8, (_ON,)),
        depth=2,
        quick=True,
    ),
    _rules(
        "link-regions",
        "all bytes that are read or written are inside a region of which that may be",
        BusRules,
        _LINK,
        Fault("dut.outside", "0"),
        Cover(_LINK, 2, 8, (_ON,)),
        depth=2,
    ),
    _rules(
        "device-registers",
        "a word read in order is what was counted at its first byte; the CRC takes each byte once",
        RegisterRules,
        _LINK,
        Fault("dut.taken", "counts[47:0]"),
        Cover(_LINK, 2, 12, (_ON,)),
        quick=True,
    ),
    _rules(
        "device-beats",
        "every n-th byte of a transfer ends a beat of the last n, in its region's stream alone",
        BeatRules,
        _LINK,
        Fault("dut.last", "1"),
        Cover(_LINK, 2, 12, (_ON,)),
        quick=True,
    ),
    _encoder(LONGEST_ANSWER, Fault("dut.sent", "0"), quick=True),
    _encoder(600, Fault("dut.code_place", "0" * 10)),
    _rules(
        "cobs-decoder",
        "each frame ends once; damaged ones are not good; no byte with an end",
        DecoderRules,
        _LINK,
        Fault("dut.spoilt", "0"),
        Cover(_LINK, 2, 8, (_ON,)),
        quick=True,
    ),
)
