# cmake -DIN=shader.spv -DOUT=shader.inc -P embed_words.cmake: a SPIR-V file as the words of a C initialiser.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1u," words "${hex}")
string(REGEX REPLACE "(0x........u,0x........u,0x........u,0x........u,0x........u,0x........u,0x........u,0x........u,)"
       "\\1\n" words "${words}")
file(WRITE ${OUT} "${words}\n")
