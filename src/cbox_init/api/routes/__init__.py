"""One file a resource: each calls the supervisor and encodes what it says, and nothing more."""
