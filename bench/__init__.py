"""cbox-init beside its peers, doing the same work in the same run. `python -m bench` starts it."""
