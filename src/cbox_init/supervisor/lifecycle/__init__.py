"""The start and the end of the whole: hooks, readiness, exits of children, the orderly shutdown."""
