"""The emulator's Work IQ over A2A, version 1.0 (docs/protocol/a2a.md)."""
