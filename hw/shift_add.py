# SPDX-License-Identifier: Apache-2.0
"""Shift and add: from the ADC codes of one bit plane after the other to Σ (U − Z)·Q."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.tile_params import TileParams

__all__ = ["ShiftAdd", "sample_layout"]


def sample_layout(params: TileParams) -> data.StructLayout:
    """Return what travels with a sample: all that shift and add must know about it.

    ``begin`` new sums (else: go on with those that are there); ``start`` a page (its first
    sample), of which ``zero_point`` and ``total``, ΣQ over the crossbars in use, are taken;
    ``plane``, to be subtracted if ``negative``; ``stored``, the crossbars in use; ``complete``:
    with this sample, the sums of this column select are.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "begin": 1,
            "start": 1,
            "negative": 1,
            "complete": 1,
            "plane": params.plane_bits,
            "stored": params.crossbars,
            "zero_point": params.weight_bits,
            "total": signed(params.vector_total_bits),
        }
    )


class ShiftAdd(wiring.Component):
    """Adds up the codes of a weight, of all crossbars and of all bit planes; subtracts Z·ΣQ.

    A unit serves the columns of one weight after the other, so its accumulators stand in a ring
    that turns by one with every sample: the accumulator of a column select is back when its next
    bit plane comes, and no multiplexer is needed. Z·ΣQ is the same for all sums of a page and is
    made once, in ``weight_bits`` cycles, with one adder.

    Widths are `TileParams.sum_bits`, in which no sum overflows.

    Parameters
    ----------
    params : TileParams
        Keyword only.

    Members
    -------
    sample : In, `sample_layout`
        In the cycle of its codes. Samples come in the order of their column selects, and all
        selects of a plane before those of the next. ``complete`` at the earliest
        ``weight_bits`` cycles after the ``start`` of a page of which some crossbar is stored.
    codes : In, code_bits, one an ADC of each crossbar
    valid : Out
        Strobe: ``sums`` of a sample with ``complete``, one cycle after it.
    sums : Out, signed, one a unit
        Of the outputs select·units + unit.
    """

    def __init__(self, *, params: TileParams) -> None:
        self._params = params
        codes = data.ArrayLayout(params.code_bits, params.adcs)
        super().__init__(
            {
                "sample": In(sample_layout(params)),
                "codes": In(data.ArrayLayout(codes, params.crossbars)),
                "valid": Out(1),
                "sums": Out(data.ArrayLayout(signed(params.sum_bits), params.units)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        params = self._params
        every = {"stored": (1 << params.crossbars) - 1}
        sample = Signal(sample_layout(params), init=every)
        m.d.sync += sample.eq(self.sample)

        # Z·ΣQ by shifts and adds, one bit of Z a cycle from the first sample of a page on.
        correction = Signal(signed(params.sum_bits))
        operand = Signal(signed(params.sum_bits))
        bits = Signal(params.weight_bits)
        start = sample.valid & sample.start
        before = Signal.like(correction)
        addend = Signal.like(operand)
        digits = Signal.like(bits)
        m.d.comb += [
            before.eq(Mux(start & sample.begin, 0, correction)),
            addend.eq(Mux(start, sample.total, operand)),
            digits.eq(Mux(start, sample.zero_point, bits)),
        ]
        m.d.sync += [
            correction.eq(before + Mux(digits[0], addend, 0)),
            operand.eq(addend << 1),
            bits.eq(digits >> 1),
        ]

        m.d.comb += self.valid.eq(sample.valid & sample.complete)
        for unit in range(params.units):
            codes = []
            for crossbar in range(params.crossbars):
                first = unit * params.cells
                for cell in range(params.cells):
                    code = self.codes[crossbar][first + cell]
                    codes.append(
                        Mux(self.sample.stored[crossbar], code, 0) << (params.cell_bits * cell)
                    )
            plane_sum = Signal(params.plane_sum_bits, name=f"plane_sum_{unit}")
            m.d.sync += plane_sum.eq(sum(codes[1:], start=codes[0]))

            ring = Signal(
                data.ArrayLayout(signed(params.sum_bits), params.columns_per_adc),
                name=f"ring_{unit}",
            )
            old = Signal(signed(params.sum_bits), name=f"old_{unit}")
            new = Signal(signed(params.sum_bits), name=f"new_{unit}")
            weighted = Signal(params.sum_bits, name=f"weighted_{unit}")
            m.d.comb += [
                weighted.eq(plane_sum << sample.plane),
                old.eq(Mux(sample.begin, 0, ring[0])),
                new.eq(Mux(sample.negative, old - weighted, old + weighted)),
                self.sums[unit].eq(new - before),
            ]
            with m.If(sample.valid):
                m.d.sync += ring.eq(Cat(ring.as_value()[params.sum_bits :], new))
        return m
