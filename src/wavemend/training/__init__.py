"""Training of restoration networks on clean sound, damaged on the fly, and on pairs."""
