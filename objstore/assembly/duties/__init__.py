"""Makers of daemons from settings and surroundings; `assembly.daemons` has the table of all."""
