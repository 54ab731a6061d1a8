# SPDX-License-Identifier: Apache-2.0
"""From Verilog to Artix-7 with open tools."""
