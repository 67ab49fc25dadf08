"""Makes a configuration from the files of other process managers. Imported by ``cbox-init import`` alone.

One module reads one format: from the text of a file to `model.Imported`, with a note for each key that is not
carried over. `source` reads the files, `combine` makes one configuration of several, `writer` its YAML.
"""
