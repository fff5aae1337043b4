"""What carries a repair: blocks, latency, spectra, regions and crossfades."""
