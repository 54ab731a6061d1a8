// SPDX-License-Identifier: Apache-2.0
// The accelerator's ports behind a thin C interface; cosim/fast.py is its other side. Each call
// drives them for as many cycles as it has beats: what is loaded here is loaded through the
// hardware's own ports. `Dut` is that of compiled.cpp.

// Verilator's ports are little-endian words, as beats are. It writes a double underscore as ___05F.
template <class Port>
static void put(Port& port, const uint32_t* beat) {
  std::memcpy(&port, beat, sizeof port);
}

extern "C" {

#define LOAD(stream)                                                                \
  void load_##stream(Dut* dut, const uint32_t* beats, size_t count, size_t words) { \
    dut->model.stream##___05Fvalid = 1;                                             \
    for (size_t beat = 0; beat < count; beat++) {                                   \
      put(dut->model.stream##___05Fpayload, beats + beat * words);                  \
      dut->tick();                                                                  \
    }                                                                               \
    dut->model.stream##___05Fvalid = 0;                                             \
  }

LOAD(program)
LOAD(entries)
LOAD(channels)
LOAD(affines)

void map_write(Dut* dut, uint32_t buffer, uint32_t bank, const uint32_t* addresses,
               const uint32_t* values, size_t count) {
  dut->model.host_buffer = buffer;
  dut->model.host_bank = bank;
  dut->model.host_we = 1;
  for (size_t word = 0; word < count; word++) {
    dut->model.host_addr = addresses[word];
    dut->model.host_wdata = values[word];
    dut->tick();
  }
  dut->model.host_we = 0;
}

void map_read(Dut* dut, uint32_t buffer, uint32_t bank, const uint32_t* addresses,
              uint32_t* values, size_t count) {
  dut->model.host_buffer = buffer;
  dut->model.host_bank = bank;
  for (size_t word = 0; word < count; word++) {
    dut->model.host_addr = addresses[word];
    dut->tick();
    values[word] = dut->model.host_rdata;
  }
}

void logits_read(Dut* dut, int32_t* values, size_t count) {
  for (size_t number = 0; number < count; number++) {
    dut->model.logit = number;
    dut->tick();
    values[number] = dut->model.logit_value;
  }
}

// Cycles after that of `start` in which the accelerator is not ready; at most `limit`.
uint64_t dut_run(Dut* dut, int step, uint64_t limit) {
  uint64_t cycles = 0;
  dut->model.step = step;
  dut->model.start = 1;
  dut->tick();
  dut->model.start = 0;
  dut->model.eval();
  while (!dut->model.ready && cycles < limit) {
#if WAVES
    dut->tick();
#else
    advance(*dut, *dut->model.rootp, 0);
#endif
    cycles++;
  }
  return cycles;
}

void counters_read(Dut* dut, uint64_t* values) {
  values[0] = dut->model.conversions;
  values[1] = dut->model.active_wordlines;
  values[2] = dut->model.sampled_pages;
  values[3] = dut->model.map_writes;
}
}
