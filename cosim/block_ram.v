// SPDX-License-Identifier: Apache-2.0
// A block RAM of Artix-7 after Xilinx UG473, "7 Series FPGAs Memory Resources": two ports, of which
// one at most writes, after the old word has been read; no output registers, no cascade, no error
// correction. Another mode does not build. cosim/cells.py fills in NAME, BITS (of an address, which
// counts bits), ADDRESS (pins of it), LANES (bytes of a port), and TABLES: the parameters
// INITP_00... and INIT_00..., and vectors INITP and INIT of all of them.

module NAME #(
TABLES
    parameter [9 * LANES - 1:0] INIT_A = 0, INIT_B = 0, SRVAL_A = 0, SRVAL_B = 0,
    parameter RAM_MODE = "TDP", WRITE_MODE_A = "WRITE_FIRST", WRITE_MODE_B = "WRITE_FIRST",
    parameter RAM_EXTENSION_A = "NONE", RAM_EXTENSION_B = "NONE",
    parameter integer READ_WIDTH_A = 0, READ_WIDTH_B = 0, WRITE_WIDTH_A = 0, WRITE_WIDTH_B = 0,
    parameter integer DOA_REG = 0, DOB_REG = 0,
    parameter [0:0] IS_CLKARDCLK_INVERTED = 0, IS_CLKBWRCLK_INVERTED = 0,
    parameter [0:0] IS_ENARDEN_INVERTED = 0, IS_ENBWREN_INVERTED = 0,
    parameter [0:0] IS_RSTRAMARSTRAM_INVERTED = 0, IS_RSTRAMB_INVERTED = 0,
    parameter [0:0] IS_RSTREGARSTREG_INVERTED = 0, IS_RSTREGB_INVERTED = 0
) (
    input CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, RSTRAMARSTRAM, RSTRAMB,
    input REGCEAREGCE, REGCEB, RSTREGARSTREG, RSTREGB,
    input [ADDRESS - 1:0] ADDRARDADDR, ADDRBWRADDR,
    input [8 * LANES - 1:0] DIADI, DIBDI,
    input [LANES - 1:0] DIPADIP, DIPBDIP, WEA,
    input [2 * LANES - 1:0] WEBWE,
    output [8 * LANES - 1:0] DOADO, DOBDO,
    output [LANES - 1:0] DOPADOP, DOPBDOP
);
  // The greatest width is one of SDP alone, where port A reads and port B writes; it has the data
  // pins of both.
  localparam integer WIDE = 18 * LANES;
  localparam integer WIDTH = WRITE_WIDTH_A + WRITE_WIDTH_B;
  localparam integer WRITTEN = WIDTH < 9 ? 1 : WIDTH / 9;  // lanes
  localparam [0:0] SDP = RAM_MODE == "SDP", B_WRITES = WRITE_WIDTH_B != 0;

  generate
    if (DOA_REG != 0 || DOB_REG != 0 || RAM_EXTENSION_A != "NONE" || RAM_EXTENSION_B != "NONE"
        || (SDP ? WRITE_WIDTH_A != 0 || READ_WIDTH_B != 0
                : RAM_MODE != "TDP" || (WRITE_WIDTH_A != 0 && WRITE_WIDTH_B != 0)
                  || WIDTH == WIDE || READ_WIDTH_A == WIDE)
        || (WIDTH != 0 && (B_WRITES ? WRITE_MODE_B : WRITE_MODE_A) != "READ_FIRST"))
      block_ram_in_a_mode_without_model unknown ();
  endgenerate

  wire [1:0] enable = {ENBWREN ^ IS_ENBWREN_INVERTED, ENARDEN ^ IS_ENARDEN_INVERTED};
  wire [1:0] clear = {RSTRAMB ^ IS_RSTRAMB_INVERTED, RSTRAMARSTRAM ^ IS_RSTRAMARSTRAM_INVERTED};
  wire [BITS - 1:0] address_a = ADDRARDADDR[BITS - 1:0], address_b = ADDRBWRADDR[BITS - 1:0];
  wire clock_a = CLKARDCLK ^ IS_CLKARDCLK_INVERTED, clock_b = CLKBWRCLK ^ IS_CLKBWRCLK_INVERTED;

  reg [8:0] words [0:(1 << BITS) / 8 - 1];  // a byte and its parity bit
  integer word;
  initial for (word = 0; word < (1 << BITS) / 8; word = word + 1)
    words[word] = {INITP[word], INIT[8 * word +: 8]};

  wire clock_w = B_WRITES ? clock_b : clock_a;
  wire [BITS - 1:0] address_w = B_WRITES ? address_b : address_a;
  wire [2:0] shift_w = WIDTH < 9 ? address_w[2:0] & -WIDTH : 0;
  wire [8:0] mask_w = WIDTH < 9 ? ((1 << WIDTH) - 1) << shift_w : 9'h1ff;
  wire [16 * LANES - 1:0] data = WIDTH == WIDE ? {DIBDI, DIADI} : B_WRITES ? DIBDI : DIADI;
  wire [2 * LANES - 1:0] parity =
      WIDTH == WIDE ? {DIPBDIP, DIPADIP} : B_WRITES ? DIPBDIP : DIPADIP;
  wire [2 * LANES - 1:0] strobe = B_WRITES ? WEBWE : WEA;

  genvar lane, port;
  generate
    for (lane = 0; lane < WRITTEN && WIDTH != 0; lane = lane + 1) begin : writer
      wire [BITS - 4:0] at = (address_w[BITS - 1:3] & -WRITTEN) + lane;
      wire [8:0] fresh = {parity[lane], data[8 * lane +: 8]} << shift_w;
      always @(posedge clock_w)
        if (enable[B_WRITES] && strobe[lane]) words[at] <= words[at] & ~mask_w | fresh & mask_w;
    end

    for (port = 0; port < 2; port = port + 1) begin : reader
      localparam integer READ_WIDTH = port ? READ_WIDTH_B : READ_WIDTH_A;
      localparam integer READ = READ_WIDTH < 9 ? 1 : READ_WIDTH / 9;  // lanes
      localparam [9 * LANES - 1:0] FIRST = port ? INIT_B : INIT_A;
      wire clock = port ? clock_b : clock_a;
      wire [BITS - 1:0] address = port ? address_b : address_a;
      wire [2:0] shift = READ_WIDTH < 9 ? address[2:0] & -READ_WIDTH : 0;
      reg [16 * LANES - 1:0] out;
      reg [2 * LANES - 1:0] parity_out;
      initial {parity_out, out} =
          READ_WIDTH == WIDE
              ? {INIT_B[9 * LANES - 1:8 * LANES], INIT_A[9 * LANES - 1:8 * LANES],
                 INIT_B[8 * LANES - 1:0], INIT_A[8 * LANES - 1:0]}
              : {FIRST >> 8 * READ, {16 * LANES{1'b0}}} | FIRST & ((1 << 8 * READ) - 1);
      for (lane = 0; lane < READ && READ_WIDTH != 0; lane = lane + 1) begin : lanes
        wire [BITS - 4:0] at = (address[BITS - 1:3] & -READ) + lane;
        always @(posedge clock)
          if (enable[port]) begin
            {parity_out[lane], out[8 * lane +: 8]} <= words[at] >> shift;
            if (clear[port] !== 1'b0) $fatal(1, "the reset of a block RAM has no model");
          end
      end
    end
  endgenerate

  assign {DOPADOP, DOADO} = {reader[0].parity_out[LANES - 1:0], reader[0].out[8 * LANES - 1:0]};
  assign {DOPBDOP, DOBDO} =
      SDP ? {reader[0].parity_out[2 * LANES - 1:LANES], reader[0].out[16 * LANES - 1:8 * LANES]}
          : {reader[1].parity_out[LANES - 1:0], reader[1].out[8 * LANES - 1:0]};
endmodule
