/* A vocabulary from a file of any kind: what it is shows in what is in it, not in its name.
 *
 * A directory is that of a released model: the best description of its tokenizer is taken. Settings that released
 * models keep in files beside (files_beside.h) are applied to what is read.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/utf8.h"
#include "files_beside.h"
#include "parts/json_tree.h"
#include "vocabulary.h"

typedef enum file_kind {
    KIND_UNKNOWN = 0,
    KIND_GGUF,
    KIND_HF,
    KIND_SENTENCEPIECE,
    KIND_TIKTOKEN,
    KIND_WORDLIST
} file_kind;

static int is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* A line of base64, a space, a number. */
static int starts_with_rank(const char *text, size_t n)
{
    size_t at = 0, digits = 0;
    while (at < n && is_base64(text[at]))
        at++;
    while (at < n && at % 4 != 0 && text[at] == '=')
        at++;
    if (at == 0 || at % 4 != 0 || at == n || text[at++] != ' ')
        return 0;
    for (; at < n && text[at] >= '0' && text[at] <= '9'; at++)
        digits++;
    return digits > 0 && (at == n || text[at] == '\n' || text[at] == '\r');
}

/* A message whose first field is a message whose first field is a string: ModelProto.pieces.piece. */
static int starts_with_piece(const char *bytes, size_t n)
{
    return n > 3 && bytes[0] == 0x0A && (bytes[1] & 0x80) == 0 && bytes[2] == 0x0A && bytes[3] < bytes[1];
}

static int has_unknown_token(const char *text, size_t n)
{
    static const char *const names[] = {"[UNK]", "<unk>"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (memmem(text, n, names[i], strlen(names[i])))
            return 1;
    return 0;
}

static file_kind recognise(const char *bytes, size_t n)
{
    size_t at = 0;
    if (n >= 4 && memcmp(bytes, "GGUF", 4) == 0)
        return KIND_GGUF;
    while (at < n && strchr(" \t\r\n", bytes[at]) && bytes[at])
        at++;
    if (at < n && bytes[at] == '{')
        return KIND_HF;
    if (starts_with_piece(bytes, n))
        return KIND_SENTENCEPIECE;
    if (starts_with_rank(bytes, n))
        return KIND_TIKTOKEN;
    size_t bad;
    size_t start = n < 4096 ? n : 4096;
    int is_text = n > 0 && !memchr(bytes, '\0', start) && (pm_utf8_check(bytes, start, &bad) || bad + 4 > start);
    return is_text && has_unknown_token(bytes, n) ? KIND_WORDLIST : KIND_UNKNOWN;
}

/* ---- Directories ---- */

static int ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

/* The only file of the directory with such an ending; 0 where there is none or more. */
static int find_only(const char *directory, const char *ending, char *path, size_t capacity)
{
    int n_found = 0;
    DIR *listing = opendir(directory);
    if (!listing)
        return 0;
    for (struct dirent *entry = readdir(listing); entry; entry = readdir(listing)) {
        if (!ends_in(entry->d_name, ending))
            continue;
        int n = snprintf(path, capacity, "%s/%s", directory, entry->d_name);
        n_found += n > 0 && (size_t)n < capacity ? 1 : 2;
    }
    closedir(listing);
    return n_found == 1;
}

/* Replaces a directory by the file in it that describes its tokenizer. */
static pm_status find_in_directory(const char *directory, char *path, size_t capacity, pm_error *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "spiece.model",
                                        "sentencepiece.bpe.model", "vocab.txt"};
    static const char *const endings[] = {".gguf", ".tiktoken", ".model"};
    struct stat info;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int n = snprintf(path, capacity, "%s/%s", directory, names[i]);
        if (n > 0 && (size_t)n < capacity && stat(path, &info) == 0)
            return PM_OK;
    }
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (find_only(directory, endings[i], path, capacity))
            return PM_OK;
    return pm_fail(
        err, PM_ERR_NOT_FOUND,
        "%s: there is no tokenizer.json, tokenizer.model, spiece.model or vocab.txt in this directory, and "
        "not exactly one file that ends in .gguf, .tiktoken or .model; name the file",
        directory);
}

/* ---- Files ---- */

