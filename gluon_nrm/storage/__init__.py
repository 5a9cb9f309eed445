"""Files, written all at once and read within bounds: locks, guarded paths, typed JSON, CSV and NPZ."""
