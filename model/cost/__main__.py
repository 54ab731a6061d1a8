# SPDX-License-Identifier: Apache-2.0
"""Command line of the cost simulator: ``python -m model.cost psp_256_12``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hw import cli, disk
from hw.params import ParameterError
from model import intnet
from model.cost.compare import incomparable
from model.cost.config import Config
from model.cost.config_file import NAMES
from model.cost.config_file import load as load_config
from model.cost.doubts import doubts
from model.cost.layers import Network
from model.cost.networks import load
from model.cost.overrides import override
from model.cost.report import page
from model.cost.results import layers_csv, record
from model.cost.simulate import ChipCost, simulate
from model.cost.text import comparison, summary, totals

__all__ = ["main"]

PROGRAM = "python -m model.cost"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = cli.Parser(
        PROGRAM, "Area, latency and energy of a network on RRAM crossbars, layer by layer."
    )
    parser.add_argument(
        "network",
        help="a name (psp_256_12), a folder of an integer network, or a JSON list of layers",
    )
    parser.add_argument("--compare", nargs="+", metavar="NETWORK", help="others beside it")
    parser.add_argument(
        "--config",
        default="date2024_22nm",
        help=f"design point: {', '.join(NAMES)}, or a file .toml",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="KEY=VALUE",
        help="another value of a key, in the key's unit; may be repeated",
    )
    parser.add_argument(
        "--counters",
        type=Path,
        metavar="FILE",
        help="activity of the first network, as `cosim.run --counters` has counted it in RTL",
    )
    parser.add_argument("--totals", action="store_true", help="print no layers and components")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line a layer")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts")
    options = parser.parse_args(arguments)
    if options.json and options.totals:
        cli.bad_input(PROGRAM, "--totals must come without --json, which has everything")
    names = [options.network, *(options.compare or ())]
    try:
        disk.check_files({"--csv": options.csv, "--html": options.html}, _read(options, names))
        config = load_config(options.config)
        _check_others(names, counted=options.counters is not None)
        sources = [config.simulated(name) for name in names]
        networks = _told_apart(
            sources,
            [
                _network(source, options.counters if number == 0 else None)
                for number, source in enumerate(sources)
            ],
        )
        costs = [
            simulate(network, _chosen(config, name, options.set or ()))
            for name, network in zip(names, networks, strict=True)
        ]
    except (ParameterError, disk.OutputError) as error:
        cli.bad_input(PROGRAM, error)
    warnings = _warnings(config, names, costs, options.set or ())
    _write(options.csv, layers_csv(costs))
    if options.html:
        _write(options.html, page(costs, warnings))
    if options.json:
        print(_json(costs, networks, warnings))
        return 0
    print(_text(costs, warnings, totals if options.totals else summary))
    for file in filter(None, (options.csv, options.html)):
        print(file)
    return 0


def _read(options: argparse.Namespace, names: Sequence[str]) -> Iterator[Path]:
    """Yield the files that may be read, of which some need not exist."""
    yield from filter(None, (Path(options.config), options.counters))
    for name in map(Path, names):
        yield from (name, *intnet.files(name))


def _place(source: str) -> Path | None:
    """Return where a network lies; None of one that is known by name."""
    return Path(source).resolve() if source and Path(source).exists() else None


def _check_others(names: Sequence[str], *, counted: bool) -> None:
    """Refuse a network beside itself, unless activity is ``counted`` of the first alone."""
    known: set[Path | str] = set()
    for number, name in enumerate(names):
        one = _place(name) or name
        if one in known:
            raise ParameterError(f"--compare must name other networks, not {name} once more")
        if not (counted and number == 0):
            known.add(one)


def _told_apart(sources: Sequence[str], networks: Sequence[Network]) -> list[Network]:
    """Name networks that lie in files of one name by as much of their paths as tells them apart."""
    found = []
    places = [_place(source) for source in sources]
    for network, place in zip(networks, places, strict=True):
        others = {
            other
            for each, other in zip(networks, places, strict=True)
            if each.name == network.name and other != place
        }
        if place is not None and others:
            ends = {other.parts for other in others if other is not None}
            count = 2
            while any(parts[-count:] == place.parts[-count:] for parts in ends):
                count += 1
            network = dataclasses.replace(network, name="/".join(place.parts[-count:]))
        found.append(network)
    return found


def _network(source: str, counters: Path | None) -> Network:
    """Return a network; one in a folder is called after it, which tells its bits as well."""
    network, folder = load(source, counters=counters), Path(source).resolve()
    if not folder.is_dir():
        return network
    # build/psp_64_4_int8/intnet, as scripts.flow leaves it, is psp_64_4_int8's.
    name = folder.parent.name if folder.name == "intnet" else folder.name
    return dataclasses.replace(network, name=name)


def _chosen(config: Config, name: str, settings: Sequence[str]) -> Config:
    return override(config.for_network(name), settings)


def _warnings(
    config: Config, names: Sequence[str], costs: Sequence[ChipCost], settings: Sequence[str]
) -> list[str]:
    """Return what keeps networks and settings from being what was asked for, or from comparing."""
    found = [
        f"{config.simulated(name)} is simulated for {name}, as {config.name} says"
        for name in names
        if config.simulated(name) != name
    ]
    keys = {setting.partition("=")[0] for setting in settings}
    doubted = dict.fromkeys(line for cost in costs for line in doubts(cost, keys))
    shown = [
        cost.network if config.simulated(name) == name else name
        for name, cost in zip(names, costs, strict=True)
    ]
    return [*found, *doubted, *incomparable(shown, costs)]


def _text(
    costs: Sequence[ChipCost], warnings: Sequence[str], one: Callable[[ChipCost], str]
) -> str:
    parts = [comparison(costs) if len(costs) > 1 else one(costs[0])]
    parts += ["\n".join(f"  warning: {warning}" for warning in warnings)] if warnings else []
    return "\n\n".join(parts)


def _json(costs: Sequence[ChipCost], networks: Sequence[Network], warnings: Sequence[str]) -> str:
    chips = [record(cost, network.weights) for cost, network in zip(costs, networks, strict=True)]
    return json.dumps({"chips": chips, "warnings": list(warnings)}, indent=1, ensure_ascii=False)


def _write(file: Path | None, text: str) -> None:
    if file is not None:
        try:
            disk.write_file(file, text.encode())
        except disk.OutputError as error:
            cli.bad_input(PROGRAM, error)


if __name__ == "__main__":
    cli.run(main)
