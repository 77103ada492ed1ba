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

static int execute_module(PyObject *module)
{
    if (lb_add_match(module) < 0 || lb_add_bindings(module) < 0 || lb_add_bind(module) < 0 || lb_add_layout(module) < 0 || lb_add_file(module) < 0 || lb_add_kept(module) < 0 || lb_add_cache(module) < 0 || lb_add_image(module) < 0 || lb_add_system(module) < 0)
        return -1;
    if (lb_add_token(module) < 0 || lb_add_context(module) < 0 || lb_add_callback(module) < 0 || lb_add_stubs(module) < 0 ||
        lb_add_summary(module) < 0)
        return -1;
    if (lb_add_lifetime(module) < 0 || lb_add_memory(module) < 0 || lb_add_function(module) < 0 || lb_add_closure(module) < 0)
        return -1;
    if (lb_add_gate(module) < 0 || lb_add_pool(module) < 0 || lb_add_method(module) < 0 || lb_add_entry(module) < 0 ||
        lb_add_link(module) < 0)
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
