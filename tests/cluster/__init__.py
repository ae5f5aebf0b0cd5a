"""Fleets in parts."""
