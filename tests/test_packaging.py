# SPDX-License-Identifier: Apache-2.0
"""What an installation holds: all packages with the files that they read, and nothing else."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = [package.replace(".", "/") for package in SETUPTOOLS["packages"]]
READ_BY_PEOPLE = {"fpga/Makefile", "fpga/protocol.md"}


def held(data):
    """Return the files of an installation with these patterns of data, by package."""
    patterns = [
        *(f"{package}/*.py" for package in PACKAGES),
        *(f"{name.replace('.', '/')}/{each}" for name, them in data.items() for each in them),
    ]
    return {str(file.relative_to(ROOT)) for pattern in patterns for file in ROOT.glob(pattern)}


def present():
    tops = {Path(package).parts[0] for package in PACKAGES}
    files = [file for top in tops for file in (ROOT / top).rglob("*") if file.is_file()]
    return {
        str(file.relative_to(ROOT)) for file in files if not {"__pycache__"} & set(file.parts)
    } - READ_BY_PEOPLE


def test_an_installation_holds_all_that_the_packages_read():
    assert held(SETUPTOOLS["package-data"]) == present()
    # The control: a pattern that is missing.
    data = dict(SETUPTOOLS["package-data"])
    data["model.cost"] = [each for each in data["model.cost"] if each != "report.html"]
    assert present() - held(data) == {"model/cost/report.html"}


@pytest.mark.slow
def test_a_wheel_prices_a_network_outside_the_repository(tmp_path):
    tree = tmp_path / "tree"
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        tree.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tree)
    for top in {Path(package).parts[0] for package in PACKAGES} | {"tests", "scripts", "docs"}:
        shutil.copytree(ROOT / top, tree / top, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path,
         tree], check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "installed")
    assert names == held(SETUPTOOLS["package-data"])
    done = subprocess.run(
        [sys.executable, "-m", "model.cost", "psp_64_4", "--totals", "--html", "x.html"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "x.html").read_text().startswith("<!DOCTYPE html>")
