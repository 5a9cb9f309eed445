"""The terminal: start and end of commands, signals, progress bars, output that can hold any character."""
