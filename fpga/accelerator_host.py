# SPDX-License-Identifier: Apache-2.0
"""The accelerator from the host's side: a network into it, images in, logits out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fpga.networks import with_digest
from fpga.target import DeviceError, Target
from hw import timing
from hw.accelerator_params import AcceleratorParams
from hw.image import Image, build, patches
from hw.params import ParameterError, address_bits
from model import fast_executor, intnet
from model.intnet import IntNet

__all__ = ["DESIGN", "Classifier", "differences"]

DESIGN = "accelerator"
SLACK = 1000
"""Cycles beyond the formula's after which an image is given up."""


class Classifier:
    """The accelerator of one network on a device.

    Parameters
    ----------
    target : Target
    folder : Path, optional
        The integer network that it was generated for; None: it is one of the zoo.

    Raises
    ------
    DeviceError
        If the device is no accelerator, or that of another network.
    ParameterError
        If the folder holds no integer network.
    """

    def __init__(self, target: Target, folder: Path | None = None) -> None:
        if target.info.design != DESIGN:
            raise DeviceError(f"the device must be the design {DESIGN}, not {target.info.design}")
        self._target = target
        parameters = target.info.parameters
        folder = folder or _of_zoo(parameters.get("sha256"))
        self.net: IntNet = intnet.read(folder)
        digest = intnet.digest(self.net)
        if parameters.get("sha256") != digest:
            raise DeviceError(
                f"the device's network must be that of {folder} with sha256 {digest}, "
                f"not {parameters.get('sha256')!r:.80}"
            )
        try:
            sizes = {name: parameters[name] for name in ("columns", "columns_per_adc", "mode")}
            self.image: Image = build(self.net, **sizes)
        except (KeyError, ParameterError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else error
            raise DeviceError(f"the device must say what tile it has: {reason}") from None

    @property
    def params(self) -> AcceleratorParams:
        """Sizes and schedule."""
        return self.image.params

    def streams(self) -> dict[str, bytes]:
        """Return what loads the network, by region: beats, each in whole bytes.

        Raises
        ------
        DeviceError
            If the device's beats have other widths.
        """
        # Here, because it needs Amaranth, and nothing else does.
        from hw.load import beats, payloads

        streams = {}
        layouts = payloads(self.params)
        for name, values in beats(self.image).items():
            if not values:
                continue
            size, found = -(-layouts[name].size // 8), self._target.region(name).word_bytes
            if found != size:
                raise DeviceError(f"a beat of region {name} must have {size} bytes, not {found}")
            streams[name] = b"".join(value.to_bytes(size, "little") for value in values)
        return streams

    def load(
        self, streams: dict[str, bytes], *, advance: Callable[[int], object] = lambda _: None
    ) -> None:
        """Load cells, tables and parameters into the device.

        Parameters
        ----------
        streams : dict of str to bytes
            As `streams` returns them.
        advance : callable
            Gets the number of bytes that have been taken, piece by piece.

        Raises
        ------
        DeviceError
            If something else has arrived than was sent.
        """

        def piece() -> int:
            self._target.session.sync()  # `loaded` begins anew
            for name, data in streams.items():
                self._target.write(name, 0, data, advance=advance)
            return self._target.registers()["loaded"]

        wanted, found = zlib.crc32(b"".join(streams.values())), self._target.work(piece)
        if found != wanted:
            raise DeviceError(f"the CRC-32 of what is loaded must be {wanted:08x}, not {found:08x}")

    def classify(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int32], int]:
        """Run an image.

        Parameters
        ----------
        pixels : numpy.ndarray
            uint8 [C, H, W], as the network's input.

        Returns
        -------
        logits : numpy.ndarray
            int32 [classes].
        cycles : int
            That the device counted.

        Raises
        ------
        ParameterError
            If the image has another shape or dtype.
        LinkError
            If the device does not do it.
        """
        target, params = self._target, self.params
        banks = self._banks(patches(params, pixels))
        limit = timing.accelerator_cycles(params) + SLACK

        def piece() -> tuple[bytes, int]:
            if target.registers()["layer"]:
                # Somebody has gone through the last image layer by layer, and not to its end.
                target.run(0, limit=limit)
            for address, data in banks:
                target.write("maps", address, data)
            cycles = target.run(0, limit=limit)
            return target.read("logits", 0, 4 * params.classes), cycles

        data, cycles = target.work(piece)
        return np.frombuffer(data, "<i4").astype(np.int32), cycles

    def _banks(self, words: npt.NDArray[np.int8]) -> list[tuple[int, bytes]]:
        """Return where in region ``maps`` each bank of the image lies, and its bytes.

        Channels and rows lie powers of two apart; what lies between is no pixel.
        """
        params, shift = self.params, self.params.shift
        rows, columns = 1 << shift.row_bits, 1 << shift.column_bits
        size = self._target.region("maps").word_bytes
        buffer = params.layers[0].operands[0].buffer
        banks = []
        for bank, first in enumerate(range(0, len(words), params.tile.rows)):
            part = words[first : first + params.tile.rows]
            there = np.zeros((len(part), rows, columns), f"<i{size}")
            there[:, : shift.height, : shift.width] = part
            last = (len(part) - 1 << shift.addr_bits) + shift.address(
                shift.height - 1, shift.width - 1
            )
            place = (buffer << address_bits(params.banks) | bank) << params.bank_bits
            banks.append((size * place, there.tobytes()[: size * (last + 1)]))
        return banks


def _of_zoo(sha256: object) -> Path:
    """Return the folder of the zoo's network with a digest."""
    folder = with_digest(sha256)
    if folder is None:
        raise DeviceError(
            "the device's network must be one of the zoo, or be given with --intnet, "
            f"not {sha256!r:.80}"
        )
    return folder


def differences(
    classifier: Classifier,
    images: npt.NDArray[np.uint8],
    runs: Sequence[tuple[npt.NDArray[np.int32], int]],
) -> list[str]:
    """Compare images that the device has run with the integer executor and ``hw.timing``.

    Parameters
    ----------
    classifier : Classifier
    images : numpy.ndarray
        uint8 [N, C, H, W].
    runs : sequence
        Logits and cycles of each, as `Classifier.classify` returns them.

    Returns
    -------
    list of str
        What differs, a line each.
    """
    wanted = fast_executor.run(classifier.net, images)
    wanted_cycles = timing.accelerator_cycles(classifier.params)
    lines = []
    for number, (row, (found, taken)) in enumerate(zip(wanted, runs, strict=True)):
        if not np.array_equal(row, found):
            lines.append(
                f"image {number}: logits must be {row.tolist()} as in the integer executor, "
                f"not {found.tolist()}"
            )
        if taken != wanted_cycles:
            lines.append(
                f"image {number}: cycles must be {wanted_cycles} as in hw.timing, not {taken}"
            )
    return lines
