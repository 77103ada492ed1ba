/* From native code back to Python's linker: what our objects ask at run time and only Python can decide.
 *
 * The package latebind.linker hands over one object, its *desk*, with a method for each question; the core calls it
 * from whatever thread asks, taking the interpreter lock for the while.  Without a desk, or while the interpreter ends,
 * there is no answer, and each question has its own way of doing without. */
#define _GNU_SOURCE
#include "callback.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "image.h"
#include "module.h"
#include "services.h"

static PyObject *desk; /* owned; set under the interpreter lock */

/* ---- control-C -------------------------------------------------------------------------------------------------------
 * Native code that asks cannot be told of a KeyboardInterrupt, and a question answered by half leaves something behind.
 * So a signal that comes meanwhile is noted, and left for the Python code that called the native.  Handlers run in the
 * main thread only, and only that thread may change them. */

static bool is_interrupted;

static PyObject *note_interrupt(PyObject *unused, PyObject *args)
{
    (void)unused, (void)args;
    is_interrupted = true;
    Py_RETURN_NONE;
}

static PyMethodDef noting = {"note_interrupt", note_interrupt, METH_VARARGS, NULL};

/* signal.signal(SIGINT, handler), or signal.getsignal(SIGINT) where there is none; NULL where that cannot be. */
static PyObject *ask_signal(PyObject *handler)
{
    PyObject *module = PyImport_ImportModule("signal");
    PyObject *answer = module == NULL  ? NULL
                       : handler == NULL ? PyObject_CallMethod(module, "getsignal", "i", SIGINT)
                                         : PyObject_CallMethod(module, "signal", "iO", SIGINT, handler);
    if (answer == NULL && handler != NULL && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) { /* it was under way */
        is_interrupted = true;
        PyErr_Clear();
        answer = PyObject_CallMethod(module, "signal", "iO", SIGINT, handler);
    }
    PyErr_Clear(); /* ValueError: not the main thread */
    Py_XDECREF(module);
    return answer;
}

/* The handler written in Python that was replaced by a recorder, or NULL. */
static PyObject *defer_interrupts(void)
{
    PyObject *recorder = PyCFunction_NewEx(&noting, NULL, NULL), *before = ask_signal(NULL), *replaced = NULL;
    if (recorder != NULL && before != NULL && PyCallable_Check(before))
        replaced = ask_signal(recorder);
    Py_XDECREF(before);
    Py_XDECREF(recorder);
    return replaced;
}

static PyObject *call_uninterrupted(PyObject *function, PyObject *arguments)
{
    PyErr_Clear();
    PyObject *before = defer_interrupts();
    PyObject *result = PyObject_CallObject(function, arguments), *type, *value, *trace;
    if (before == NULL)
        return result;
    PyErr_Fetch(&type, &value, &trace);
    Py_XDECREF(ask_signal(before));
    PyErr_Restore(type, value, trace);
    if (is_interrupted)
        PyErr_SetInterrupt();
    is_interrupted = false;
    Py_DECREF(before);
    return result;
}

bool lb_ask(struct lb_answer *answer, const char *method, const char *format, ...)
{
    *answer = (struct lb_answer){0};
    if (!Py_IsInitialized() || desk == NULL)
        return false;
    int saved_errno = errno;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *type, *value, *trace; /* the caller's own pending exception stays as it is */
    PyErr_Fetch(&type, &value, &trace);
    va_list arguments;
    va_start(arguments, format);
    PyObject *packed = Py_VaBuildValue(format, arguments);
    va_end(arguments);
    PyObject *function = packed == NULL ? NULL : lb_attribute(desk, method);
    PyObject *result = function == NULL ? NULL : call_uninterrupted(function, packed);
    if (result != NULL && PyArg_ParseTuple(result, "O&z", lb_as_uint64, &answer->value, &answer->text)) {
        answer->is_given = true;
        answer->keep = result;
    } else {
        PyErr_WriteUnraisable(function);
        Py_XDECREF(result);
    }
    Py_XDECREF(function);
    Py_XDECREF(packed);
    PyErr_Restore(type, value, trace);
    PyGILState_Release(state);
    errno = saved_errno;
    return answer->is_given;
}

