"""The name that everything is compared with."""

OURS = "cbox-init"
