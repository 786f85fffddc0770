"""The ChatHub that the emulator plays: SignalR over a WebSocket, and the HTTP calls around it."""
