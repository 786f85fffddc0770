"""Work IQ over the Agent2Agent protocol, version 1.0 (docs/protocol/a2a.md)."""
