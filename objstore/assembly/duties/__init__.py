"""How each daemon is made from settings and surroundings; `assembly.daemons` has the table of all."""
