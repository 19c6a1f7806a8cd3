"""Commands for those who run a cluster: what is wrong, what may be stopped, how well copies are spread.

They look at the rings in a directory and ask the servers named there, or, with the data
directory of `objstore serve`, the devices themselves.
"""
