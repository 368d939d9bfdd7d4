/* The tables of character_class.h, as make_character_table wrote them. */
#include "parts/character_class.h"

#include "character_table.h"