void lb_answer_drop(struct lb_answer *answer)
{
    if (answer->keep == NULL || !Py_IsInitialized())
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF((PyObject *)answer->keep);
    PyGILState_Release(state);
    answer->keep = NULL;
}

static uint64_t find_late(const struct lb_image *image, uint32_t symbol, char *hint, size_t size)
{
    struct lb_answer answer;
    if (!lb_ask(&answer, "find_late", "(KI)", (unsigned long long)image->base, (unsigned)symbol))
        return 0;
    uint64_t address = answer.value;
    snprintf(hint, size, "%s", answer.text != NULL ? answer.text : "");
    lb_answer_drop(&answer);
    return address;
}

static PyObject *set_desk(PyObject *module, PyObject *value)
{
    (void)module;
    PyObject *old = desk;
    desk = Py_NewRef(value);
    lb_process.find_late = find_late;
    Py_XDECREF(old);
    Py_RETURN_NONE;
}

static PyObject *service_address(PyObject *module, PyObject *args)
{
    unsigned long long service;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&:service_address", lb_as_uint64, &service))
        return NULL;
    uint64_t address = lb_service_address(service);
    if (address == 0)
        return PyErr_Format(PyExc_ValueError, "there is no service %llu", service);
    return PyLong_FromUnsignedLongLong(address);
}

static PyObject *address_info(PyObject *module, PyObject *args)
{
    unsigned long long address;
    Dl_info info;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&:address_info", lb_as_uint64, &address))
        return NULL;
    if (lb_addr(lb_pointer(address), &info) == 0)
        Py_RETURN_NONE;
    PyObject *path = PyUnicode_DecodeFSDefault(info.dli_fname != NULL ? info.dli_fname : "");
    return Py_BuildValue("(NKzK)", path, (unsigned long long)(uintptr_t)info.dli_fbase, info.dli_sname,
                         (unsigned long long)(uintptr_t)info.dli_saddr);
}

/* ---- debuggers --------------------------------------------------------------------------------------------------------- */

static PyObject *debugger_listens(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyBool_FromLong(lb_debugger_listens());
}

static PyObject *debugger_enter(PyObject *module, PyObject *args)
{
    Py_buffer file;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*:debugger_enter", &file))
        return NULL;
    void *entry = lb_debugger_enter(file.buf, (size_t)file.len);
    PyBuffer_Release(&file);
    return entry != NULL ? PyLong_FromVoidPtr(entry) : PyErr_NoMemory();
}

static PyObject *debugger_remove(PyObject *module, PyObject *args)
{
    unsigned long long entry;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&:debugger_remove", lb_as_uint64, &entry))
        return NULL;
    lb_debugger_remove(lb_pointer(entry));
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"debugger_listens", debugger_listens, METH_NOARGS,
     "debugger_listens() -> bool\n\nWhether a debugger has set its breakpoint for symbol files."},
    {"debugger_enter", debugger_enter, METH_VARARGS,
     "debugger_enter(file) -> int\n\nShow debuggers a symbol file, which is copied; the entry, for debugger_remove."},
    {"debugger_remove", debugger_remove, METH_VARARGS,
     "debugger_remove(entry) -> None\n\nLet debuggers forget what debugger_enter showed them, once."},
    {"service_address", service_address, METH_VARARGS,
     "service_address(service) -> int\n\nThe core's own function for enum lb_service.  Raises ValueError."},
    {"address_info", address_info, METH_VARARGS,
     "address_info(address) -> tuple[str, int, str | None, int] | None\n\n"
     "As dladdr, of our objects too: path, start of the object, nearest symbol and its address; None: in no object."},
    {"set_desk", set_desk, METH_O,
     "set_desk(desk) -> None\n\n"
     "Hand over the object whose methods answer what native code asks; each returns (number, text or None)."},
    {NULL, NULL, 0, NULL},
};

int lb_add_callback(PyObject *module) { return PyModule_AddFunctions(module, functions); }
