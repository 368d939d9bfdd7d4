/* The checks of the conformance test: see pumice/conformance.h. Each is one function; what it says next to
 * check_failed is what the author of the plugin reads.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin_checks.h"

/* ---- Saying ---- */

void check_stage(check_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(run->verdict->stage, sizeof run->verdict->stage, format, args);
    va_end(args);
}

static void say(check_run *run, pm_conformance_outcome outcome, const char *format, va_list args)
{
    run->verdict->outcome = outcome;
    vsnprintf(run->verdict->detail, sizeof run->verdict->detail, format, args);
}

int check_failed(check_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (run->verdict->outcome != PM_CONFORMANCE_FAILED)
        say(run, PM_CONFORMANCE_FAILED, format, args);
    va_end(args);
    return 0;
}

void check_note(check_run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (run->verdict->outcome != PM_CONFORMANCE_FAILED)
        say(run, run->verdict->outcome, format, args);
    va_end(args);
}

/* ---- Texts ---- */

#define TEXT(name, bytes)                                                                                         \
    {                                                                                                             \
        name, bytes, sizeof bytes - 1                                                                             \
    }

const check_text check_texts[] = {
    TEXT("empty text", ""),
    TEXT("a space", " "),
    TEXT("a letter", "a"),
    TEXT("a sentence", "The cat sat on the mat, didn't it? 12345 things!"),
    TEXT("spaces", "  two  three   \t\ttabs\n\nlines\r\n  \v\f end  "),
    TEXT("spaces of Unicode", "a\xC2\xA0"
                              "b\xE2\x80\x83"
                              "c\xE3\x80\x80"
                              "d\xE2\x80\xA8"
                              "e\xEF\xBB\xBF"
                              "f"),
    TEXT("accents", "caf\xC3\xA9 cafe\xCC\x81 \xC5\xBC\xC3\xB3\xC5\x82w a\xCC\x81\xCC\xA3\xCC\x88"),
    TEXT("Chinese, Japanese, Korean",
         "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E \xE4\xBD\xA0\xE5\xA5\xBD \xED\x95\x9C\xEA\xB8\x80"),
    TEXT("right to left",
         "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 \xE2\x80\x8F"),
    TEXT("emoji with joiners", "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 "
                               "\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD"),
    TEXT("a NUL byte", "a\0b\0\0"),
    TEXT("control characters", "\x01\x02\x1b[0m\x7f\x80"),
    TEXT("a lone continuation byte", "a\x80z"),
    TEXT("a cut character", "a\xE6\x97"),
    TEXT("an overlong character", "a\xC0\xAFz\xE0\x80\x80"),
    TEXT("a surrogate", "a\xED\xA0\x80z"),
    TEXT("a character beyond Unicode", "a\xF4\x90\x80\x80z\xF8\x88\x80\x80\x80\xFE\xFF"),
    TEXT("special tokens written out", "<s>hi</s> <|end|> [CLS] <tool> [UNK] <unk> <0x41> <|endoftext|>"),
};
const size_t n_check_texts = sizeof check_texts / sizeof check_texts[0];

void check_tokens_free(check_tokens *tokens)
{
    free(tokens->ids);
    free(tokens->spans);
    memset(tokens, 0, sizeof *tokens);
}

/* ---- Calls ---- */

enum { GUARD = 4 }; /* elements behind each buffer that must stay as they are */
static const int32_t guard_id = 0x5EA1ED;

