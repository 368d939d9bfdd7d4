#!/usr/bin/env python3
"""Fails when a folder includes something below it in the list of layers (CONTRIBUTING.md, "Layers").

Every #include of the tree is read. Engine folders may include folders above them in LAYERS; a public header counts as
part of the layer that implements it. Tools and benchmarks see public headers only, and a plugin only the plugin ABI.
Also fails for two files of one name, which the project does without.

Usage: check_layers.py ROOT, or check_layers.py --self-test
"""
import re
import sys
from collections import defaultdict
from pathlib import Path

LAYERS = ["base", "formats", "tokenizers", "graph", "ops", "backends", "models", "runtime", "train"]

# The layer that implements each public header. A new header must be put here.
PUBLIC = {
    "status.h": "base", "trace.h": "base",
    "types.h": "formats", "gguf.h": "formats", "gguf_writer.h": "formats",
    "plugin.h": "tokenizers", "tokenizer.h": "tokenizers", "conformance.h": "tokenizers", "tokenizer_train.h": "tokenizers",
    "tokenizer_gguf.h": "tokenizers",
    "device.h": "backends", "ceilings.h": "backends",
    "convert.h": "models", "model.h": "models", "synth.h": "models",
    "session.h": "runtime", "batch.h": "runtime", "encode.h": "runtime", "search.h": "runtime", "chat.h": "runtime",
    "profile.h": "runtime",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = {".c", ".h"}


def layer_of_include(path):
    """The layer that an included path belongs to; None where it is no part of the engine."""
    parts = path.split("/")
    if parts[0] == "pumice":
        return PUBLIC.get(parts[-1], "?")
    return parts[0] if len(parts) > 1 and parts[0] in LAYERS else None


def check_engine_include(layer, path):
    target = layer_of_include(path)
    if target == "?":
        return f'"{path}" is in no layer: add it to PUBLIC in tests/check_layers.py'
    # The plugin ABI is a contract that any layer may know.
    if target is None or path == "pumice/plugin.h" or LAYERS.index(target) <= LAYERS.index(layer):
        return None
    return f'"{path}" belongs to {target}, which is below {layer}'


def check_include(folder, path):
    """folder: the parts of the including file's folder, from the root. Returns what is wrong, or None."""
    top = folder[0]
    if top == "engine" and len(folder) > 1 and folder[1] in LAYERS:
        return check_engine_include(folder[1], path)
    if top == "engine" and len(folder) > 1 and folder[1] == "include":
        return None if path.startswith("pumice/") else f'a public header includes "{path}", which is not public'
    if top == "tokenizers":
        return check_engine_include("tokenizers", path)
    first = path.split("/")[0]
    if top == "plugins" and (first in LAYERS and first != "tokenizers" or
                             first == "pumice" and path != "pumice/plugin.h"):
        return f'a plugin knows nothing of the engine, but includes "{path}"'
    if top in ("tools", "bench") and (first in LAYERS or first in ("engine", "..", "tests")):
        return f'{top} sees public headers only, but includes "{path}"'
    return None


def tracked_sources(root):
    for top in ("engine", "tokenizers", "plugins", "tools", "bench"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in SOURCES and path.is_file():
                yield path


def check_tree(root):
    problems, n_includes = [], 0
    for path in tracked_sources(root):
        relative = path.relative_to(root)
        for quote, included in INCLUDE.findall(path.read_text(encoding="utf-8")):
            if quote == "<" and not included.startswith("pumice/"):
                continue
            n_includes += 1
            # An include of a file beside this one stays in its layer.
            if "/" not in included and (path.parent / included).exists():
                continue
            wrong = check_include(relative.parent.parts, included)
            if wrong:
                problems.append(f"{relative}: {wrong}")
    names = defaultdict(list)
    for path in tracked_sources(root):
        names[path.name].append(str(path.relative_to(root)))
    for name, places in sorted(names.items()):
        if len(places) > 1 and not same_op(places):
            problems.append(f"{name} stands in several places: {', '.join(places)}")
    return problems, n_includes


def same_op(places):
    """An op has one stem everywhere: engine/ops/rms_norm.c and engine/backends/cpu/rms_norm.c belong together."""
    return all(p.startswith(("engine/ops/", "engine/backends/")) for p in places)


def self_test():
    bad = [(("engine", "base"), "formats/x.h"), (("engine", "ops"), "backends/backend.h"),
           (("engine", "graph"), "pumice/session.h"), (("engine", "backends", "cpu"), "runtime/runtime.h"),
           (("tools",), "base/error.h"), (("bench",), "engine/base/error.h"), (("plugins", "bpe"), "base/utf8.h"),
           (("plugins", "bpe"), "pumice/gguf.h"), (("engine", "base"), "pumice/brand_new.h"),
           (("engine", "include", "pumice"), "base/error.h"), (("tokenizers",), "graph/graph.h")]
    good = [(("engine", "formats"), "base/error.h"), (("engine", "runtime"), "pumice/session.h"),
            (("engine", "backends", "vulkan"), "graph/graph.h"), (("tools",), "pumice/session.h"),
            (("plugins", "bpe"), "pumice/plugin.h"), (("tokenizers",), "pumice/gguf.h"), (("tools",), "options.h"),
            (("engine", "ops"), "math.h")]
    wrong = [f"not found: {case}" for case in bad if not check_include(*case)]
    wrong += [f"found for no reason: {case}" for case in good if check_include(*case)]
    return wrong


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.argv[1] == "--self-test":
        problems, what = self_test(), "self-test"
    else:
        problems, n_includes = check_tree(Path(sys.argv[1]))
        if n_includes < 50:
            problems.append(f"only {n_includes} includes were found: is {sys.argv[1]} the project's root?")
        what = f"{n_includes} includes"
    for problem in problems:
        print(problem)
    print(f"{what}: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
