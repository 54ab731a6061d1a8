// SPDX-License-Identifier: Apache-2.0
// The shift module with its memory, in plain Verilog: each direction, twice, compared with what
// the text of Algorithm 1 says. Ends with $fatal if a pixel differs or `done` is late.
`timescale 1ns / 1ps

module shift_bench;
  localparam HEIGHT = 16, WIDTH = 16, BITS = 8, ROW_BITS = 4, COLUMN_BITS = 4;

  reg clk = 0, rst = 1, start = 0;
  reg [2:0] direction = 0;
  wire ready, done, mem_we;
  wire [ROW_BITS+COLUMN_BITS-1:0] mem_addr;  // {row, column}
  wire [BITS-1:0] mem_wdata;
  reg [BITS-1:0] mem_rdata;

  // Read-first, one port: a write cycle reads the old word.
  reg [BITS-1:0] memory[0:HEIGHT*WIDTH-1];
  always @(posedge clk) begin
    mem_rdata <= memory[mem_addr];
    if (mem_we) memory[mem_addr] <= mem_wdata;
  end

  shift_module dut (.*);

  always #5 clk = !clk;

  reg [BITS-1:0] original[0:HEIGHT*WIDTH-1];
  integer moves, row, column, from_row, from_column, down, right, cycles, place;
  reg [BITS-1:0] wanted;

  initial begin
    repeat (2) @(negedge clk);
    rst = 0;
    for (moves = 0; moves < 16; moves = moves + 1) begin
      for (place = 0; place < HEIGHT * WIDTH; place = place + 1) begin
        original[place] = $urandom;
        memory[place] = original[place];
      end
      @(negedge clk);
      direction = moves;
      start = 1;
      @(negedge clk);
      start = 0;
      cycles = 2;
      while (!done) begin
        @(negedge clk);
        cycles = cycles + 1;
        if (cycles > HEIGHT * WIDTH + 2) $fatal(1, "done is late");
      end
      @(negedge clk);
      // LEFT, RIGHT, UP, DOWN, LEFT_UP, RIGHT_UP, LEFT_DOWN, RIGHT_DOWN
      case (moves % 8)
        2, 4, 5: down = -1;
        3, 6, 7: down = 1;
        default: down = 0;
      endcase
      case (moves % 8)
        0, 4, 6: right = -1;
        1, 5, 7: right = 1;
        default: right = 0;
      endcase
      for (row = 0; row < HEIGHT; row = row + 1)
        for (column = 0; column < WIDTH; column = column + 1) begin
          from_row = row - down;
          from_column = column - right;
          wanted = 0;
          if (from_row >= 0 && from_row < HEIGHT && from_column >= 0 && from_column < WIDTH)
            wanted = original[from_row*WIDTH+from_column];
          if (memory[row*WIDTH+column] !== wanted)
            $fatal(1, "direction %0d, pixel %0d, %0d: %h, not %h", moves % 8, row, column,
                   memory[row*WIDTH+column], wanted);
        end
    end
    $display("PASS: 16 channels shifted");
    $finish;
  end
endmodule
