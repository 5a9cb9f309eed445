"""Files: atomic writing, bounded reading, locks, paths, typed JSON, CSV and NPZ."""
