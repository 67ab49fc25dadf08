/* The real program of the bundle: Python with the modules of the bundle and nothing else.
 *
 *   program FOLDER cbox-init [ARGUMENT]...   runs cbox-init
 *   program FOLDER python [ARGUMENT]...      is a plain interpreter; the daemon starts it to fork children with
 *                                            limits (system/fork_server.py)
 */
#include <Python.h>

#include <limits.h>
#include <string.h>
#include <sys/prctl.h>

extern char **environ;

enum { ARGV0, FOLDER, MODE, FIRST };

/* Move the arguments to the front of the memory in which the kernel shows them to `ps`: launcher.c has put
 * those of the loader there. */
static void hide_loader(int argc, char **argv)
{
    char loader[PATH_MAX + 64];
    int size = snprintf(loader, sizeof loader, "cbox-init%c--inhibit-cache%c--library-path%c%s/lib%c--argv0", 0, 0, 0,
                        argv[FOLDER], 0) + 1;
    char *to = argv[ARGV0] - size, *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;
    if (memcmp(to, loader, size) != 0)
        return;
    for (int index = 0; index < argc; index++) {
        size_t length = strlen(argv[index]) + 1;
        if (index == FOLDER || index == MODE) {
            /* Not shown. They stay readable until here only. */
            continue;
        }
        memmove(to, argv[index], length);
        argv[index] = to;
        to += length;
    }
    memset(to, 0, end - to);
}

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

static wchar_t *text_of(const char *format, const char *folder)
{
    char text[PATH_MAX + 64];
    snprintf(text, sizeof text, format, folder);
    wchar_t *decoded = Py_DecodeLocale(text, 0);
    if (!decoded)
        check(PyStatus_NoMemory());
    return decoded;
}

static void set(PyConfig *config, wchar_t **key, const char *format, const char *folder)
{
    wchar_t *text = text_of(format, folder);
    check(PyConfig_SetString(config, key, text));
    PyMem_RawFree(text);
}

static void append(PyWideStringList *list, const char *format, const char *folder)
{
    wchar_t *text = text_of(format, folder);
    check(PyWideStringList_Append(list, text));
    PyMem_RawFree(text);
}

int main(int argc, char **argv)
{
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "\1D_", 3) == 0) /* as launcher.c says */
            (*variable)[0] = 'L';
    if (argc < FIRST) {
        fprintf(stderr, "cbox-init: start the program cbox-init in the folder of the bundle, not this one\n");
        return 127;
    }
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", argv[FOLDER]);
    int python = strcmp(argv[MODE], "python") == 0;
    hide_loader(argc, argv);
    argv[MODE] = argv[ARGV0];
    argc -= MODE;
    argv += MODE;
    prctl(PR_SET_NAME, python ? "python3" : "cbox-init"); /* it has the loader's */

    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    check(Py_PreInitialize(&before));

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.install_signal_handlers = 1;
    config.parse_argv = python;
    check(PyConfig_SetBytesArgv(&config, argc, argv));
    set(&config, &config.program_name, "%s/lib/python3", folder);
    set(&config, &config.executable, "%s/lib/python3", folder);
    set(&config, &config.base_executable, "%s/lib/python3", folder);
    set(&config, &config.home, "%s/lib", folder);
    set(&config, &config.prefix, "%s/lib", folder);
    set(&config, &config.base_prefix, "%s/lib", folder);
    set(&config, &config.exec_prefix, "%s/lib", folder);
    set(&config, &config.base_exec_prefix, "%s/lib", folder);
    set(&config, &config.stdlib_dir, "%s/lib/modules", folder);
    config.module_search_paths_set = 1;
    append(&config.module_search_paths, "%s/lib/modules", folder);
    append(&config.module_search_paths, "%s/lib/rare.zip", folder);
    if (!python)
        check(PyConfig_SetString(&config, &config.run_command, L"from cbox_init.__main__ import main; main()"));
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    return Py_RunMain();
}
