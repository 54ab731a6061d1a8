# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: RTL without torch, networks without Amaranth, leaves without either."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = {
    "hw.params", "hw.tile_params", "hw.lfsr_params", "hw.row_masks", "hw.formula", "hw.timing",
    "hw.skip_timing", "hw.accesses", "hw.cli", "hw.accelerator_params", "hw.pages", "hw.plan",
    "hw.image",
    "model.golden", "model.images", "model.layer_shape", "model.layers",
    "model.cifar", "model.picture", "model.image_folder",
    "model.intnet", "model.intnet_check", "model.intnet_codec", "model.intnet_layers",
    "model.intnet_maps", "model.intnet_rules", "model.schedule", "model.ranges",
    "model.executor", "model.fast_executor", "model.agreement", "model.random_intnet",
    "model.random_layers",
    "model.onnx_export", "model.onnx_graph", "model.onnx_layers", "model.onnx_runtime",
    "model.qonnx_graph", "model.qonnx_runtime", "model.compress_report", "model.shrink",
    "model.cell_energy",
}  # fmt: skip
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in ("hw", "model")
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)
LEAVES |= {module for module in MODULES if module.startswith("model.cost.")}


GROUPS = {
    "leaves": ({"torch", "amaranth"}, sorted(LEAVES)),
    "RTL": ({"torch"}, [name for name in MODULES if name.startswith("hw.")]),
    "networks": ({"amaranth"}, [name for name in MODULES if name.startswith("model.")]),
}
"""What must not be imported, by whom."""


def imported(*modules):
    """Names of the packages that importing the modules brings in."""
    code = f"import sys, {', '.join(modules)}; print(*{{n.split('.')[0] for n in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("group", GROUPS)
def test_layers(group):
    forbidden, modules = GROUPS[group]
    # Together they bring in whatever one of them does; which one, is asked only if one does.
    if imported(*modules) & forbidden:
        guilty = {module: imported(module) & forbidden for module in modules}
        assert not {module: found for module, found in guilty.items() if found}


def test_the_check_can_fail():
    assert "amaranth" in imported("hw.lfsr_params", "hw.shift")
    assert "torch" in imported("model.shift")


def test_every_leaf_is_there():
    assert set(MODULES) >= LEAVES


@pytest.mark.parametrize(
    "package", ["hw", "model", "model.cost", "model.zoo", "cosim", "fpga", "scripts"]
)
def test_package_files_hold_a_docstring_only(package):
    lines = (ROOT / package.replace(".", "/") / "__init__.py").read_text().splitlines()
    assert lines[0] == "# SPDX-License-Identifier: Apache-2.0"
    assert lines[1].startswith('"""')
    assert lines[-1].endswith('"""')


def test_every_python_file_names_its_licence():
    files = [p for p in ROOT.rglob("*.py") if not {".venv", "build"} & set(p.parts)]
    missing = [
        p for p in files if not p.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n")
    ]
    assert files
    assert missing == []
