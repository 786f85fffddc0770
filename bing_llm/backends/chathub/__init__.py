"""Bing Chat's ChatHub: SignalR JSON over WebSocket."""