/* The directory of a file. */
static void directory_of(const char *path, char *directory, size_t capacity)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;
    if (n == 0 || n >= capacity)
        n = 1;
    memcpy(directory, slash ? path : ".", n);
    directory[n] = '\0';
}

/* The encoding that a rank file is for: a setting, or its name without the ending. */
static pm_status name_encoding(pm_vocabulary *out, const pm_plugin_setting *settings, size_t n_settings,
                               const char **encoding, pm_error *err)
{
    const char *name = strrchr(out->spec.source, '/');
    name = name ? name + 1 : out->spec.source;
    size_t n = ends_in(name, ".tiktoken") ? strlen(name) - strlen(".tiktoken") : strlen(name);
    for (size_t i = 0; i < n_settings; i++)
        if (strcmp(settings[i].key, "encoding") == 0) {
            name = settings[i].value;
            n = settings[i].n_value;
        }
    *encoding = pm_arena_strndup(&out->arena, name, n);
    return *encoding ? PM_OK : pm_fail_memory(err, n, "a name");
}

static pm_status read_gguf(pm_vocabulary *out, pm_error *err)
{
    char path[4096];
    pm_gguf *file = NULL;
    snprintf(path, sizeof path, "%s", out->spec.source);
    pm_vocabulary_free(out);
    PM_TRY(pm_gguf_open(path, &file, err));
    pm_status status = pm_vocabulary_read_gguf(file, out, err);
    out->gguf = file;
    return status;
}

static pm_status read_with_files_beside(file_kind kind, const pm_files_beside *files,
                                        const pm_plugin_setting *settings, size_t n_settings, pm_vocabulary *out,
                                        pm_error *err)
{
    const pm_json *config = files->tokenizer_config ? pm_json_root(files->tokenizer_config) : NULL;
    const char *encoding, *bytes = out->file.data;
    size_t n = out->file.size;
    switch (kind) {
    case KIND_HF:
        PM_TRY(pm_vocabulary_read_hf(out, bytes, n, err));
        break;
    case KIND_SENTENCEPIECE:
        PM_TRY(pm_vocabulary_read_sentencepiece(out, bytes, n, config, err));
        break;
    case KIND_TIKTOKEN:
        PM_TRY(name_encoding(out, settings, n_settings, &encoding, err));
        PM_TRY(pm_vocabulary_read_tiktoken(out, bytes, n, encoding, err));
        break;
    case KIND_WORDLIST:
        PM_TRY(pm_vocabulary_read_wordlist(out, bytes, n, config, err));
        break;
    case KIND_GGUF:
    case KIND_UNKNOWN:
        return pm_fail(err, PM_ERR_INTERNAL, "%s: no reader", out->spec.source);
    }
    return pm_files_beside_apply(files, out, err);
}

pm_status pm_vocabulary_read_file(const char *path, const pm_plugin_setting *settings, size_t n_settings,
                                  pm_vocabulary *out, pm_error *err)
{
    char found[4096], directory[4096];
    struct stat info;
    memset(out, 0, sizeof *out);
    if (stat(path, &info) != 0)
        return pm_fail(err, errno == ENOENT ? PM_ERR_NOT_FOUND : PM_ERR_IO, "%s: cannot be opened: %s", path,
                       strerror(errno));
    if (S_ISDIR(info.st_mode)) {
        PM_TRY(find_in_directory(path, found, sizeof found, err));
        path = found;
    }
    PM_TRY(pm_vocabulary_start(out, path, err));
    PM_TRY(pm_map_file(path, &out->file, err));
    file_kind kind = recognise(out->file.data, out->file.size);
    if (kind == KIND_GGUF)
        return read_gguf(out, err);
    if (kind == KIND_UNKNOWN)
        return pm_fail(err, PM_ERR_FORMAT,
                       "%s: this is no tokenizer: neither a GGUF file, a tokenizer.json, a SentencePiece model, a "
                       "tiktoken rank file nor a BERT word list with [UNK] in it",
                       path);
    pm_files_beside files;
    directory_of(path, directory, sizeof directory);
    pm_status status = pm_files_beside_open(directory, &files, err);
    if (status == PM_OK)
        status = read_with_files_beside(kind, &files, settings, n_settings, out, err);
    pm_files_beside_close(&files);
    return status;
}
