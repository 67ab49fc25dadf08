/* The program cbox-init of the bundle: starts the real program with the C library of the bundle.
 *
 * It is linked statically, so that it runs in an image without any C library. The real program is started by
 * the loader of the bundle, with all paths as arguments: no variable of the environment is set, so children
 * get the environment of the container, to the byte. The LD_* variables of the image (LD_PRELOAD is usual in
 * PHP images) are meant for the image's C library and would break ours. Their first letter is changed for the
 * loader; program.c restores it before anything reads the environment.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;

static int fail(const char *text, const char *path, const char *hint)
{
    dprintf(2, "cbox-init: %s %s: %s; %s\n", text, path, strerror(errno), hint);
    return 127;
}

/* The path of this file with all links followed, or 0. */
static char *own_path(char *buffer)
{
    ssize_t size = readlink("/proc/self/exe", buffer, PATH_MAX - 1);
    if (size > 0 && buffer[0] == '/') {
        buffer[size] = 0;
        return buffer;
    }
    /* /proc is not mounted. */
    const char *name = (const char *)getauxval(AT_EXECFN);
    return name ? realpath(name, buffer) : 0;
}

int main(int argc, char **argv)
{
    static char folder[PATH_MAX], loader[PATH_MAX + 32], libraries[PATH_MAX + 32], program[PATH_MAX + 32];
    char *own = own_path(folder), *name;
    if (!own || !(name = strrchr(folder, '/')))
        return fail("cannot find its own folder by", "/proc/self/exe", "mount /proc");
    *name++ = 0;
    int python = strcmp(name, "python3") == 0; /* in lib, a copy of this file: what sys.executable is */
    if (python && (name = strrchr(folder, '/')))
        *name = 0;
    snprintf(loader, sizeof loader, "%s/lib/%s", folder, LOADER);
    snprintf(libraries, sizeof libraries, "%s/lib", folder);
    snprintf(program, sizeof program, "%s/lib/program", folder);

    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "LD_", 3) == 0)
            (*variable)[0] = '\1';

    /* program.c knows these arguments, to remove them from what `ps` shows: change both. */
    char *arguments[argc + 10];
    int count = 0;
    arguments[count++] = "cbox-init";
    arguments[count++] = "--inhibit-cache";
    arguments[count++] = "--library-path";
    arguments[count++] = libraries;
    arguments[count++] = "--argv0";
    arguments[count++] = argc ? argv[0] : "cbox-init";
    arguments[count++] = program;
    arguments[count++] = folder;
    arguments[count++] = python ? "python" : "cbox-init";
    for (int index = 1; index < argc; index++)
        arguments[count++] = argv[index];
    arguments[count] = 0;

    if (access(program, R_OK) < 0)
        return fail("cannot read", program,
                    "copy the whole folder of the bundle, and start the program in it or a link to it");
    execve(loader, arguments, environ);
    return fail("cannot start", loader,
                errno == EACCES ? "mount the file system without noexec, and keep the modes of the files"
                : errno == ENOEXEC ? "take the bundle of this machine's architecture"
                                   : "copy the whole folder of the bundle");
}
