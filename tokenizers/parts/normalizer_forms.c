/* Unicode's normalisation forms: NFC, NFD, NFKC, NFKD (UAX #15).
 *
 * ICU decomposes and composes characters; what becomes of their origins is ours. Text that is normalised already
 * is copied in long stretches. The peer (Hugging Face's tokenizers) normalises by Unicode 9: characters that came
 * later are left alone and reorder nothing, which an ICU instance filtered by age does as well.
 */
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uset.h>
#include <unicode/ustring.h>

#include <unicode/utf16.h>

#include "parts/normalizer_steps.h"

enum { BASIC_PLANE = 0x10000 };

struct form_tables {
    USet *known;       /* the characters of Unicode 9 */
    UNormalizer2 *icu; /* filtered by it */
    int composes;
    uint8_t normal[BASIC_PLANE / 8]; /* a bit for each character that is normalised wherever it stands, and that
                                      * nothing behind it moves across */
};

/* ---- Making one ---- */

static int is_normal(const struct form_tables *forms, UProperty quick_check, UChar32 code)
{
    return !uset_contains(forms->known, code) ||
           (u_getIntPropertyValue(code, quick_check) == UNORM_YES && u_getCombiningClass(code) == 0);
}

static const UNormalizer2 *whole_instance(const char *type, UProperty *quick_check, UErrorCode *status)
{
    if (strcmp(type, "NFC") == 0) {
        *quick_check = UCHAR_NFC_QUICK_CHECK;
        return unorm2_getNFCInstance(status);
    }
    if (strcmp(type, "NFD") == 0) {
        *quick_check = UCHAR_NFD_QUICK_CHECK;
        return unorm2_getNFDInstance(status);
    }
    *quick_check = strcmp(type, "NFKC") == 0 ? UCHAR_NFKC_QUICK_CHECK : UCHAR_NFKD_QUICK_CHECK;
    return strcmp(type, "NFKC") == 0 ? unorm2_getNFKCInstance(status) : unorm2_getNFKDInstance(status);
}

static void close_tables(struct form_tables *forms)
{
    if (!forms)
        return;
    unorm2_close(forms->icu);
    uset_close(forms->known);
    free(forms);
}

pm_plugin_code step_unicode_form_create(const char *type, normalizer_step *step, const pm_plugin_message *message)
{
    UErrorCode status = U_ZERO_ERROR;
    UProperty quick_check;
    struct form_tables *forms = calloc(1, sizeof *forms);
    const UNormalizer2 *whole = whole_instance(type, &quick_check, &status);
    UChar known[32];
    if (!forms)
        return pm_plugin_fail_memory(message, "a normaliser");
    u_uastrcpy(known, "[:Age=9.0:]");
    forms->composes = type[strlen(type) - 1] == 'C';
    forms->known = uset_openPattern(known, -1, &status);
    if (U_SUCCESS(status)) {
        uset_freeze(forms->known);
        forms->icu = unorm2_openFiltered(whole, forms->known, &status);
    }
    if (U_FAILURE(status)) {
        close_tables(forms);
        return pm_plugin_fail(message, PM_PLUGIN_INTERNAL, "ICU has no %s: %s", type, u_errorName(status));
    }
    for (UChar32 code = 0; code < BASIC_PLANE; code++)
        if (is_normal(forms, quick_check, code))
            forms->normal[code / 8] |= (uint8_t)(1u << code % 8);
    step->forms = forms;
    return PM_PLUGIN_OK;
}

void step_unicode_form_destroy(normalizer_step *step)
{
    close_tables(step->forms);
}

/* ---- Running it ---- */

/* A character of the decomposed text, and what it does to the text it is made from (transform.h). */
typedef struct form_character {
    uint32_t code;
    int change;
    uint32_t place; /* in the text before marks are ordered */
    uint8_t combining_class;
    uint8_t malformed;
    char byte;
} form_character;

typedef struct form_run {
    form_character *items;
    size_t n, capacity;
} form_run;

static int add_character(form_run *run, form_character c)
{
    if (!pm_grow((void **)&run->items, &run->capacity, run->n + 1, sizeof *run->items))
        return 0;
    c.place = (uint32_t)run->n;
    run->items[run->n++] = c;
    return 1;
}

