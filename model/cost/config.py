# SPDX-License-Identifier: Apache-2.0
"""Design points: what is assumed of a chip, each value with its unit and its source.

`model.cost.config_file` reads them; a leaf: the standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from hw.params import ParameterError
from model.cost.schema import Key, choice, count, numbers, quantity

__all__ = ["Config", "ConfigError", "differences", "keys"]

_OPERATION = "an operation is one of these bits"
_TECHNOLOGY = "it is the technology's, not the design's"


class ConfigError(ParameterError):
    """A configuration breaks a rule.

    Parameters
    ----------
    message : str
        The rule, then the value; it begins with the key.
    key : str
        Of the configuration.
    """

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A design point.

    What a design may choose and what must be equal where two are compared is in each key's
    description (`keys`).

    Parameters
    ----------
    name : str
        Of the file, without its suffix.
    about : str
        What the design point is.
    sources : mapping of str to str
        Where the value of a key is from.
    networks : mapping of str to mapping
        By network: keys with other values, and ``simulated``, the network that it really is.

    The other parameters are the keys of the file; those that may be None may be missing.

    Raises
    ------
    ConfigError
        If a value is out of range, or two do not go together.
    """

    name: str
    about: str = ""
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    networks: Mapping[str, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict, hash=False, repr=False
    )

    array_rows: int = count("rows of a crossbar", 2, 4096)
    array_columns: int = count("columns of a crossbar", 2, 4096)
    cell_bits: int = count("bits of a cell", 1, 8)
    weight_bits: int = count("bits of a stored weight", 1, 16, equal=_OPERATION)
    act_bits: int = count("bits of an activation, one a read", 1, 16, equal=_OPERATION)
    adc_levels: int = count("codes of an ADC", 2, 65536)
    columns_per_adc: int = count("columns that share an ADC", 1, 4096)
    node_nm: float = quantity("CMOS node", "nm", 5, 250, equal=_TECHNOLOGY)
    ron_ohm: float = quantity("lowest resistance of a cell", "ohm", 1e2, 1e9, equal=_TECHNOLOGY)
    roff_ohm: float = quantity("highest resistance of a cell", "ohm", 1e2, 1e12, equal=_TECHNOLOGY)
    read_v: float = quantity("read voltage", "V", 0.01, 5, equal=_TECHNOLOGY)
    pulse_s: float = quantity("length of a read pulse", "s", 1e-11, 1e-5, equal=_TECHNOLOGY)
    clock_hz: float | None = quantity(
        "clock of the chip; without, the delay of an ADC sets it", "Hz", 1e5, 1e11, optional=True
    )
    cell_energy_j: tuple[float, ...] | None = numbers(
        "energy of a read, by what the cell stores; without, its resistances set it",
        *("J", 0, 1e-9),
        equal=_TECHNOLOGY,
    )
    adc_energy_j: float | None = quantity(
        "energy of a conversion; without, a model of the ADC sets it",
        *("J", 1e-17, 1e-8),
        optional=True,
    )
    row_gating: Literal["registers"] | None = choice(
        "what keeps masked rows of a page from being driven; without, nothing does",
        "registers",
        optional=True,
    )
    activations: Literal["gelu", "relu"] | None = choice(
        "non-linearity whose output is assumed where activations are unknown; without, the "
        "network's own",
        *("gelu", "relu"),
        optional=True,
    )
    mapping: Literal["reference", "array"] = choice(
        "tiles with copies, as in the reference simulator, or the arrays that are needed",
        *("reference", "array"),
        equal="utilisation means something else",
    )
    counting: Literal["reference", "exact"] = choice(
        "vectors without padding and operations without stride, as in the reference simulator, "
        "or what there is",
        *("reference", "exact"),
        equal="vectors and operations mean something else",
    )
    efficiency_divisor: float = quantity(
        "what TOPS/W is divided by beyond energy", "1", 1, 2, equal="TOPS/W means something else"
    )
    shift: Literal["fused", "lanes", "in_place"] = choice(
        "in the addresses of the next read, in eight lanes, or in one module channel by channel",
        *("fused", "lanes", "in_place"),
    )
    shift_clock_hz: float = quantity("clock of the shift module", "Hz", 1e5, 1e11)
    shift_energy_j: float = quantity(
        "energy of a moved pixel at 28 nm", "J", 1e-17, 1e-9, equal=_TECHNOLOGY
    )
    shift_energy_divisor: float = quantity(
        "from that energy, of 28 nm, to 22 nm; to other nodes by the same power of the node",
        *("1", 0.1, 100),
        equal=_TECHNOLOGY,
    )

    def __post_init__(self) -> None:
        for key in keys():
            if error := key.check(getattr(self, key.name)):
                raise ConfigError(f"{key.name} {error}", key.name)
        self._check("cell_bits", "at most weight_bits", self.weight_bits)
        self._check("columns_per_adc", "at most array_columns", self.array_columns)
        self._check("ron_ohm", "less than roff_ohm", self.roff_ohm, less=True)
        if self.cell_energy_j is not None and len(self.cell_energy_j) != 1 << self.cell_bits:
            raise ConfigError(
                f"cell_energy_j must have a value for each of the {1 << self.cell_bits} levels of "
                f"a cell, not {len(self.cell_energy_j)}",
                "cell_energy_j",
            )
        if self.row_gating is not None and self.cell_energy_j is None:
            raise ConfigError(
                "row_gating must be with cell_energy_j, not without: "
                "what a row saves follows from its cells",
                "row_gating",
            )

    def _check(self, name: str, rule: str, limit: float, *, less: bool = False) -> None:
        value = getattr(self, name)
        if value > limit or (less and value == limit):
            raise ConfigError(f"{name} must be {rule} {limit:g}, not {value:g}", name)

    def simulated(self, network: str) -> str:
        """Return the name of the network that is simulated where ``network`` is asked for."""
        name: str = self.networks.get(network, {}).get("simulated", network)
        return name

    def for_network(self, network: str) -> Config:
        """Return the configuration with the values that hold for one network."""
        changed = dict(self.networks.get(network, {}))
        changed.pop("simulated", None)
        sources = {key: self.sources.get(f"networks.{network}.{key}", "") for key in changed}
        return dataclasses.replace(
            self, networks={}, sources=dict(self.sources) | sources, **changed
        )


def keys() -> Iterator[Key]:
    """Yield the keys of a configuration, in their order."""
    for field in dataclasses.fields(Config):
        if "key" in field.metadata:
            key: Key = field.metadata["key"]
            yield dataclasses.replace(key, name=field.name)


def differences(one: Config, other: Config) -> tuple[str, ...]:
    """Return why two configurations cannot be compared; nothing if they can.

    Keys without a reason to be equal are what a design may choose.
    """
    found = []
    for key in keys():
        values = getattr(one, key.name), getattr(other, key.name)
        if key.equal and values[0] != values[1]:
            shown = " and ".join(map(key.show, values))
            found.append(f"{key.name} must be equal, not {shown}: {key.equal}")
    return tuple(found)
