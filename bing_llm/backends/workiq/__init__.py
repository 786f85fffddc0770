"""The Work IQ Chat API, and its preview sibling on Microsoft Graph: REST and server-sent events."""
