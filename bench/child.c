/*
 * The child of every measurement: appends when it began to run, and its pid, to the file that
 * BENCH_RECORD names, then does nothing until a signal ends it.
 *
 * A record is two 64-bit integers: CLOCK_MONOTONIC in nanoseconds and the pid. One write with
 * O_APPEND keeps the records of children that start at the same time apart.
 *
 * The first BENCH_WRITERS children to start write lines, too, from when BENCH_GO, a FIFO, has a
 * writer: BENCH_LINES of them (0: without end), BENCH_RATE a second (0: as fast as they can). With
 * BENCH_EXIT it ends at once, well. So the children of one daemon can differ, and every peer's
 * configuration is still N times one program without arguments.
 *
 * A line is 95 bytes: "#WRITER.NUMBER ", 16 bytes that hold a secret in each tenth line, and a
 * filling that ends with ";". count.c knows this, too.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 95
#define HEAD 15 /* "#000.000000000 " */
#define BLOCK (65536 / LINE)

static const char filling[] = "the quick brown fox jumps over the lazy dog, and that was that;\n";
static char block[BLOCK][LINE];

static long number_of(const char *name)
{
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

static void put(char *line, long writer, long number)
{
    number %= 1000000000;
    memcpy(line, "#000.000000000 ", HEAD);
    for (char *digit = line + 3; writer; writer /= 10)
        *digit-- += writer % 10;
    memcpy(line + HEAD, number % 10 ? "language=english" : "password=hunter2", 16);
    memcpy(line + HEAD + 16, filling, LINE - HEAD - 16);
    for (char *digit = line + HEAD - 2; number; number /= 10)
        *digit-- += number % 10;
}

static void send_out(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, data, size);
        if (written <= 0)
            exit(112);
        data += written;
        size -= written;
    }
}

/* A line a write, as a program does that flushes each. */
static void write_at_rate(long writer, long lines, long rate)
{
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (long number = 0; !lines || number < lines; number++) {
        put(block[0], writer, number);
        send_out(block[0], LINE);
        due.tv_nsec += 1000000000 / rate;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}

static void write_all(long writer, long lines)
{
    for (long number = 0; !lines || number < lines;) {
        int filled = 0;
        while (filled < BLOCK && (!lines || number < lines))
            put(block[filled++], writer, number++);
        send_out(block[0], (size_t)filled * LINE);
    }
}

int main(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);

    const char *path = getenv("BENCH_RECORD");
    int file = path ? open(path, O_WRONLY | O_APPEND) : -1;
    int64_t record[2] = { now.tv_sec * INT64_C(1000000000) + now.tv_nsec, getpid() };
    if (file < 0 || write(file, record, sizeof record) != sizeof record)
        return 111;
    /* After a write with O_APPEND the offset is the end of what was written. */
    long order = lseek(file, 0, SEEK_CUR) / (long)sizeof record - 1;
    close(file);
    if (getenv("BENCH_EXIT"))
        return 0;

    const char *go = getenv("BENCH_GO");
    if (go && order < number_of("BENCH_WRITERS")) {
        close(open(go, O_RDONLY)); /* waits for the writer */
        long lines = number_of("BENCH_LINES"), rate = number_of("BENCH_RATE");
        if (rate)
            write_at_rate(order, lines, rate);
        else
            write_all(order, lines);
    }
    for (;;)
        pause();
}
