# SPDX-License-Identifier: Apache-2.0
"""What is proven of ``hw.shift_add``: shifts and adds over bit planes and cells multiply."""

from __future__ import annotations

from typing import ClassVar

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cover, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import wiring

from hw.shift_add import ShiftAdd
from hw.tile_params import TileParams

__all__ = ["ShiftAddProduct", "product_cycles"]

Sample = tuple[int, int, int]
"""Pass, bit plane, column select."""


def _samples(params: TileParams) -> list[Sample | None]:
    """Return the samples cycle by cycle; None where the last plane waits for Z·ΣQ."""
    selects = range(params.columns_per_adc)
    planes = params.act_bits - 1
    cycles: list[Sample | None] = []
    for number in range(params.passes):
        cycles += [(number, plane, select) for plane in range(planes) for select in selects]
        cycles += [None] * (params.weight_bits - planes * len(selects))
        cycles += [(number, planes, select) for select in selects]
    return cycles


def product_cycles(params: TileParams) -> int:
    """Return the cycle from reset in which `ShiftAddProduct` has seen all sums."""
    return len(_samples(params)) + 1


def _total(values: list[Value]) -> Value:
    return sum(values[1:], start=values[0])


class ShiftAddProduct(wiring.Component):
    """Shift and add, given the codes of lossless ADCs: the sums are Σ U·Q − Z·ΣQ.

    From reset on: all bit planes of a vector, and of one vector after the other where ``passes``
    says so. Any U, Q, Z, and crossbars that store a page. Covered: sums of both signs.
    """

    PROBES: ClassVar[dict[str, str]] = {}

    def __init__(self, params: TileParams) -> None:
        self._params = params
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        """Build shift and add, what drives it, and the claim about the last cycle."""
        m = Module()
        params = self._params
        m.submodules.dut = dut = ShiftAdd(params=params)
        samples = _samples(params)
        end = product_cycles(params)
        cycle = Signal(range(end + 2))
        m.d.sync += cycle.eq(cycle + 1)
        m.d.comb += Assume(~ResetSignal())

        passes, crossbars = range(params.passes), range(params.crossbars)
        rows, outputs = range(params.rows), range(params.outputs)
        z = [AnyConst(params.weight_bits) for _ in passes]
        stored = [AnyConst(params.crossbars) for _ in passes]
        u = [[[[AnyConst(params.weight_bits) for _ in rows] for _ in outputs]
              for _ in crossbars] for _ in passes]  # fmt: skip
        q = [[[AnyConst(params.act_bits).as_signed() for _ in rows] for _ in crossbars]
             for _ in passes]  # fmt: skip

        def used(number: int, values: list[Value]) -> Value:
            """Add up one value of each crossbar, of those that store a page."""
            return _total([Mux(stored[number][at], values[at], 0) for at in crossbars])

        totals = [used(number, [_total(q[number][at]) for at in crossbars]) for number in passes]
        for time, sample in enumerate(samples):
            if sample is None:
                continue
            number, plane, select = sample
            top = plane == params.act_bits - 1
            with m.If(cycle == time):
                fields = {
                    "valid": 1,
                    "begin": number == 0 and plane == 0,
                    "start": plane == 0 and select == 0,
                    "negative": top,
                    "complete": top and number == params.passes - 1,
                    "plane": plane,
                    "stored": stored[number],
                    "zero_point": z[number],
                    "total": totals[number],
                }
                m.d.comb += [dut.sample[name].eq(value) for name, value in fields.items()]
                for at in crossbars:
                    for adc in range(params.adcs):
                        unit, cell = divmod(adc, params.cells)
                        weights = u[number][at][select * params.units + unit]
                        first = cell * params.cell_bits
                        cells = [weight[first : first + params.cell_bits] for weight in weights]
                        high = [value[plane] for value in q[number][at]]
                        m.d.comb += dut.codes[at][adc].eq(
                            _total([Mux(h, c, 0) for h, c in zip(high, cells, strict=True)])
                        )

        # One look at the last cycle serves for all sums.
        wrong = Signal()
        negative, positive = Signal(), Signal()
        for select in range(params.columns_per_adc):
            with m.If(cycle == end - params.columns_per_adc + select):
                for unit in range(params.units):
                    output = select * params.units + unit
                    products = [
                        used(number, [
                            _total([a * b for a, b in zip(u[number][at][output], q[number][at],
                                                          strict=True)])
                            for at in crossbars
                        ]) - z[number] * totals[number]
                        for number in passes
                    ]  # fmt: skip
                    with m.If(~dut.valid | (dut.sums[unit] != _total(products))):
                        m.d.sync += wrong.eq(1)
                    m.d.sync += [
                        negative.eq(dut.sums[unit] < 0),
                        positive.eq(dut.sums[unit] > 0),
                    ]
        m.d.comb += [Assert(~wrong), Cover(negative), Cover(positive)]
        return m
