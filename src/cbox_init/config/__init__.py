"""What the configuration file and the environment say: model, reading, checking."""
