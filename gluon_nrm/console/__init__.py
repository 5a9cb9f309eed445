"""The terminal: how tools start and end, lines that survive its closing, progress, signals."""
