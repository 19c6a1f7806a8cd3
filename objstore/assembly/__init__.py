"""Wiring: from settings to objects to running processes.

It knows all layers below, makes no decision that belongs to one of them, and writes nothing to the terminal: commands
are in `cli`.
"""
