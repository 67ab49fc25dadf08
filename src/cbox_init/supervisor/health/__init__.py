"""Health checks of running instances; imported only where a process has one."""