/* One call with room for `capacity` ids. */
static int encode_with_room(check_run *run, const check_text *text, uint32_t flags, size_t capacity,
                            check_tokens *out, pm_plugin_code *code)
{
    char words[300] = "";
    pm_plugin_message message = {words, sizeof words};
    memset(out, 0, sizeof *out);
    out->ids = malloc((capacity + GUARD) * sizeof *out->ids);
    out->spans = malloc((capacity + GUARD) * sizeof *out->spans);
    char *exact = malloc(text->n ? text->n : 1); /* so that a sanitizer sees reads past the end */
    if (!out->ids || !out->spans || !exact) {
        free(exact);
        return check_failed(run, "out of memory");
    }
    memcpy(exact, text->bytes, text->n);
    for (size_t i = 0; i < capacity + GUARD; i++) {
        out->ids[i] = guard_id;
        out->spans[i] = (pm_text_span){SIZE_MAX, 1};
    }
    pm_encode_call call = {.size = sizeof call,
                           .text = exact,
                           .n_text = text->n,
                           .flags = flags,
                           .ids = out->ids,
                           .spans = out->spans,
                           .capacity = capacity,
                           .n_ids = SIZE_MAX,
                           .n_unknown_bytes = SIZE_MAX};
    check_stage(run, "encode %s with room for %zu ids and flags %u", text->name, capacity, (unsigned)flags);
    *code = run->api->encode(run->instance, &call, &message);
    free(exact);
    out->n = call.n_ids;
    out->n_unknown_bytes = call.n_unknown_bytes;
    if (*code != PM_PLUGIN_OK && *code != PM_PLUGIN_TOO_SMALL)
        return check_failed(run, "encode refuses %s with code %d: %s", text->name, (int)*code,
                            words[0] ? words : "(it gives no message)");
    for (size_t i = call.n_ids < capacity ? call.n_ids : capacity; i < capacity + GUARD; i++)
        if (i >= capacity &&
            (out->ids[i] != guard_id || out->spans[i].begin != SIZE_MAX || out->spans[i].end != 1))
            return check_failed(run, "encode of %s writes past the end of a buffer for %zu ids", text->name,
                                capacity);
    if ((*code == PM_PLUGIN_TOO_SMALL) != (call.n_ids > capacity))
        return check_failed(run, "encode of %s says %zu ids where there is room for %zu, but returns %s",
                            text->name, call.n_ids, capacity, *code == PM_PLUGIN_OK ? "OK" : "TOO_SMALL");
    if (call.n_unknown_bytes > text->n)
        return check_failed(run, "encode of %s counts %zu unknown bytes of %zu", text->name, call.n_unknown_bytes,
                            text->n);
    return 1;
}

static int check_results(check_run *run, const check_text *text, const check_tokens *tokens, size_t n)
{
    pm_tokenizer_info info = {.size = sizeof info};
    run->api->info(run->instance, &info);
    size_t before = 0;
    for (size_t i = 0; i < n; i++) {
        pm_text_span span = tokens->spans[i];
        if (tokens->ids[i] < 0 || (size_t)tokens->ids[i] >= info.n_tokens)
            return check_failed(run, "encode of %s gives the id %d, but there are %zu tokens", text->name,
                                (int)tokens->ids[i], info.n_tokens);
        if (span.begin > span.end || span.end > text->n)
            return check_failed(run, "encode of %s: token %zu spans bytes %zu to %zu of %zu", text->name, i,
                                span.begin, span.end, text->n);
        if (span.begin < span.end && span.begin < before) /* added tokens have empty spans, anywhere */
            return check_failed(run, "encode of %s: token %zu begins before the one before it", text->name, i);
        if (span.begin < span.end)
            before = span.begin;
    }
    return 1;
}

int check_encode(check_run *run, const check_text *text, uint32_t flags, check_tokens *out)
{
    pm_plugin_code code;
    if (!encode_with_room(run, text, flags, 2 * text->n + 16, out, &code))
        return 0;
    if (code == PM_PLUGIN_TOO_SMALL) {
        size_t n = out->n;
        check_tokens_free(out);
        if (n > 64 * text->n + 1024)
            return check_failed(run, "encode of %s says %zu ids for %zu bytes", text->name, n, text->n);
        if (!encode_with_room(run, text, flags, n, out, &code))
            return 0;
        if (code == PM_PLUGIN_TOO_SMALL)
            return check_failed(run, "encode of %s says %zu ids, and with room for them %zu", text->name, n,
                                out->n);
    }
    return check_results(run, text, out, out->n);
}

int check_decode(check_run *run, const int32_t *ids, size_t n, uint32_t flags, char **text, size_t *n_text)
{
    char words[300] = "";
    pm_plugin_message message = {words, sizeof words};
    pm_decode_call call = {.size = sizeof call, .ids = ids, .n_ids = n, .flags = flags};
    check_stage(run, "decode %zu ids with flags %u and no room", n, (unsigned)flags);
    pm_plugin_code code = run->api->decode(run->instance, &call, &message);
    size_t need = call.n_text;
    if (code != (need > 0 ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK))
        return check_failed(run, "decode of %zu ids into no room says %zu bytes and returns code %d: %s", n, need,
                            (int)code, words);
    *text = malloc(need + GUARD);
    if (!*text)
        return check_failed(run, "out of memory for the %zu bytes that decode says", need);
    for (size_t capacity = need > 0 ? need - 1 : need; capacity <= need; capacity++) {
        memset(*text, 0x5E, need + GUARD);
        call.text = *text;
        call.capacity = capacity;
        check_stage(run, "decode %zu ids with room for %zu of %zu bytes", n, capacity, need);
        code = run->api->decode(run->instance, &call, &message);
        if (code != (capacity < need ? PM_PLUGIN_TOO_SMALL : PM_PLUGIN_OK) || call.n_text != need)
            return check_failed(run, "decode with room for %zu of %zu bytes says %zu and returns code %d",
                                capacity, need, call.n_text, (int)code);
        for (size_t i = capacity; i < need + GUARD; i++)
            if ((*text)[i] != 0x5E)
                return check_failed(run, "decode writes past the end of a buffer of %zu bytes", capacity);
    }
    *n_text = need;
    return 1;
}

