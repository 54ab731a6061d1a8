# SPDX-License-Identifier: Apache-2.0
"""A network on a chip: area, latency and energy of each layer and component.

`simulate` maps the network, counts (`model.cost.chip`), multiplies (`model.cost.components`), and
adds the digital shift (`model.cost.digital`). A leaf.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from model.cost import components, digital
from model.cost.chip import chip_and_layers
from model.cost.components import ANALOG, GROUPS
from model.cost.config import Config
from model.cost.layers import Network
from model.cost.mapping import map_network
from model.cost.placement import ChipMapping, LayerMapping
from model.cost.technology import Constants, Node, load_constants

__all__ = ["READS", "ChipCost", "LayerCost", "simulate"]

READS = "sensed current"
"""The component whose energy wordlines decide."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCost:
    """What one layer takes.

    Parameters
    ----------
    name : str
    mapping : LayerMapping
    latency_s, energy_j : mapping of str to float
        By component; energy is dynamic.
    leakage_j : float
        Of the other layers' tiles while this one runs.
    shift : ShiftCost
        Before this layer.
    """

    name: str
    mapping: LayerMapping
    latency_s: Mapping[str, float]
    energy_j: Mapping[str, float]
    leakage_j: float
    shift: digital.ShiftCost

    @property
    def latency(self) -> float:
        """Seconds, the shift included."""
        return sum(self.latency_s.values()) + self.shift.latency_s

    @property
    def energy(self) -> float:
        """Joules, leakage and the shift included."""
        return sum(self.energy_j.values()) + self.leakage_j + self.shift.energy_j

    @property
    def analog_energy(self) -> float:
        """Joules of the analog domain: dynamic energy of `model.cost.components.ANALOG`."""
        return _analog(self.energy_j)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChipCost:
    """What a network takes on a chip, an image.

    Parameters
    ----------
    network : str
    config : Config
    mapping : ChipMapping
    layers : tuple of LayerCost
        In the order in which they run.
    area_m2 : mapping of str to float
        By component.
    period_s : float
        Of the clock.
    operations : int
        As ``config.counting`` counts.
    """

    network: str
    config: Config
    mapping: ChipMapping
    layers: tuple[LayerCost, ...]
    area_m2: Mapping[str, float]
    period_s: float
    operations: int

    @property
    def area(self) -> float:
        """Square metres."""
        return sum(self.area_m2.values())

    @property
    def latency(self) -> float:
        """Seconds, the shift included."""
        return sum(layer.latency for layer in self.layers)

    @property
    def energy(self) -> float:
        """Joules, leakage and the shift included."""
        return sum(layer.energy for layer in self.layers)

    @property
    def leakage(self) -> float:
        """Joules, of ``energy``."""
        return sum(layer.leakage_j for layer in self.layers)

    @property
    def shift(self) -> digital.ShiftCost:
        """All shifts together."""
        return digital.total(layer.shift for layer in self.layers)

    @property
    def latency_s(self) -> dict[str, float]:
        """Seconds by component, all layers together, without the shift."""
        return _sums(layer.latency_s for layer in self.layers)

    @property
    def energy_j(self) -> dict[str, float]:
        """Joules by component, dynamic, all layers together, without the shift."""
        return _sums(layer.energy_j for layer in self.layers)

    @property
    def analog_energy(self) -> float:
        """Joules of the analog domain: dynamic energy of `model.cost.components.ANALOG`."""
        return _analog(self.energy_j)

    @property
    def digital_energy(self) -> float:
        """Joules of all else, leakage and the shift included."""
        return self.energy - self.analog_energy

    def group(self, quantity: str, name: str) -> float:
        """Return a group of components, as the reference simulator reports it.

        Parameters
        ----------
        quantity : {"area", "latency", "energy"}
        name : str
            In ``GROUPS[quantity]``.
        """
        values = {"area": self.area_m2, "latency": self.latency_s, "energy": self.energy_j}
        return sum(values[quantity][each] for each in GROUPS[quantity][name])

    def tops_per_watt(self, divisor: float | None = None) -> float:
        """Return 10^12 operations a joule.

        Parameters
        ----------
        divisor : float, optional
            Of the result; `Config.efficiency_divisor` by default, 1 for the plain quotient.
        """
        divisor = self.config.efficiency_divisor if divisor is None else divisor
        return self.operations / (self.energy * divisor) * 1e-12


def simulate(network: Network, config: Config, *, constants: Constants | None = None) -> ChipCost:
    """Return what a network takes on a chip.

    Parameters
    ----------
    network : Network
    config : Config
        As it is: `Config.for_network` chooses what holds for one network.
    constants : Constants, optional
        Of the components; the stored ones by default.

    Raises
    ------
    ParameterError
        As `model.cost.mapping.map_network`.
    """
    constants = load_constants() if constants is None else constants
    config = _own_activations(config, network)
    mapping = map_network(network, config)
    chip, layers = chip_and_layers(mapping, config, Node(config.node_nm, constants.delay_exponent))
    area = components.areas(chip, constants)
    latency = components.latencies(chip, layers, constants)
    side = components.tile_length(chip, area)
    energy = components.energies(chip, layers, side, constants)
    energy[READS] = energy[READS] * _driven_shares(mapping, config)
    total = np.sum(list(latency.values()), axis=0)
    leaked = components.leakage(chip, layers, area, total, constants)
    reference = config.counting == "reference"
    return ChipCost(
        network=network.name,
        config=config,
        mapping=mapping,
        layers=tuple(
            LayerCost(
                name=mapped.layer.name,
                mapping=mapped,
                latency_s={name: float(values[index]) for name, values in latency.items()},
                energy_j={name: float(values[index]) for name, values in energy.items()},
                leakage_j=float(leaked[index]),
                shift=digital.shift_cost(mapped.layer, config),
            )
            for index, mapped in enumerate(mapping.layers)
        ),
        area_m2=area,
        period_s=chip.period(constants),
        operations=sum(
            layer.unstrided_operations if reference else layer.operations
            for layer in network.layers
        ),
    )


def _own_activations(config: Config, network: Network) -> Config:
    """Return the configuration with the network's non-linearity, unless it states one."""
    if config.activations is not None or network.activations is None:
        return config
    sources = dict(config.sources) | {"activations": "the network's non-linearity"}
    return dataclasses.replace(config, activations=network.activations, sources=sources)


def _driven_shares(mapping: ChipMapping, config: Config) -> npt.NDArray[np.float64]:
    """Return which share of the energy of reads gating leaves, one value a layer."""
    shares = np.ones(len(mapping.layers))
    if config.row_gating is None or config.cell_energy_j is None:
        return shares
    for number, each in enumerate(mapping.layers):
        if each.layer.statistics is not None:
            shares[number] = each.layer.statistics.driven_share(
                config.cell_energy_j, layer=number,
                array_rows=config.array_rows, array_columns=config.array_columns,
            )  # fmt: skip
    return shares


def _analog(energy_j: Mapping[str, float]) -> float:
    return sum(value for name, value in energy_j.items() if name in ANALOG)


def _sums(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums
