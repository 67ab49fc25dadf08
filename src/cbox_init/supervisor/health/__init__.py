"""Health checks of running instances; imported only when a process has one."""
