"""Fleets in parts: cut, solved part by part on one machine or many, joined to the run of one process."""
