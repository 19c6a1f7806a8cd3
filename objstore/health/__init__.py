"""The judgement of a cluster: what its hosts report, what state that amounts to, and what is wrong with it.

`probe` asks the servers, `hosts` gathers what they report; `copies`, `state` and `problems` judge it, as pure
functions. Knows nothing of the terminal: `cli.status` and its like show the results.
"""
