/*
 * Counts the lines of child.c, wherever they stand in a daemon's output: a line of JSON, or raw.
 *
 *   count WRITERS LINES [FILE...]      reads the files as they grow, or standard input
 *
 * Ends when all WRITERS x LINES have been seen and nothing more comes for 0.2 s, when nothing has
 * come for 5 s after the first line, at the end of standard input, or on SIGTERM. With LINES 0, the lines
 * have no end, and are only counted. Then writes one JSON object:
 *
 *   lines     with a line of child.c in them
 *   distinct  of these, how many different ones
 *   doubled   that were there already
 *   merged    lines of child.c that share an output line with an earlier one
 *   damaged   whose text is not as it was written
 *   secrets   that hold the secret, and "masked" that hold asterisks in its place
 *   bytes     in all, of anything
 *   last_ns   CLOCK_MONOTONIC when the latest line was read
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT 94 /* of a line, without its newline */
#define HEAD 15
#define BUFFER (1 << 20)
#define LINGER_MS 200
#define PATIENCE_MS 5000
#define FILE_PAUSE_US 2000

static const char filling[] = "the quick brown fox jumps over the lazy dog, and that was that;";

struct source {
    const char *path; /* of a file that may not be there yet; NULL for a pipe */
    int fd;
    size_t kept; /* bytes of a line whose end has not come */
    char *buffer;
};

static long writers, lines_each;
static unsigned char *seen;
static long lines, distinct, doubled, merged, damaged, secrets, masked, bytes;
static int64_t last_ns;
static volatile sig_atomic_t asked_to_end;

static void end(int number)
{
    asked_to_end = number;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static long digits(const char *text, int count)
{
    long value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + text[i] - '0';
    }
    return value;
}

/* The text of one child's line begins at `text`, and has `size` bytes at most. */
static void count_text(const char *text, size_t size)
{
    if (size < HEAD || text[4] != '.' || text[14] != ' ')
        return;
    long writer = digits(text + 1, 3), number = digits(text + 5, 9);
    if (writer < 0 || number < 0)
        return;
    lines++;
    if (size < TEXT || memcmp(text + HEAD + 16, filling, sizeof filling - 1) != 0) {
        damaged++;
        return;
    }
    if (memcmp(text + HEAD, "password=hunter2", 16) == 0)
        secrets++;
    else if (memcmp(text + HEAD, "password=*******", 16) == 0)
        masked++;
    else if (memcmp(text + HEAD, "language=english", 16) != 0) {
        damaged++;
        return;
    }
    if (!lines_each)
        return;
    if (writer >= writers || number >= lines_each) {
        damaged++;
        return;
    }
    long bit = writer * lines_each + number;
    if (seen[bit / 8] & 1 << bit % 8)
        doubled++;
    else
        distinct++;
    seen[bit / 8] |= 1 << bit % 8;
}

static void count_line(const char *line, size_t size)
{
    const char *stop = line + size;
    const char *mark = memchr(line, '#', size);
    for (int first = 1; mark; first = 0) {
        long before = lines;
        count_text(mark, stop - mark);
        merged += !first && lines > before;
        mark = memchr(mark + 1, '#', stop - mark - 1);
    }
}

/* Reads what is there; returns how much, 0 at an end, -1 when nothing can be read. */
static ssize_t take(struct source *source)
{
    ssize_t got = read(source->fd, source->buffer + source->kept, BUFFER - source->kept);
    if (got <= 0)
        return got;
    bytes += got;
    char *line = source->buffer, *stop = line + source->kept + got, *newline;
    long before = lines;
    while ((newline = memchr(line, '\n', stop - line))) {
        count_line(line, newline - line);
        line = newline + 1;
    }
    if (line == source->buffer && stop == source->buffer + BUFFER)
        line = stop; /* longer than any line that could be one of ours */
    source->kept = stop - line;
    memmove(source->buffer, line, source->kept);
    if (lines > before)
        last_ns = now_ns();
    return got;
}

static int over(int64_t heard_ns)
{
    int64_t quiet_ms = (now_ns() - heard_ns) / 1000000;
    if (asked_to_end)
        return 1;
    if (!lines_each || !lines)
        return 0;
    return quiet_ms > (distinct == writers * lines_each ? LINGER_MS : PATIENCE_MS);
}

static void follow_pipe(struct source *source)
{
    int64_t heard_ns = now_ns();
    struct pollfd readable = { source->fd, POLLIN, 0 };
    while (!over(heard_ns)) {
        if (poll(&readable, 1, LINGER_MS / 2) <= 0)
            continue;
        if (take(source) <= 0)
            return;
        heard_ns = now_ns();
    }
}

static void follow_files(struct source *sources, int count)
{
    int64_t heard_ns = now_ns();
    while (!over(heard_ns)) {
        int got = 0;
        for (struct source *source = sources; source < sources + count; source++) {
            if (source->fd < 0)
                source->fd = open(source->path, O_RDONLY);
            got += source->fd >= 0 && take(source) > 0;
        }
        if (got)
            heard_ns = now_ns();
        else
            usleep(FILE_PAUSE_US);
    }
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 64;
    writers = atol(arguments[1]);
    lines_each = atol(arguments[2]);
    int files = count - 3;
    struct source *sources = calloc(files + 1, sizeof *sources);
    seen = calloc(writers * lines_each / 8 + 1, 1);
    if (!sources || !seen)
        return 71;
    for (int i = 0; i < files + !files; i++) {
        sources[i].path = files ? arguments[3 + i] : NULL;
        sources[i].fd = files ? -1 : STDIN_FILENO;
        sources[i].buffer = malloc(BUFFER);
        if (!sources[i].buffer)
            return 71;
    }
    struct sigaction action = { .sa_handler = end }; /* without SA_RESTART: a read ends */
    sigaction(SIGTERM, &action, NULL);

    if (files)
        follow_files(sources, files);
    else
        follow_pipe(sources);
    printf("{\"lines\":%ld,\"distinct\":%ld,\"doubled\":%ld,\"merged\":%ld,\"damaged\":%ld,"
           "\"secrets\":%ld,\"masked\":%ld,\"bytes\":%ld,\"last_ns\":%lld}\n",
           lines, distinct, doubled, merged, damaged, secrets, masked, bytes, (long long)last_ns);
    return 0;
}
