# SPDX-License-Identifier: Apache-2.0
"""The README's table of accesses is what the code says; its wider network is one that exists."""

from intnets import random_net

from hw import timing
from hw.accesses import accelerator_accesses, paper_accesses
from hw.image import build
from model import intnet
from scripts import accesses


def test_the_readme_has_the_table():
    assert f"<!-- accesses -->\n{accesses.table()}\n<!-- /accesses -->" in (
        accesses.README.read_text()
    )
    assert accesses.table() not in accesses.README.read_text().replace("40,968", "40,967")


def test_doubled_is_what_a_network_of_that_size_gives():
    net = random_net("skip_over_shift", 7, width=128, depth=8, side=32)
    for mode in ("fused", "in_place"):
        real = build(net, columns=64, columns_per_adc=8, mode=mode).params
        narrow = build(intnet.read(accesses.ZOO), columns=64, columns_per_adc=8, mode=mode).params
        wide = accesses.doubled(narrow)
        assert accelerator_accesses(wide) == accelerator_accesses(real)
        assert paper_accesses(wide) == paper_accesses(real)
        assert timing.accelerator_cycles(wide) == timing.accelerator_cycles(real)
        assert wide.moved == real.moved
        assert accelerator_accesses(narrow) != accelerator_accesses(real)
