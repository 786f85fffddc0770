"""The emulator's ChatHub: SignalR over a WebSocket, and the HTTP calls around it."""
