"""One file for each resource: the handlers call the supervisor and encode the result, without logic."""
