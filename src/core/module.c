/* `latebind._core`: the Python face of the C core.  Each py_*.c adds its own part to the module. */
#include "module.h"

#include "py_match.h"

PyObject *lb_attribute(PyObject *object, const char *name)
{
    PyObject *interned = PyUnicode_InternFromString(name);
    PyObject *value = interned == NULL ? NULL : PyObject_GetAttr(object, interned);
    Py_XDECREF(interned);
    return value;
}

static int (*const parts[])(PyObject *module) = {
    lb_add_match, lb_add_bindings, lb_add_pack, lb_add_bind, lb_add_lookup, lb_add_layout, lb_add_file, lb_add_kept,
    lb_add_cache, lb_add_image, lb_add_system, lb_add_token, lb_add_context, lb_add_callback, lb_add_stubs, lb_add_summary,
    lb_add_lifetime, lb_add_memory, lb_add_function, lb_add_closure, lb_add_gate, lb_add_pool, lb_add_method, lb_add_entry,
    lb_add_link,
};

static int execute_module(PyObject *module)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i](module) < 0)
            return -1;
    return PyModule_AddStringConstant(module, "version", LB_VERSION);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute_module},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "latebind._core",
    .m_doc = "The C core: matches symbols over file bytes and executes plans.",
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}
