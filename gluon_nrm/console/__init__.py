"""The terminal: start and end of tools, output that survives a closed terminal, progress bars, signals."""