/* ---- The checks ---- */

static void check_description(check_run *run)
{
    const pm_plugin *plugin = run->plugin;
    check_stage(run, "read the plugin's description");
    if (plugin->abi_version != PM_PLUGIN_ABI || plugin->kind != PM_PLUGIN_TOKENIZER)
        check_failed(run, "it is of ABI %u and kind %u", (unsigned)plugin->abi_version, (unsigned)plugin->kind);
    else if (!plugin->name || !plugin->name[0] || !plugin->version || !plugin->summary)
        check_failed(run, "name, version and summary must be there");
    else if (strchr(plugin->name, '/') || strlen(plugin->name) > 64)
        check_failed(run, "'%.80s' is no name that a plugin can be asked for by", plugin->name);
    else
        check_note(run, "%s %s: %s", plugin->name, plugin->version, plugin->summary);
    check_stage(run, "destroy(NULL)");
    run->api->destroy(NULL);
}

static void check_tokens_known(check_run *run)
{
    pm_tokenizer_info info = {.size = sizeof info};
    check_stage(run, "info");
    if (run->api->info(run->instance, &info) != PM_PLUGIN_OK || info.n_tokens == 0) {
        check_failed(run, "info fails, or says that there are no tokens");
        return;
    }
    const int32_t special[] = {info.bos, info.eos, info.unk, info.pad};
    for (size_t i = 0; i < 4; i++)
        if (special[i] != PM_NO_TOKEN && (special[i] < 0 || (size_t)special[i] >= info.n_tokens))
            check_failed(run, "info names the token %d of %zu", (int)special[i], info.n_tokens);
    for (size_t i = 0; i < info.n_tokens; i++) {
        pm_token_info token = {.size = sizeof token};
        check_stage(run, "token_info of %zu", i);
        pm_plugin_code code = run->api->token_info(run->instance, (int32_t)i, &token);
        if (code != PM_PLUGIN_OK || (token.n_bytes > 0 && !token.bytes) || token.kind < PM_TOKEN_NORMAL ||
            token.kind > PM_TOKEN_BYTE) {
            check_failed(run, "token_info of %zu returns code %d and kind %u", i, (int)code, (unsigned)token.kind);
            return;
        }
    }
    const int32_t outside[] = {-1, INT32_MIN, (int32_t)info.n_tokens, INT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        pm_token_info token = {.size = sizeof token};
        check_stage(run, "token_info of %d", (int)outside[i]);
        if (run->api->token_info(run->instance, outside[i], &token) != PM_PLUGIN_ARGUMENT)
            check_failed(run, "token_info of %d, which is outside of the vocabulary, is not ARGUMENT",
                         (int)outside[i]);
    }
    check_note(run, "%zu tokens", info.n_tokens);
}

/* An old host's structs are shorter: nothing beyond their size may be written. */
static void check_old_structs(check_run *run)
{
    pm_tokenizer_info info;
    memset(&info, 0x5E, sizeof info);
    info.size = offsetof(pm_tokenizer_info, bos);
    check_stage(run, "info with a struct that ends before bos");
    run->api->info(run->instance, &info);
    pm_token_info token;
    memset(&token, 0x5E, sizeof token);
    token.size = offsetof(pm_token_info, score);
    check_stage(run, "token_info with a struct that ends before score");
    run->api->token_info(run->instance, 0, &token);
    const unsigned char *after_info = (const unsigned char *)&info + offsetof(pm_tokenizer_info, bos);
    const unsigned char *after_token = (const unsigned char *)&token + offsetof(pm_token_info, score);
    if (*after_info != 0x5E || *after_token != 0x5E)
        check_failed(run, "%s writes beyond the size that the struct says",
                     *after_info != 0x5E ? "info" : "token_info");
    pm_encode_call call = {.size = 1};
    pm_decode_call decode = {.size = 1};
    check_stage(run, "encode and decode with structs of size 1");
    if (run->api->encode(run->instance, &call, NULL) != PM_PLUGIN_ARGUMENT ||
        run->api->decode(run->instance, &decode, NULL) != PM_PLUGIN_ARGUMENT)
        check_failed(run, "a call struct that is too short is not ARGUMENT");
}

