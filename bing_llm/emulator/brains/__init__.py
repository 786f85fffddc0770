"""Where the emulator's answers come from."""
