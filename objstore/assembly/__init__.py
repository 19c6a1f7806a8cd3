"""Wiring: from settings to objects to running processes.

Knows all layers below and decides nothing that one of them could decide. Writes no text to the terminal: commands
are in `cli`.
"""
