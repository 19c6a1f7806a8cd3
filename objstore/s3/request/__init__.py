"""A request: its address, signature, form and body, each checked before it is used."""
