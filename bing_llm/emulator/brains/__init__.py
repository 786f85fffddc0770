"""The brains, which decide what the emulator answers."""
