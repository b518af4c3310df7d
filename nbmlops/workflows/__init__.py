"""One module a verb: wires the rooms below, and says nothing of notebooks or terminals."""
