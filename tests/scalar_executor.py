# SPDX-License-Identifier: Apache-2.0
"""Integer networks in loops over Python's integers, written from docs/intnet.md, and counted."""

from __future__ import annotations

from collections import defaultdict
from itertools import product

import numpy as np

from model.intnet import Crossbar, MaxPool, SumPool

MOTION = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


class Scalar:
    """One image through a network.

    ``trace`` holds {(c, y, x): value} by layer and key; ``points`` all numbers that came to a
    point where they saturate, as pairs (before, after), by layer and point.
    """

    def __init__(self, net, image):
        self.net, self.trace = net, {}
        self.points = defaultdict(lambda: defaultdict(list))
        self.maps = {net.input: {at: int(image[at]) - 128 for at in np.ndindex(image.shape)}}
        for layer in net.layers:
            self.seen, self.name = {}, layer.name
            {Crossbar: self.crossbar, SumPool: self.sum_pool, MaxPool: self.max_pool}[type(layer)](
                layer
            )
            self.seen["out"] = self.maps[layer.out]
            self.trace[layer.name] = self.seen

    @staticmethod
    def rounded(v, k):
        return (v + 2 ** (k - 1)) // 2**k if k > 0 else v * 2**-k

    def clip(self, point, v, bits):
        clipped = max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, v))
        self.points[self.name][point].append((v, clipped))
        return clipped

    def places(self, name):
        return product(*map(range, self.net.maps[name].shape))

    def element(self, operand, c, y, x):
        """Read an operand; outside of the map is 0, before the shift and after it."""
        shape = self.net.maps[operand.map]
        if operand.shifted and c < 8 * (shape.channels // 12):
            dy, dx = MOTION[c // (shape.channels // 12)]
            y, x = y - dy, x - dx
        return self.maps[operand.map].get((c, y, x), 0)

    def affine(self, point, v, affine, c):
        s, e, t = int(affine.sign[c]), int(affine.exponent[c]), int(affine.offset[c])
        v = self.rounded(s * (v * 2**e) + t, affine.fraction_bits)
        return self.clip(point, v, self.net.stream_bits)

    def fetch(self, layer, c, y, x):
        bits = self.net.maps[layer.operands[0].map].bits
        v = sum(self.element(operand, c, y, x) for operand in layer.operands)
        if len(layer.operands) > 1:
            v = self.clip("fetch", v, bits)
        if bits > layer.act_bits:
            v = self.clip("fetch", self.rounded(v, self.net.fetch_shift), layer.act_bits)
        return v

    def accumulate(self, layer, q, o):
        net, acc = self.net, int(layer.bias[o])
        u = [int(weight) for weight in layer.weights[:, o]]
        for first in range(0, len(q), net.array_rows):
            tile = range(first, min(first + net.array_rows, len(q)))
            for bit in range(layer.act_bits):
                for low in range(0, layer.weight_bits, net.cell_bits):
                    cells = ((u[i] >> low) % 2**net.cell_bits for i in tile if q[i] >> bit & 1)
                    column = sum(cells)
                    code = min(column, 2**net.adc_bits - 1)
                    self.points[self.name]["adc"].append((column, code))
                    sign = -1 if bit == layer.act_bits - 1 else 1
                    acc += sign * 2 ** (bit + low) * code
            acc -= layer.zero_point * sum(q[i] for i in tile)
        return acc

    def crossbar(self, layer):
        net, periphery = self.net, layer.periphery
        given, acc, pre, out, second = layer.operands[0].map, {}, {}, {}, {}
        fetched = {at: self.fetch(layer, *at) for at in self.places(given)}
        sides = range(layer.kernel)
        for o, y, x in self.places(layer.out):
            top, left = y * layer.stride - layer.padding, x * layer.stride - layer.padding
            q = [
                fetched.get((c, top + ky, left + kx), 0)
                for ky, kx, c in product(sides, sides, range(net.maps[given].channels))
            ]
            at = (o, y, x)
            acc[at] = self.accumulate(layer, q, o)
            if periphery is None:
                out[at] = acc[at]
                continue
            v = self.rounded(acc[at], int(periphery.k[o % len(periphery.k)]))
            if periphery.add_before_table:
                v += self.element(periphery.add_before_table, *at)
            pre[at] = self.clip("pre", v, layer.act_bits)
            v = int(periphery.table[pre[at] + 2 ** (layer.act_bits - 1)])
            self.points[self.name]["table"].append((v, v))
            if periphery.affine:
                v = self.affine("affine", v, periphery.affine, o)
            if periphery.add:
                v += self.element(periphery.add, *at)
            out[at] = v = self.clip("write", v, net.stream_bits)
            if periphery.second:
                second[at] = self.affine("second", v, periphery.second.affine, o)
        self.maps[layer.out] = out
        self.seen["acc"] = acc
        if periphery:
            self.seen["pre"] = pre
            if periphery.second:
                self.maps[periphery.second.out] = self.seen["second"] = second

    def sum_pool(self, layer):
        given, bits = self.maps[layer.source], self.net.maps[layer.out].bits
        sums = {
            at: sum(v for (c, _, _), v in given.items() if c == at[0])
            for at in self.places(layer.out)
        }
        self.seen["sum"] = sums
        self.maps[layer.out] = {
            at: self.clip("write", self.rounded(v, layer.p), bits) for at, v in sums.items()
        }

    def max_pool(self, layer):
        given, n = self.maps[layer.source], layer.window
        self.maps[layer.out] = {
            (c, y, x): max(
                given[c, n * y + dy, n * x + dx] for dy, dx in product(range(n), range(n))
            )
            for c, y, x in self.places(layer.out)
        }


def scalar_trace(net, images):
    """Return what `executor.run` should trace."""
    shapes = {layer.name: net.maps[layer.out].shape for layer in net.layers}
    traces = [Scalar(net, image).trace for image in images]
    return {
        name: {
            key: np.array(
                [[trace[name][key][at] for at in sorted(trace[name][key])] for trace in traces]
            ).reshape(-1, *shapes[name])
            for key in seen
            if key != "sum"
        }
        for name, seen in traces[0].items()
    }
