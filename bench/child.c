/*
 * The child of every measurement: appends when it began to run, and its pid, to the file that
 * BENCH_RECORD names, then does nothing until a signal ends it.
 *
 * A record is two 64-bit integers: CLOCK_MONOTONIC in nanoseconds and the pid. One write with
 * O_APPEND keeps the records of children that start at the same time apart.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);

    const char *path = getenv("BENCH_RECORD");
    int file = path ? open(path, O_WRONLY | O_APPEND) : -1;
    int64_t record[2] = { now.tv_sec * INT64_C(1000000000) + now.tv_nsec, getpid() };
    if (file < 0 || write(file, record, sizeof record) != sizeof record)
        return 111;
    close(file);

    for (;;)
        pause();
}
