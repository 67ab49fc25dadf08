"""What should happen, as functions of values: no I/O, no clock, no event loop."""
