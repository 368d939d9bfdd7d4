# cmake -DNAME=shader -DIN=shader.spv -DOUT=shader.inc -P embed_shader.cmake: a SPIR-V file, packed, as C.
cmake_policy(VERSION 3.22)
file(SIZE ${IN} bytes)
math(EXPR n_words "${bytes} / 4")
file(ARCHIVE_CREATE OUTPUT ${OUT}.zst PATHS ${IN} FORMAT raw COMPRESSION Zstd COMPRESSION_LEVEL 9)
file(READ ${OUT}.zst hex HEX)
file(REMOVE ${OUT}.zst)
string(REGEX REPLACE "(..)" "0x\\1," packed "${hex}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" packed
       "${packed}")
file(WRITE ${OUT} "enum { n_words_${NAME} = ${n_words} };\n"
     "static const unsigned char packed_${NAME}[] = {\n${packed}};\n")
