"""How each daemon is made from settings and surroundings; `cli.daemons` has the table of all."""
