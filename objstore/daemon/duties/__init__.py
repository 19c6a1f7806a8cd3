"""The duties of daemons, one a file, and the parts of the larger ones."""
