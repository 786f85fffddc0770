"""One folder for each service that the client can speak to."""
