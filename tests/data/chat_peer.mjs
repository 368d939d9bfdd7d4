// Renders what make_chat_golden.py rendered with transformers once more, with npm's @huggingface/jinja, and says where the two
// differ and why.
//
//     pip install transformers jinja2; npm install @huggingface/jinja
//     python3 tests/data/make_chat_golden.py --texts texts.json
//     node tests/data/chat_peer.mjs texts.json node_modules/@huggingface/jinja/dist/index.js
import fs from "fs";
import path from "path";

const [file, jinja] = process.argv.slice(2);
const { Template } = await import(path.resolve(jinja));
const { now, conversations, templates } = JSON.parse(fs.readFileSync(file));

// The templates' clock stands still, as it did in Python.
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    given.length ? super(...given) : super(now * 1000);
  }
  static now() {
    return now * 1000;
  }
};

function render(source, { name, messages, tools, ...given }, generate) {
  try {
    const text = new Template(source).render({
      messages: structuredClone(messages), tools: tools ? structuredClone(tools) : null, add_generation_prompt: generate,
      bos_token: "<BOS>", eos_token: "<EOS>", documents: null, ...given,
    });
    return { text };
  } catch (error) {
    return { error: error.message };
  }
}

// Both refusing counts as the same; null where there is no difference.
function difference(got, want, refusal) {
  if (got.error !== undefined) return want === null ? null : `cannot: ${got.error}`;
  if (want === null) return `renders what Python refuses: ${refusal}`;
  return got.text === want ? null : "makes another text";
}

let count = 0, refused = 0;
const reasons = new Map();
for (const { name, source, texts, refusals } of templates) {
  texts.forEach((want, i) => {
    const conversation = conversations[i >> 1], got = render(source, conversation, i % 2 === 1);
    const reason = difference(got, want, refusals[i]);
    count++;
    refused += want === null && got.error !== undefined;
    if (!reason) return;
    let from = 0;
    while (want !== null && got.text && got.text[from] === want[from]) from++;
    const shown = reason === "makes another text"
      ? `: ${JSON.stringify(want.slice(from - 20, from + 20))} in Python, ${JSON.stringify(got.text.slice(from - 20, from + 20))}` : "";
    reasons.set(reason, [...(reasons.get(reason) ?? []), `${name}, ${conversation.name}${shown}`]);
  });
}
const different = [...reasons.values()].reduce((sum, places) => sum + places.length, 0);
console.log(`${count} prompts, ${count - different} the same (${refused} refused by both), ${different} different`);
for (const [reason, places] of [...reasons].sort((a, b) => b[1].length - a[1].length))
  console.log(`\n${places.length}: ${reason}\n  ${[...new Set(places)].join("\n  ")}`);
