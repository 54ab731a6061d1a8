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


def wheel(folder, tree):
    """Build a tree's wheel; return its files, unpacked into ``folder``."""
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder,
         tree], check=True,
    )  # fmt: skip
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "installed")
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture
def tree(tmp_path):
    """Return a copy of the repository with what a wheel must not hold beside what it must."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for top in {Path(package).parts[0] for package in PACKAGES} | {"tests", "scripts", "docs"}:
        shutil.copytree(ROOT / top, tree / top, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.mark.slow
def test_a_wheel_generates_and_prices_outside_the_repository(tmp_path, tree):
    assert wheel(tmp_path, tree) == held(SETUPTOOLS["package-data"])
    for command in (
        ["hw.gen", "--fmap", "16"],
        ["model.cost", "psp_64_4", "--totals", "--html", "x.html"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
            capture_output=True, text=True,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "build/shift_16x16x8/shift_module.v").is_file()
    assert (tmp_path / "x.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_a_wheel_that_holds_more_is_noticed(tmp_path, tree):
    project = tree / "pyproject.toml"
    named = 'packages = ["hw", '
    assert named in project.read_text()
    project.write_text(project.read_text().replace(named, 'packages = ["scripts", "hw", '))
    more = wheel(tmp_path, tree) - held(SETUPTOOLS["package-data"])
    assert "scripts/size.py" in more
