"""The running thing: processes, their instances, and the commands that steer them."""
