#!/usr/bin/env python3
"""Compiles every public header alone as C17 and as C++17, with warnings as errors, and checks that the plugin ABI
includes nothing but <stddef.h> and <stdint.h>.

Usage: check_headers.py INCLUDE_DIR C_COMPILER C++_COMPILER
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]


def compile_header(compiler, language, standard, include_dir, header, folder):
    """Twice, so that a header without an include guard is found. Returns what the compiler says, "" when it is well."""
    suffix = "c" if language == "c" else "cpp"
    source = Path(folder) / f"{header.stem}.{suffix}"
    line = f'#include "pumice/{header.name}"\n'
    source.write_text(line + line + "int pm_header_compiles(void);\nint pm_header_compiles(void) { return 0; }\n")
    command = [compiler, "-x", language, f"-std={standard}", *WARNINGS, f"-I{include_dir}", "-fsyntax-only", str(source)]
    result = subprocess.run(command, capture_output=True, text=True)
    return "" if result.returncode == 0 else result.stdout + result.stderr or "the compiler failed"


def main():
    include_dir, c_compiler, cxx_compiler = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    headers = sorted((include_dir / "pumice").glob("*.h"))
    failures = [] if len(headers) >= 7 else [f"only {len(headers)} headers in {include_dir}"]
    with tempfile.TemporaryDirectory() as folder:
        for header in headers:
            for compiler, language, standard in ((c_compiler, "c", "c17"), (cxx_compiler, "c++", "c++17")):
                wrong = compile_header(compiler, language, standard, include_dir, header, folder)
                print(f"{'FAILED' if wrong else 'ok':6} {header.name} as {standard}")
                if wrong:
                    failures.append(f"{header.name} as {standard}:\n{wrong}")
    abi = include_dir / "pumice" / "plugin.h"
    if abi.exists():
        extra = set(re.findall(r"#\s*include\s*[<\"]([^>\"]+)", abi.read_text())) - {"stddef.h", "stdint.h"}
        if extra:
            failures.append(f"plugin.h includes {', '.join(sorted(extra))}")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
