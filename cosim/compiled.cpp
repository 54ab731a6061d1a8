// SPDX-License-Identifier: Apache-2.0
// A module's compiled model with a clock: what the harnesses of cosim/compiled.py share.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "Vdut.h"
#include "Vdut___024root.h"
#include "verilated.h"
#if WAVES
#include "verilated_vcd_c.h"
#endif
#if COVERAGE
#include "verilated_cov.h"
#endif

// No register takes the falling edge, so Verilator need only be told that the clock is low: that
// saves every other evaluation. Where it keeps the last clock under another name, it is evaluated.
template <class Root>
auto fall(Vdut&, Root& root, int) -> decltype(void(root.__Vtrigprevexpr___TOP__clk__0)) {
  root.__Vtrigprevexpr___TOP__clk__0 = 0;
}

template <class Root>
void fall(Vdut& model, Root&, long) {
  model.clk = 0;
  model.eval();
}

// While no input changes, a cycle is nothing but what happens at the rising edge, and Verilator's
// function for that can be called itself: eval() would first follow all inputs through the logic
// behind them. Where Verilator keeps it under another name, or something else than the clock makes
// the model act, a tick does the same.
#if CLOCK_ONLY
template <class Dut, class Root>
auto advance(Dut&, Root& root, int)
    -> decltype(void(root.__VnbaTriggered[0]), Vdut___024root___eval_nba(&root)) {
  root.__VnbaTriggered[0] = 1;
  Vdut___024root___eval_nba(&root);
  root.__VnbaTriggered[0] = 0;
}
#endif

template <class Dut, class Root>
void advance(Dut& dut, Root&, long) {
  dut.tick();
}

struct Dut {
  VerilatedContext context;
  Vdut model{&context, "dut"};

#if WAVES
  VerilatedVcdC waves;

  void tick() {
    for (int level = 0; level < 2; level++) {
      model.clk = level;
      model.eval();
      if (waves.isOpen()) waves.dump(context.time());
      context.timeInc(1);
    }
  }
#else
  void tick() {
    fall(model, *model.rootp, 0);
    model.clk = 1;
    model.eval();
  }
#endif
};

extern "C" {

Dut* dut_open() {
  Dut* dut = new Dut;
#if WAVES
  dut->context.traceEverOn(true);
  dut->model.trace(&dut->waves, 99);
#endif
  dut->model.rst = 1;
  dut->tick();
  dut->tick();
  dut->model.rst = 0;
  dut->model.eval();
  return dut;
}

#if WAVES
void waves_open(Dut* dut, const char* file) {
  dut->waves.open(file);
}
#endif

#if COVERAGE
void coverage_write(Dut* dut, const char* file) {
  dut->context.coveragep()->write(file);
}
#endif

void dut_close(Dut* dut) {
#if WAVES
  dut->waves.close();
#endif
  dut->model.final();
  delete dut;
}
}
