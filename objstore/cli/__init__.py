"""Wiring: from settings to objects to running processes, and the commands that do it.

Decides nothing that another layer could decide.
"""
