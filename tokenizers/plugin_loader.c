/* Plugins from shared objects: see plugin_loader.h.
 *
 * A file is looked at before it is handed to the system's loader, so that the commonest mistakes (no such file,
 * not a shared object) get a sentence of ours instead of the loader's.
 */
#include "plugin_loader.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { PATH_CAPACITY = 4096 };

pm_status pm_plugin_error(pm_error *err, pm_plugin_code code, const char *context, const char *message)
{
    static const pm_status statuses[] = {
        [PM_PLUGIN_OK] = PM_OK,
        [PM_PLUGIN_TOO_SMALL] = PM_ERR_INTERNAL,
        [PM_PLUGIN_ARGUMENT] = PM_ERR_ARGUMENT,
        [PM_PLUGIN_FORMAT] = PM_ERR_FORMAT,
        [PM_PLUGIN_UNSUPPORTED] = PM_ERR_UNSUPPORTED,
        [PM_PLUGIN_MEMORY] = PM_ERR_MEMORY,
        [PM_PLUGIN_IO] = PM_ERR_IO,
        [PM_PLUGIN_INTERNAL] = PM_ERR_INTERNAL,
    };
    unsigned index = (unsigned)code;
    if (code == PM_PLUGIN_OK)
        return PM_OK;
    if (index >= sizeof statuses / sizeof statuses[0])
        return pm_fail(err, PM_ERR_INTERNAL, "%s: the plugin returned the unknown code %u", context, index);
    return pm_fail(err, statuses[index], "%s: %s", context,
                   message[0] ? message : pm_status_text(statuses[index]));
}

/* ---- Loading one file ---- */

static pm_status check_file(const char *path, struct stat *info, pm_error *err)
{
    if (stat(path, info) != 0)
        return pm_fail(err, PM_ERR_NOT_FOUND, "plugin '%s': there is no such file", path);
    if (!S_ISREG(info->st_mode))
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s' is not a file", path);
    FILE *file = fopen(path, "rb");
    if (!file)
        return pm_fail(err, PM_ERR_IO, "plugin '%s' cannot be read", path);
    char magic[4] = {0};
    size_t n = fread(magic, 1, sizeof magic, file);
    fclose(file);
#if defined(__ELF__)
    if (n != sizeof magic || memcmp(magic, "\177ELF", 4) != 0)
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s' is not a shared object", path);
#else
    (void)n;
#endif
    return PM_OK;
}

/* The same file under a name of its own: the system's loader takes a name that it has seen for the file that it
 * had then, even where another file has taken its place. So the inode's number is spelled, in "./" and ".//",
 * before the last part of the path. Returns 0 where that does not fit. */
static int spell_inode(const char *path, uint64_t inode, char *out, size_t capacity)
{
    const char *base = strrchr(path, '/') + 1;
    size_t n = (size_t)(base - path);
    if (strlen(path) + 64 * 3 + 1 > capacity)
        return 0;
    memcpy(out, path, n);
    for (; inode != 0; inode >>= 1) {
        size_t length = inode & 1 ? 3 : 2;
        memcpy(out + n, ".//", length);
        n += length;
    }
    memcpy(out + n, base, strlen(base) + 1);
    return 1;
}

static const char *kind_name(uint32_t kind)
{
    return kind == PM_PLUGIN_TOKENIZER ? "tokenizer" : "?";
}

static int has_tokenizer_functions(const pm_tokenizer_api *api)
{
    return api && api->size >= sizeof *api && api->create && api->destroy && api->info && api->token_info &&
           api->encode && api->decode;
}

static pm_status check_plugin(const pm_plugin *plugin, pm_plugin_kind kind, const char *path, pm_error *err)
{
    if (!plugin)
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s': %s() returned NULL", path, PM_PLUGIN_SYMBOL);
    if (plugin->abi_version != PM_PLUGIN_ABI)
        return pm_fail(err, PM_ERR_UNSUPPORTED,
                       "plugin '%s' is made for version %u of the plugin interface, this program for version %u; "
                       "compile it again with this version's pumice/plugin.h",
                       path, plugin->abi_version, PM_PLUGIN_ABI);
    if (plugin->size < sizeof *plugin)
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s': its description has %zu bytes instead of %zu", path,
                       plugin->size, sizeof *plugin);
    if (plugin->kind != (uint32_t)kind)
        return pm_fail(err, PM_ERR_UNSUPPORTED, "plugin '%s' is of kind %u, not a %s (kind %u)", path,
                       plugin->kind, kind_name(kind), (unsigned)kind);
    if (!plugin->name || !plugin->name[0])
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s' has no name", path);
    if (kind == PM_PLUGIN_TOKENIZER && !has_tokenizer_functions(plugin->api))
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s' lacks functions that every tokenizer must have", path);
    return PM_OK;
}

