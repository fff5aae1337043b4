"""Types, files, signal processing and measures. Knows nothing of damage or repair."""
