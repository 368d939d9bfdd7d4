#!/usr/bin/env python3
"""Renders chat_conversations.py with the models' own templates and transformers, into chat_templates.json.

    pip install transformers jinja2; python3 tests/data/make_chat_golden.py [--texts FILE]
Templates are read from the shared data folder. Of each prompt a hash (FNV-1a) is kept, of some the text as well; ""
stands for a conversation that the template refuses. Two templates ask for a filter that only other engines have,
from_json. --texts writes all texts, or why there is none, and the messages as templates see them, for chat_peer.mjs.
"""
import argparse
import json
import pathlib
from datetime import datetime

import jinja2.sandbox
import transformers.utils.chat_template_utils as chat

from chat_conversations import CONVERSATIONS

HERE = pathlib.Path(__file__).resolve().parent
TEMPLATES = HERE.parents[2] / "shared" / "data" / "templates"
NOW = 1700000000
WITH_TEXT = {"Qwen-Qwen3-0.6B.jinja", "meta-llama-Llama-3.2-3B-Instruct.jinja"}


class Frozen(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.fromtimestamp(NOW, tz)


class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.filters["from_json"] = json.loads


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def render(source, conversation, generate):
    given = {key: value for key, value in conversation.items() if key not in ("name", "messages", "tools")}
    try:
        texts, _ = chat.render_jinja_template([conversation["messages"]], tools=conversation.get("tools"),
                                              chat_template=source, add_generation_prompt=generate,
                                              bos_token="<BOS>", eos_token="<EOS>", **given)
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        return None, f"{type(error).__name__}: {error}"
    return texts[0], None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", metavar="FILE", type=pathlib.Path)
    options = parser.parse_args()
    chat.datetime = Frozen
    chat.ImmutableSandboxedEnvironment = Sandbox
    inputs = [{key: value for key, value in one.items() if key != "name"} for one in CONVERSATIONS]
    files, peer = {}, []
    for path in sorted(TEMPLATES.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        rendered = [render(source, one, generate) for one in CONVERSATIONS for generate in (False, True)]
        texts = [text for text, _ in rendered]
        peer.append({"name": path.name, "source": source, "texts": texts, "refusals": [why for _, why in rendered]})
        files[path.name] = {"hashes": ["" if text is None else fnv1a(text) for text in texts]}
        if path.name in WITH_TEXT:
            files[path.name]["texts"] = texts
    golden = {"now": NOW, "bos": "<BOS>", "eos": "<EOS>", "conversations": inputs, "templates": files}
    text = json.dumps(golden, ensure_ascii=False, indent=1)
    (HERE / "chat_templates.json").write_text(text + "\n", encoding="utf-8")
    if options.texts:
        seen = [{**one, "messages": chat._alias_reasoning_fields(one["messages"])} for one in CONVERSATIONS]
        options.texts.write_text(json.dumps({"now": NOW, "conversations": seen, "templates": peer}), encoding="utf-8")


if __name__ == "__main__":
    main()
