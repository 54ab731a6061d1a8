# SPDX-License-Identifier: Apache-2.0
"""A whole network's accelerator behind the bus; its memories hold the network from the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fpga.bus import Bus
from fpga.protocol import Region
from hw.accelerator import Accelerator
from hw.image import Image
from hw.load import beats, contents, payloads
from hw.params import address_bits
from hw.tile_params import ACC_BITS

__all__ = ["LOGITS", "MAPS", "STREAMS", "AcceleratorDesign", "assemble_beats"]

MAPS, LOGITS = 2, 3
"""Numbers of the regions that hold maps and logits."""

STREAMS = {"program": 4, "entries": 5, "channels": 6, "affines": 7}
"""Numbers of the regions that are load streams, by the streams' names."""

_BYTE = 8
_LOGIT_BYTES = ACC_BITS // _BYTE


class AcceleratorDesign(wiring.Component):
    """Maps, logits and load streams are regions; RUN infers, with argument 1 one layer of it.

    ``busy`` is high for ``hw.timing.accelerator_cycles``.

    Parameters
    ----------
    image : Image
        Sizes, schedule, and what the memories hold when the board is configured.
    network, sha256 : str
        Name and digest of the integer network; the host compares the digest.

    Members
    -------
    bus : In, Bus
    """

    name = "accelerator"
    arguments = 2
    registers = ("conversions", "active_wordlines", "sampled_pages", "map_writes", "layer")

    def __init__(self, image: Image, *, network: str, sha256: str) -> None:
        self._image = image
        self._network = {"network": network, "sha256": sha256}
        self._payloads = {
            stream: payloads(image.params)[stream]
            for stream, words in beats(image).items()
            if words
        }
        super().__init__({"bus": In(Bus(len(self.registers)))})

    @property
    def regions(self) -> tuple[Region, ...]:
        """As ``fpga/protocol.md`` lists them; a stream without beats has none."""
        params, loaded = self._image.params, beats(self._image)
        bits = address_bits(len(params.buffers) + 1) + address_bits(params.banks) + params.bank_bits
        return (
            Region("maps", MAPS, self._map_bytes << bits, self._map_bytes, "rw"),
            Region("logits", LOGITS, _LOGIT_BYTES * params.classes, _LOGIT_BYTES, "r"),
            *(
                Region(stream, STREAMS[stream], len(loaded[stream]) * size, size, "w")
                for stream, size in self._word_bytes.items()
            ),
        )

    @property
    def _map_bytes(self) -> int:
        return -(-self._image.params.shift.bits // _BYTE)

    @property
    def _word_bytes(self) -> dict[str, int]:
        return {stream: -(-word.size // _BYTE) for stream, word in self._payloads.items()}

    @property
    def parameters(self) -> dict[str, object]:
        """The network, and how it is laid out."""
        params = self._image.params
        return {
            **self._network,
            "columns": params.tile.columns,
            "columns_per_adc": params.tile.columns_per_adc,
            "mode": params.mode,
        }

    def elaborate(self, platform: object) -> Module:
        """Build it."""
        m = Module()
        bus, params = self.bus, self._image.params
        m.submodules.accelerator = accelerator = Accelerator(
            params=params, contents=contents(self._image)
        )
        m.d.comb += accelerator.start.eq(bus.run)
        with m.If(bus.run):
            m.d.sync += accelerator.step.eq(bus.argument[0])
        ports = Cat(accelerator.host_addr, accelerator.host_bank, accelerator.host_buffer)
        size = self._map_bytes
        element = Signal(signed(_BYTE * size))
        pixel = Signal(_BYTE * size)
        low = Signal(_BYTE)
        with m.If(bus.we):
            m.d.sync += low.eq(bus.wdata)
        m.d.comb += [
            bus.busy.eq(~accelerator.ready),
            ports.eq(bus.address // size),
            pixel.eq(bus.wdata if size == 1 else Cat(low, bus.wdata)),
            accelerator.host_wdata.eq(pixel),
            # An element is written with its last byte.
            accelerator.host_we.eq(
                bus.we & (bus.region == MAPS) & (bus.address % size == size - 1)
            ),
            accelerator.logit.eq(bus.address // _LOGIT_BYTES),
            *(bus.registers[n].eq(getattr(accelerator, r)) for n, r in enumerate(self.registers)),
            element.eq(accelerator.host_rdata),
        ]
        logit, of_map = (
            Array(word[at : at + _BYTE] for at in range(0, len(word), _BYTE))[
                bus.address % (len(word) // _BYTE)
            ]
            for word in (accelerator.logit_value, element)
        )
        m.d.sync += bus.rdata.eq(Mux(bus.region == LOGITS, logit, of_map))
        assemble_beats(m, bus, self._word_bytes, accelerator)
        return m


def assemble_beats(m: Module, bus: Any, sizes: Mapping[str, int], loads: Any) -> None:
    """Put bytes together to beats, least significant byte first; a piece of one is dropped.

    Parameters
    ----------
    m : Module
    bus : flipped `Bus`
    sizes : mapping
        Bytes of a beat, by the names of the streams.
    loads : object
        Has the streams as attributes.
    """
    longest = max(sizes.values())
    word = Signal(_BYTE * longest)
    count = Signal(range(longest))
    last = Signal()
    with m.If(bus.begin):
        m.d.sync += count.eq(0)
    with m.Elif(bus.we):
        m.d.sync += [word.eq(Cat(word[_BYTE:], bus.wdata)), count.eq(Mux(last, 0, count + 1))]
    for stream, size in sizes.items():
        here = bus.region == STREAMS[stream]
        with m.If(here):
            m.d.comb += last.eq(count == size - 1)
        load = getattr(loads, stream)
        m.d.comb += load.payload.eq(word[_BYTE * (longest - size) :])
        m.d.sync += load.valid.eq(bus.we & here & last)
