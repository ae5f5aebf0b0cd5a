"""Fleets and short scripts to start from; the wheel takes only the two fleets along."""
