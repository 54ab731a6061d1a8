# SPDX-License-Identifier: Apache-2.0
"""What a network costs on RRAM crossbars with a digital shift: area, latency, energy."""
