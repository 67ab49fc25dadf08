"""The supervisor: processes, their instances, and the commands on them."""
