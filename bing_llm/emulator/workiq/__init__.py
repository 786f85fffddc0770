"""The Work IQ that the emulator plays: conversations and turns over HTTP and server-sent events."""
