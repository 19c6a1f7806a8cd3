"""The judgement of a cluster: the reports of its hosts, the state they describe, and its problems.

`probe` asks the servers, `hosts` gathers what they report; `copies`, `state` and `problems` judge it, as pure
functions. It knows nothing of the terminal: `cli.status` and other commands show the results.
"""
