// SPDX-License-Identifier: Apache-2.0
// A serial line on the pins `rx` and `tx` of a device; cosim/serial.py is its other side. `Dut` is
// that of compiled.cpp.

#include <deque>

struct Level {
  uint8_t level;
  double clocks;
};

struct Line {
  Dut* dut;
  double clocks_per_bit;  // with which `tx` is sampled
  std::deque<Level> levels;  // to come on `rx`
  double sent = 0;  // cycles until the next of them
  double sample = 0;  // cycles until the next sample of `tx`
  int bits = -1;  // samples of this byte so far; -1 between bytes
  unsigned byte = 0;
  uint64_t reset = 0;  // cycles until a reset; 0 for none

  void hold_reset() {
    dut->model.rst = 1;
    dut->tick();
    dut->tick();
    dut->model.rst = 0;
    dut->model.eval();
  }

  void cycle() {
    uint8_t level = dut->model.rx;
    if (sent <= 0) {
      level = 1;
      if (levels.empty()) {
        sent = 0;
      } else {
        level = levels.front().level;
        sent += levels.front().clocks;
        levels.pop_front();
      }
    }
    if (sent > 0) sent -= 1;
    if (reset && --reset == 0) hold_reset();
    if (level != dut->model.rx) {
      dut->model.rx = level;
      dut->tick();
    } else {
      advance(*dut, *dut->model.rootp, 0);
    }
  }

  // Looks at `tx`; says whether that completes a byte. One with a wrong stop bit counts as well:
  // what noise makes of a line is a matter for the receiver of frames.
  bool completes() {
    if (bits < 0) {
      if (dut->model.tx) return false;
      bits = 0;
      byte = 0;
      sample = 1.5 * clocks_per_bit;
    }
    sample -= 1;
    if (sample > 0) return false;
    sample += clocks_per_bit;
    if (bits == 8) {
      bits = -1;
      return true;
    }
    byte |= unsigned(dut->model.tx) << bits++;
    return false;
  }
};

extern "C" {

Line* line_open(double clocks_per_bit) {
  Line* line = new Line{dut_open(), clocks_per_bit};
  line->dut->model.rx = 1;
  line->hold_reset();
  return line;
}

void line_close(Line* line) {
  dut_close(line->dut);
  delete line;
}

void line_send(Line* line, const uint8_t* levels, size_t count, double clocks) {
  for (size_t number = 0; number < count; number++) {
    line->levels.push_back({levels[number], clocks});
  }
}

// Forgets what is on its way in both directions.
void line_clear(Line* line) {
  line->levels.clear();
  line->bits = -1;
}

void line_sample(Line* line, double clocks_per_bit) {
  line->clocks_per_bit = clocks_per_bit;
}

void line_reset(Line* line, uint64_t cycles) {
  line->reset = cycles;
}

int line_busy(Line* line) {
  return line->dut->model.busy;
}

// Runs until a zero byte has been received, `capacity` bytes, or nothing has moved on the line for
// `silence` cycles; at most `limit` cycles. Returns how many bytes there are.
size_t line_run(Line* line, uint8_t* bytes, size_t capacity, uint64_t silence, uint64_t limit,
                uint64_t* cycles) {
  size_t count = 0;
  uint64_t quiet = 0;
  for (*cycles = 0; count < capacity && quiet < silence && *cycles < limit; ++*cycles) {
    line->cycle();
    if (line->completes()) {
      bytes[count++] = line->byte;
      if (line->byte == 0) break;
    }
    const bool moves = line->bits >= 0 || !line->levels.empty() || line->sent > 0;
    quiet = moves ? 0 : quiet + 1;
  }
  return count;
}
}
