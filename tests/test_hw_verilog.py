# SPDX-License-Identifier: Apache-2.0
"""Verilog with a loop for what starts as 0 says the same as Amaranth's, line by line."""

import functools
import json
import operator

from amaranth.back import verilog as amaranth_verilog
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fpga import yosys
from hw import verilog

CONTENTS = {"zeros": [], "words": [3, 0, 0, 7], "wide": [], "first": [1], "zeros_again": [0] * 4}


class Memories(wiring.Component):
    """Memories of four words, one of them of 40 bits."""

    addr: In(2)
    we: In(1)
    data: Out(40)

    def elaborate(self, platform):
        m = Module()
        words_read = []
        for name, words in CONTENTS.items():
            memory = Memory(shape=40 if name == "wide" else 8, depth=4, init=words)
            m.submodules[name] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [write.addr.eq(self.addr), write.en.eq(self.we), write.data.eq(self.addr)]
            m.d.comb += [read.addr.eq(self.addr), read.en.eq(1)]
            words_read.append(read.data)
        m.d.comb += self.data.eq(functools.reduce(operator.xor, words_read))
        return m


def first_contents(text, folder):
    """What Yosys reads of a Verilog text: contents of each memory."""
    (folder / "design.v").write_text(text)
    yosys.run(["read_verilog design.v", "proc", "memory_collect", "write_json design.json"], folder)
    cells = json.loads((folder / "design.json").read_text())["modules"]["top"]["cells"]
    return {
        cell["parameters"]["MEMID"]: cell["parameters"]["INIT"]
        for cell in cells.values()
        if cell["type"] == "$mem_v2"
    }


def test_a_loop_clears_the_memories_that_a_line_each_did(tmp_path):
    text = verilog.emit(Memories(), "top")
    plain = amaranth_verilog.convert(Memories(), name="top", emit_src=False)
    assert text.count("for (word = 0; word < 4; word = word + 1)") == 3
    assert plain.count("] = 8'h") == 16
    assert text.count("] = 8'h") == 8 + 2
    wanted = first_contents(plain, tmp_path)
    assert len(wanted) == len(CONTENTS)
    assert first_contents(text, tmp_path) == wanted
    other = text.replace("word < 4", "word < 3", 1)
    assert first_contents(other, tmp_path) != wanted


def test_the_name_of_a_loop_is_escaped_as_its_memorys_is():
    text = "  initial begin\n    \\m$1 [0] = 8'h00;\n    \\m$1 [1] = 8'h00;\n  end\n"
    assert verilog.ZEROS.sub(verilog._loop, text) == (
        "  initial begin : \\m$1_zeros \n"
        "    integer word;\n"
        "    for (word = 0; word < 2; word = word + 1)\n"
        "      \\m$1 [word] = 8'h00;\n"
        "  end\n"
    )
