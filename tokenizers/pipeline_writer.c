/* Common parts of pipelines: see pipeline_writer.h. */
#include "pipeline_writer.h"

#include <string.h>

#include "base/utf8.h"

/* A name for the token within the pipeline: what it is called, if that can be written in JSON. */
static void write_name(pm_vocabulary *v, int32_t id)
{
    const pm_vocab_entry *e = &v->entries[id];
    size_t bad;
    if (pm_utf8_check(e->bytes, e->n_bytes, &bad)) {
        pm_json_write_string(&v->pipeline, e->bytes, e->n_bytes);
        return;
    }
    pm_json_write(&v->pipeline, "\"token ");
    pm_json_write_integer(&v->pipeline, id);
    pm_json_write(&v->pipeline, "\"");
}

/* {"SpecialToken":{"id":"<s>","type_id":0}} */
static void write_special(pm_vocabulary *v, int32_t id, int type_id)
{
    pm_json_write(&v->pipeline, "{\"SpecialToken\":{\"id\":");
    write_name(v, id);
    pm_json_write(&v->pipeline, ",\"type_id\":");
    pm_json_write_integer(&v->pipeline, type_id);
    pm_json_write(&v->pipeline, "}}");
}

static void write_sequence(pm_vocabulary *v, int32_t begin, int32_t end, int is_second)
{
    if (begin != PM_NO_TOKEN) {
        write_special(v, begin, is_second);
        pm_json_write(&v->pipeline, ",");
    }
    pm_json_write(&v->pipeline, is_second ? "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}"
                                          : "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}");
    if (end != PM_NO_TOKEN) {
        pm_json_write(&v->pipeline, ",");
        write_special(v, end, is_second);
    }
}

/* "<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]} */
static void write_meaning(pm_vocabulary *v, int32_t id)
{
    write_name(v, id);
    pm_json_write(&v->pipeline, ":{\"id\":");
    write_name(v, id);
    pm_json_write(&v->pipeline, ",\"ids\":[");
    pm_json_write_integer(&v->pipeline, id);
    pm_json_write(&v->pipeline, "],\"tokens\":[");
    write_name(v, id);
    pm_json_write(&v->pipeline, "]}");
}

void pm_pipeline_write_template(pm_vocabulary *v, int32_t begin, int32_t end, int second_begin)
{
    if (begin == PM_NO_TOKEN && end == PM_NO_TOKEN)
        return;
    pm_json_write(&v->pipeline, ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    write_sequence(v, begin, end, 0);
    pm_json_write(&v->pipeline, "],\"pair\":[");
    write_sequence(v, begin, end, 0);
    pm_json_write(&v->pipeline, ",");
    write_sequence(v, second_begin ? begin : PM_NO_TOKEN, end, 1);
    pm_json_write(&v->pipeline, "],\"special_tokens\":{");
    if (begin != PM_NO_TOKEN)
        write_meaning(v, begin);
    if (begin != PM_NO_TOKEN && end != PM_NO_TOKEN && begin != end)
        pm_json_write(&v->pipeline, ",");
    if (end != PM_NO_TOKEN && begin != end)
        write_meaning(v, end);
    pm_json_write(&v->pipeline, "}}");
}

static void write_replace(pm_json_writer *pipeline, const char *content, size_t n)
{
    pm_json_write(pipeline, "},\"content\":");
    pm_json_write_string(pipeline, content, n);
    pm_json_write(pipeline, "}");
}

/* The unknown token's text is put in at the end, as SentencePiece does, so that its spaces are not taken for
 * spaces of the text; until then a character stands for it that is none (Unicode's noncharacters are for such
 * uses). */
void pm_pipeline_write_metaspace_decoder(pm_vocabulary *v, long n_strip, const char *unk_surface,
                                         size_t n_unk_surface)
{
    static const char marker[] = "\xEF\xB7\x90";
    int has_surface = unk_surface && v->spec.unk != PM_NO_TOKEN;
    pm_json_writer *pipeline = &v->pipeline;
    pm_json_write(pipeline, ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[");
    if (has_surface) {
        pm_json_write(pipeline, "{\"type\":\"Replace\",\"pattern\":{\"String\":");
        write_name(v, v->spec.unk);
        write_replace(pipeline, marker, strlen(marker));
        pm_json_write(pipeline, ",");
    }
    pm_json_write(pipeline, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"");
    write_replace(pipeline, " ", 1);
    pm_json_write(pipeline, ",{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}");
    if (n_strip > 0) {
        pm_json_write(pipeline, ",{\"type\":\"Strip\",\"content\":\" \",\"start\":");
        pm_json_write_integer(pipeline, n_strip);
        pm_json_write(pipeline, ",\"stop\":0}");
    }
    if (has_surface) {
        pm_json_write(pipeline, ",{\"type\":\"Replace\",\"pattern\":{\"String\":\"");
        pm_json_write(pipeline, marker);
        pm_json_write(pipeline, "\"");
        write_replace(pipeline, unk_surface, n_unk_surface);
    }
    pm_json_write(pipeline, "]}");
}

void pm_pipeline_write_byte_level(pm_vocabulary *v, const char *splits, int use_regex)
{
    pm_json_writer *pipeline = &v->pipeline;
    const char *regex = use_regex ? ",\"use_regex\":true}" : ",\"use_regex\":false}";
    pm_json_write(pipeline, ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[");
    if (splits && *splits) {
        pm_json_write(pipeline, splits);
        pm_json_write(pipeline, ",");
    }
    pm_json_write(pipeline, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true");
    pm_json_write(pipeline, regex);
    pm_json_write(pipeline,
                  "]},\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true");
    pm_json_write(pipeline, regex);
}
