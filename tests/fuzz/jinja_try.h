/* What the fuzzer and the mutation test of chat templates do with each template: read it, run it, look at the
 * result. */
#ifndef PUMICE_TESTS_JINJA_TRY_H
#define PUMICE_TESTS_JINJA_TRY_H

#include <stddef.h>

/* Returns 1 where a prompt came of it. Ends the program where the result breaks a promise. */
int jinja_try(const char *text, size_t size);

#endif