static int compare_classes(const void *a, const void *b)
{
    const form_character *x = a, *y = b;
    if (x->combining_class != y->combining_class)
        return x->combining_class < y->combining_class ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Canonical ordering: marks between starters by their classes. A stretch of marks may be as long as the text. */
static void order_marks(form_run *run)
{
    for (size_t begin = 0, end; begin < run->n; begin = end + 1) {
        int sorted = 1;
        for (end = begin; end < run->n && run->items[end].combining_class > 0; end++)
            sorted &= end == begin || run->items[end - 1].combining_class <= run->items[end].combining_class;
        if (!sorted)
            qsort(run->items + begin, end - begin, sizeof *run->items, compare_classes);
    }
}

static int add_decomposed(const normalizer_step *step, form_run *run, uint32_t code)
{
    UChar units[64];
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = unorm2_getDecomposition(step->forms->icu, (UChar32)code, units, 64, &status);
    if (n < 0 || U_FAILURE(status))
        return add_character(
            run, (form_character){.code = code,
                                  .combining_class = unorm2_getCombiningClass(step->forms->icu, (UChar32)code)});
    for (int32_t i = 0, first = 1; i < n; first = 0) {
        UChar32 c;
        U16_NEXT(units, i, n, c);
        if (!add_character(run,
                           (form_character){.code = (uint32_t)c,
                                            .change = !first,
                                            .combining_class = unorm2_getCombiningClass(step->forms->icu, c)}))
            return 0;
    }
    return 1;
}

/* Canonical composition (UAX #15) within items[0, n). What is composed takes the changes of its parts, less the
 * one character that goes. */
static void compose(const normalizer_step *step, form_run *run)
{
    size_t to = 0, starter = SIZE_MAX;
    uint8_t last_class = 0;
    for (size_t i = 0; i < run->n; i++) {
        form_character c = run->items[i];
        int blocked = starter != SIZE_MAX && to > starter + 1 && last_class >= c.combining_class;
        if (starter != SIZE_MAX && !c.malformed && !blocked) {
            UChar32 both =
                unorm2_composePair(step->forms->icu, (UChar32)run->items[starter].code, (UChar32)c.code);
            if (both >= 0) {
                run->items[starter].code = (uint32_t)both;
                run->items[starter].change += c.change - 1;
                continue;
            }
        }
        if (c.combining_class == 0) {
            starter = c.malformed ? SIZE_MAX : to;
            last_class = 0;
        } else {
            last_class = c.combining_class;
        }
        run->items[to++] = c;
    }
    run->n = to;
}

static int stays(const struct form_tables *forms, uint32_t code)
{
    return code < BASIC_PLANE ? forms->normal[code / 8] >> code % 8 & 1
                              : unorm2_isInert(forms->icu, (UChar32)code);
}

/* The end of the text from `at` on that is normalised already, less its last character, which what follows may act
 * on. */
static size_t skip_normal(const normalizer_step *step, const pm_piece *in, size_t at)
{
    size_t last = at;
    while (at < in->n) {
        if (in->n - at >= 8 && pm_are_ascii(in->bytes + at)) {
            at += 8;
            last = at - 1;
            continue;
        }
        pm_character c = pm_read_character(in->bytes, at, in->n);
        if (c.malformed || (c.code >= 128 && !stays(step->forms, c.code)))
            return last;
        last = at;
        at += c.length;
    }
    return in->n;
}

/* The first boundary behind `at`: no character from there on acts on those before. */
static size_t segment_end(const normalizer_step *step, const pm_piece *in, size_t at)
{
    pm_character c = pm_read_character(in->bytes, at, in->n);
    for (at += c.length; at < in->n; at += c.length) {
        c = pm_read_character(in->bytes, at, in->n);
        if (c.malformed || unorm2_hasBoundaryBefore(step->forms->icu, (UChar32)c.code))
            break;
    }
    return at;
}

static int put_segment(const normalizer_step *step, pm_transform *t, form_run *run, size_t end)
{
    run->n = 0;
    for (size_t at = t->at; at < end;) {
        pm_character c = pm_read_character(t->in->bytes, at, end);
        if (c.malformed ? !add_character(run, (form_character){.malformed = 1, .byte = t->in->bytes[at]})
                        : !add_decomposed(step, run, c.code))
            return 0;
        at += c.length;
    }
    order_marks(run);
    if (step->forms->composes)
        compose(step, run);
    for (size_t i = 0; i < run->n; i++) {
        const form_character *c = &run->items[i];
        if (c->malformed ? !pm_transform_put(t, &c->byte, 1, 0) : !pm_transform_put_code(t, c->code, c->change))
            return 0;
    }
    t->at = end;
    return 1;
}

int step_unicode_form(const normalizer_step *step, const pm_piece *in, pm_text_buffer *out, int with_origins,
                      int *same)
{
    if (is_ascii_only(in)) {
        *same = 1;
        return 1;
    }
    pm_transform t;
    form_run run = {0};
    int good = 1;
    pm_transform_start(&t, in, out, with_origins);
    while (good && t.at < in->n) {
        good = pm_transform_keep_until(&t, skip_normal(step, in, t.at));
        if (good && t.at < in->n)
            good = put_segment(step, &t, &run, segment_end(step, in, t.at));
    }
    free(run.items);
    return good;
}