static void check_all_texts(check_run *run)
{
    for (size_t i = 0; i < n_check_texts; i++)
        for (uint32_t flags = 0; flags < 8; flags++) {
            check_tokens first, second = {0};
            int good = check_encode(run, &check_texts[i], flags, &first) &&
                       check_encode(run, &check_texts[i], flags, &second);
            if (good && (first.n != second.n || memcmp(first.ids, second.ids, first.n * sizeof *first.ids) != 0))
                check_failed(run, "encode of %s gives other ids the second time", check_texts[i].name);
            check_tokens_free(&first);
            check_tokens_free(&second);
            if (run->verdict->outcome == PM_CONFORMANCE_FAILED)
                return;
        }
}

static void check_small_buffers(check_run *run)
{
    for (size_t i = 0; i < n_check_texts; i++) {
        check_tokens whole, part = {0};
        int good = check_encode(run, &check_texts[i], PM_ENCODE_ADD_SPECIAL, &whole);
        for (size_t room = 0; good && room <= whole.n; room++) {
            pm_plugin_code code;
            good = encode_with_room(run, &check_texts[i], PM_ENCODE_ADD_SPECIAL, room, &part, &code);
            if (good && part.n != whole.n)
                good = check_failed(run, "encode of %s says %zu ids with room for %zu, and %zu with room for all",
                                    check_texts[i].name, part.n, room, whole.n);
            if (good && memcmp(part.ids, whole.ids, room * sizeof *part.ids) != 0)
                good = check_failed(run, "encode of %s with room for %zu ids does not give the first %zu",
                                    check_texts[i].name, room, room);
            check_tokens_free(&part);
        }
        check_tokens_free(&whole);
        if (!good)
            return;
    }
}

/* decode(encode(text)), and whether that is the text; 0 after a failure. */
static int round_trip(check_run *run, const check_text *text, char **back, size_t *n_back, int *whole)
{
    check_tokens tokens;
    int good = check_encode(run, text, 0, &tokens) && check_decode(run, tokens.ids, tokens.n, 0, back, n_back);
    *whole = good && tokens.n_unknown_bytes == 0;
    check_tokens_free(&tokens);
    return good;
}

static void check_round_trips(check_run *run)
{
    size_t exact = 0;
    for (size_t i = 0; i < n_check_texts; i++) {
        char *once = NULL, *twice = NULL;
        size_t n_once = 0, n_twice = 0;
        int whole, again = 0;
        int good = round_trip(run, &check_texts[i], &once, &n_once, &whole);
        int same = good && n_once == check_texts[i].n && memcmp(once, check_texts[i].bytes, n_once) == 0;
        exact += (size_t)same;
        if (good && !same && run->options->lossless)
            good = check_failed(run, "%s does not come back as it was", check_texts[i].name);
        check_text second = {"decoded text", once, n_once};
        if (good && whole)
            good = round_trip(run, &second, &twice, &n_twice, &again);
        if (good && whole && again && (n_twice != n_once || memcmp(once, twice, n_once) != 0))
            good =
                check_failed(run, "%s: what decoding gives becomes something else when encoded and decoded again",
                             check_texts[i].name);
        free(once);
        free(twice);
        if (!good)
            return;
    }
    check_note(run, "%zu of %zu texts come back to the byte", exact, n_check_texts);
}

static void check_ids_outside(check_run *run)
{
    pm_tokenizer_info info = {.size = sizeof info};
    run->api->info(run->instance, &info);
    const int32_t outside[] = {-1, INT32_MIN, (int32_t)info.n_tokens, INT32_MAX};
    char text[64];
    for (size_t i = 0; i < 4; i++) {
        int32_t ids[2] = {0, outside[i]};
        pm_decode_call call = {.size = sizeof call, .ids = ids, .n_ids = 2, .text = text, .capacity = sizeof text};
        check_stage(run, "decode the id %d", (int)outside[i]);
        if (run->api->decode(run->instance, &call, NULL) != PM_PLUGIN_ARGUMENT)
            check_failed(run, "decode of the id %d, which is outside of the vocabulary, is not ARGUMENT",
                         (int)outside[i]);
    }
    for (size_t i = 0; i < info.n_tokens && run->verdict->outcome == PM_CONFORMANCE_PASSED; i++) {
        int32_t id = (int32_t)i;
        char *back = NULL;
        size_t n_back;
        check_decode(run, &id, 1, i % 2 ? PM_DECODE_CONTINUATION : 0, &back, &n_back);
        free(back);
    }
}