static pm_status load_file(const char *path, pm_plugin_kind kind, pm_plugin_handle *out, pm_error *err)
{
    struct stat info;
    char own_name[PATH_CAPACITY];
    PM_TRY(check_file(path, &info, err));
    if (!spell_inode(path, (uint64_t)info.st_ino, own_name, sizeof own_name))
        return pm_fail(err, PM_ERR_ARGUMENT, "plugin '%s': the path is too long", path);
    pm_plugin_handle handle = {.path = strdup(path)};
    if (!handle.path)
        return pm_fail_memory(err, strlen(path) + 1, "a plugin's path");
    handle.library = dlopen(own_name, RTLD_NOW | RTLD_LOCAL);
    if (!handle.library) {
        const char *reason = dlerror();
        pm_plugin_unload(&handle);
        return pm_fail(err, PM_ERR_FORMAT, "plugin '%s' cannot be loaded: %s", path,
                       reason ? reason : "no reason");
    }
    /* By way of bytes: ISO C has no conversion from an object pointer to a function pointer. */
    void *symbol = dlsym(handle.library, PM_PLUGIN_SYMBOL);
    pm_plugin_entry entry = NULL;
    memcpy(&entry, &symbol, sizeof entry);
    pm_status status = PM_OK;
    if (!entry)
        status = pm_fail(err, PM_ERR_FORMAT, "'%s' is a shared object, but not a plugin: it has no function %s()",
                         path, PM_PLUGIN_SYMBOL);
    if (status == PM_OK) {
        handle.plugin = entry();
        status = check_plugin(handle.plugin, kind, path, err);
    }
    if (status != PM_OK)
        pm_plugin_unload(&handle);
    else
        *out = handle;
    return status;
}

void pm_plugin_unload(pm_plugin_handle *handle)
{
    if (handle->library)
        dlclose(handle->library);
    free(handle->path);
    memset(handle, 0, sizeof *handle);
}

/* ---- The search path ---- */

typedef struct search {
    const char *name;
    char found[PATH_CAPACITY]; /* the plugin's file; empty while it has not been found */
    char places[300];          /* for the message: where it was looked for */
} search;

/* Looks for DIR/NAME.so, where dir is n bytes long. */
static void look_in(search *s, const char *dir, size_t n)
{
    char path[PATH_CAPACITY];
    if (s->found[0] || n == 0 || n > PATH_CAPACITY / 2)
        return;
    int length = snprintf(path, sizeof path, "%.*s/%s.so", (int)n, dir, s->name);
    if (length > 0 && (size_t)length < sizeof path && access(path, F_OK) == 0)
        memcpy(s->found, path, (size_t)length + 1);
    size_t used = strlen(s->places);
    snprintf(s->places + used, sizeof s->places - used, "%s%.*s", used ? ", " : "", (int)n, dir);
}

static void look_in_list(search *s, const char *dirs)
{
    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        look_in(s, dirs, n);
        dirs += n + (dirs[n] == ':');
    }
}

static void look_beside_program(search *s)
{
    static const char *const places[] = {"plugins", "../plugins", "../lib/pumice/plugins"};
    char program[PATH_CAPACITY / 4];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char dir[PATH_CAPACITY / 2];
        int length = snprintf(dir, sizeof dir, "%s/%s", program, places[i]);
        look_in(s, dir, length > 0 ? (size_t)length : 0);
    }
}

/* A name is what a file may be called: so no path can hide in one. */
static int is_file_path(const char *name)
{
    size_t n = strlen(name);
    return strchr(name, '/') != NULL || (n > 3 && strcmp(name + n - 3, ".so") == 0);
}

pm_status pm_plugin_load(const char *name, const char *dirs, pm_plugin_kind kind, pm_plugin_handle *out,
                         pm_error *err)
{
    if (!name[0] || strlen(name) > PATH_CAPACITY / 4)
        return pm_fail(err, PM_ERR_ARGUMENT, "the plugin's name is empty or too long");
    if (is_file_path(name)) {
        char path[PATH_CAPACITY]; /* with a '/', so that the system does not search for it elsewhere */
        snprintf(path, sizeof path, "%s%s", strchr(name, '/') ? "" : "./", name);
        return load_file(path, kind, out, err);
    }
    search s = {.name = name};
    look_in_list(&s, dirs);
    look_in_list(&s, getenv("PUMICE_PLUGIN_PATH"));
    look_beside_program(&s);
    look_in_list(&s, PUMICE_PLUGIN_DIR);
    if (!s.found[0])
        return pm_fail(err, PM_ERR_NOT_FOUND,
                       "there is no %s plugin '%.64s' in %s; set PUMICE_PLUGIN_PATH or give the file",
                       kind_name(kind), name, s.places);
    return load_file(s.found, kind, out, err);
}
