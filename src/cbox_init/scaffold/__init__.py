"""What ``scaffold`` writes: a configuration for a kind of application, and files to run it in a container.

`presets` has the kinds, `detect` finds the one that fits a directory, `render` makes the texts from the files
in `templates`, and `write` puts them into a directory.
"""
