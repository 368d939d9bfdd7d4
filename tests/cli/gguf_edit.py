"""A copy of a GGUF file (version 3, little-endian, well-formed) with more metadata. Source: the GGUF specification."""
import struct

SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values[0] if len(values) == 1 else values

    def skip_string(self):
        size = self.take("Q")
        self.at += size

    def skip_value(self, kind):
        if kind == STRING:
            self.skip_string()
        elif kind == ARRAY:
            kind, count = self.take("IQ")
            for _ in range(count if kind in (STRING, ARRAY) else 0):
                self.skip_value(kind)
            if kind in SCALAR_BYTES:
                self.at += count * SCALAR_BYTES[kind]
        else:
            self.at += SCALAR_BYTES[kind]


def add_texts(data, texts):
    """data: the file's bytes; texts: key to text. Returns the bytes of the copy."""
    reader, alignment = Reader(data), 32
    magic, version, n_tensors, n_entries = reader.take("4sIQQ")
    entries_begin = reader.at
    for _ in range(n_entries):
        reader.skip_string()
        reader.skip_value(reader.take("I"))
    entries_end = reader.at
    for _ in range(n_tensors):
        reader.skip_string()
        n_dims = reader.take("I")
        reader.at += 8 * n_dims + 4 + 8
    tensors_end = reader.at
    added = b""
    for key, text in texts.items():
        key, text = key.encode(), text.encode()
        added += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", STRING, len(text)) + text
    head = struct.pack("<4sIQQ", magic, version, n_tensors, n_entries + len(texts)) + \
        data[entries_begin:entries_end] + added + data[entries_end:tensors_end]
    return head + bytes(-len(head) % alignment) + data[tensors_end + -tensors_end % alignment:]
