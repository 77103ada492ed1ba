/* Questions to Python's linker, for files of the core that know no Python; py_callback.c says how they travel. */
#ifndef LATEBIND_CALLBACK_H
#define LATEBIND_CALLBACK_H

#include <stdbool.h>

struct lb_answer {
    bool is_given;
    unsigned long long value;
    const char *text; /* an error message, or NULL; valid until lb_answer_drop */
    void *keep;
};

/* Calls the desk's `method` with arguments as for Py_BuildValue (a tuple format).  False: there was no answer. */
bool lb_ask(struct lb_answer *answer, const char *method, const char *format, ...);
void lb_answer_drop(struct lb_answer *answer);

#endif
