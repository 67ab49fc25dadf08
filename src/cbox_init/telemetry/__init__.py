"""What is measured of the processes."""
