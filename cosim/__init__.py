# SPDX-License-Identifier: Apache-2.0
"""Co-simulation and proof: the generated hardware against the integer reference."""