static size_t count_of(const check_tokens *tokens, int32_t id)
{
    size_t n = 0;
    for (size_t i = 0; i < tokens->n; i++)
        n += tokens->ids[i] == id;
    return n;
}

/* A control token that is written out in a text counts only where the caller says so. */
static void check_special_tokens(check_run *run)
{
    pm_tokenizer_info info = {.size = sizeof info};
    run->api->info(run->instance, &info);
    size_t checked = 0;
    for (size_t i = 0; i < info.n_tokens && checked < 50; i++) {
        pm_token_info token = {.size = sizeof token};
        run->api->token_info(run->instance, (int32_t)i, &token);
        if (token.kind != PM_TOKEN_CONTROL || token.n_bytes == 0 || token.n_bytes > 100)
            continue;
        char written[128] = "hi ";
        memcpy(written + 3, token.bytes, token.n_bytes);
        check_text text = {"a control token written out", written, 3 + token.n_bytes};
        check_tokens plain, parsed = {0};
        int good =
            check_encode(run, &text, 0, &plain) && check_encode(run, &text, PM_ENCODE_PARSE_SPECIAL, &parsed);
        if (good && count_of(&plain, (int32_t)i) != 0)
            check_failed(run, "text forges the control token %zu, '%.*s', without PARSE_SPECIAL", i,
                         (int)token.n_bytes, token.bytes);
        else if (good && count_of(&parsed, (int32_t)i) != 1)
            check_failed(run, "the control token %zu, '%.*s', is not found with PARSE_SPECIAL", i,
                         (int)token.n_bytes, token.bytes);
        check_tokens_free(&plain);
        check_tokens_free(&parsed);
        if (run->verdict->outcome == PM_CONFORMANCE_FAILED)
            return;
        checked++;
    }
    if (checked == 0)
        run->verdict->outcome = PM_CONFORMANCE_SKIPPED;
    check_note(run, checked ? "%zu control tokens" : "there are no control tokens", checked);
}

/* Processor seconds that a text of n bytes without a space takes. */
static double seconds_for(check_run *run, char *bytes, size_t n)
{
    check_text text = {"a long text without a space", bytes, n};
    check_tokens tokens;
    clock_t start = clock();
    check_encode(run, &text, 0, &tokens);
    check_tokens_free(&tokens);
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void check_long_text(check_run *run)
{
    enum { SMALL = 1 << 15, LARGE = 1 << 20 };
    static const char *const letters[] = {"a", "ab", "thequickbrownfoxjumpsoverthelazydog",
                                          "\xE6\x97\xA5\xE6\x9C\xAC"};
    char *bytes = malloc(LARGE);
    if (!bytes) {
        check_failed(run, "out of memory");
        return;
    }
    double worst = 0;
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        size_t period = strlen(letters[i]);
        for (size_t at = 0; at < LARGE; at++)
            bytes[at] = letters[i][at % period];
        double few = seconds_for(run, bytes, SMALL), many = seconds_for(run, bytes, LARGE);
        worst = many > worst ? many : worst;
        /* 32 times the text; where it takes long, more than 200 times as long cannot be noise. */
        if (many > 5 && many > 200 * few)
            check_failed(
                run,
                "'%s' over and over: %.2f s for 32 KiB and %.1f s for 1 MiB; the time grows faster than the "
                "text",
                letters[i], few, many);
    }
    free(bytes);
    check_note(run, "1 MiB takes %.3f s at most", worst);
}

const plugin_check plugin_checks[] = {
    {"description", check_description, 0, 10},
    {"tokens known", check_tokens_known, 1, 60},
    {"structs of other versions", check_old_structs, 1, 10},
    {"texts", check_all_texts, 1, 30},
    {"buffers too small", check_small_buffers, 1, 60},
    {"round trips", check_round_trips, 1, 30},
    {"ids outside the vocabulary", check_ids_outside, 1, 60},
    {"special tokens", check_special_tokens, 1, 30},
    {"1 MiB without a space", check_long_text, 1, 120},
    {"threads", check_threads, 1, 120},
    {"fuzzing", check_fuzzing, 1, 300},
    {"broken vocabularies", check_broken_vocabularies, 0, 60},
};
const size_t n_plugin_checks = sizeof plugin_checks / sizeof plugin_checks[0];
