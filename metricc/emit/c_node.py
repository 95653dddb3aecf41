"""C++ of an autograd node that knows of no metric: what Python's own node costs at small batches.

`count` calls the C of a kernel, `node` makes the tensor of a loss whose backward calls its C again.
Only the public classes of torch's C++ are used.
"""

from __future__ import annotations

NAME = "metricc_node"

TEXT = """\
/* Made by metricc: the autograd node of losses with a built kernel, for one version of torch. */
#include <Python.h>
#include <ATen/Parallel.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/python_variable.h>

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

typedef int (*Count)(const void *, const void *, int, const void *, int, void *, int64_t, int, double, double,
                     int, double *);
typedef void (*Finish)(void *, const void *, int, const void *, int, int64_t, int, double, double, int);

static const int64_t ONE_THREAD = 32768; /* elements up to which threads cost more than they bring */

static int team(int64_t n) { return n <= ONE_THREAD ? 1 : at::get_num_threads(); }

/* The number that the C has for a type, or -2. */
static int type_of(const Tensor &t)
{
    switch (t.scalar_type()) {
    case at::kFloat: return 0;
    case at::kDouble: return 1;
    case at::kLong: return 2;
    case at::kInt: return 3;
    case at::kByte: return 4;
    case at::kBool: return 4;
    default: return -2;
    }
}

static const void *memory(const Tensor &t) { return t.defined() ? t.const_data_ptr() : nullptr; }

static int counted(Count count, const Tensor &z, int wide, const Tensor &y, int y_type, const Tensor &v, int v_type,
                   const Tensor &slope, double a, double b, double *sums)
{
    void *room = slope.defined() ? slope.mutable_data_ptr() : nullptr;
    int64_t n = z.numel();
    return count(memory(z), memory(y), y_type, memory(v), v_type, room, n, wide, a, b, team(n), sums);
}

struct Job : torch::CustomClassHolder {
    Tensor slope; /* turns into the gradient, once */
    double positive, negative, a, b;
    Count count;
    Finish finish;
    int y_type, v_type;
    PyObject *again = nullptr; /* (input, target, weight, gradient of the loss) -> gradient, by torch's operations */

    ~Job() override
    {
        if (!again || !Py_IsInitialized()) return;
        PyGILState_STATE state = PyGILState_Ensure();
        Py_DECREF(again);
        PyGILState_Release(state);
    }
};

/* The gradient by torch's operations: for second derivatives, and for a second backward. */
static Tensor by_python(PyObject *again, const Tensor &input, const Tensor &target, const Tensor &weight, const Tensor &grad)
{
    pybind11::gil_scoped_acquire holding;
    PyObject *arguments[4] = {THPVariable_Wrap(input), THPVariable_Wrap(target),
                              weight.defined() ? THPVariable_Wrap(weight) : Py_NewRef(Py_None), THPVariable_Wrap(grad)};
    PyObject *found = PyObject_Vectorcall(again, arguments, 4, nullptr);
    for (PyObject *argument : arguments) Py_XDECREF(argument);
    if (!found) {
        python_error error;
        error.persist();
        throw error;
    }
    Tensor gradient = THPVariable_Unpack(found);
    Py_DECREF(found);
    return gradient;
}

struct Loss : torch::autograd::Function<Loss> {
    static Tensor forward(AutogradContext *ctx, const Tensor &input, const Tensor *target, const Tensor *weight,
                          double loss, c10::intrusive_ptr<Job> job)
    {
        ctx->save_for_backward({input, *target, *weight});
        Tensor out = at::detail::empty_cpu({}, input.scalar_type());
        if (input.scalar_type() == at::kDouble) *out.mutable_data_ptr<double>() = loss;
        else *out.mutable_data_ptr<float>() = (float)loss;
        ctx->saved_data["job"] = at::IValue::make_capsule(std::move(job));
        return out;
    }

    static variable_list backward(AutogradContext *ctx, variable_list grads)
    {
        auto saved = ctx->get_saved_variables();
        auto capsule = ctx->saved_data["job"].toCapsule();
        Job &job = static_cast<Job &>(*capsule);
        const Tensor &z = saved[0], &y = saved[1], &v = saved[2], &grad = grads[0];
        Tensor slope = std::move(job.slope), none;
        if (!grad.defined()) return {none, none, none, none, none};
        int wide = z.scalar_type() == at::kDouble;
        bool number = grad.is_cpu() && grad.has_storage() && type_of(grad) == wide; /* not a batch of several */
        if (number && !c10::GradMode::is_enabled() && !slope.defined()) { /* a second backward */
            double sums[4];
            slope = at::detail::empty_cpu(z.sizes(), z.scalar_type());
            if (counted(job.count, z, wide, y, job.y_type, v, job.v_type, slope, job.a, job.b, sums)) slope.reset();
        }
        if (!number || c10::GradMode::is_enabled() || !slope.defined())
            return {by_python(job.again, z, y, v, grad), none, none, none, none};
        double scale = wide ? *grad.const_data_ptr<double>() : *grad.const_data_ptr<float>();
        int64_t n = slope.numel();
        job.finish(slope.mutable_data_ptr(), memory(y), job.y_type, memory(v), job.v_type, n, wide,
                   scale * job.positive, scale * job.negative, team(n));
        return {slope, none, none, none, none};
    }
};

static Tensor tensor(PyObject *given) { return given == Py_None ? Tensor() : THPVariable_Unpack(given); }

/* count(count, input, target, weight, keep, a, b) -> ([TP, FN, FP, TN], slope or None), or None. */
static PyObject *count(PyObject *, PyObject *const *given, Py_ssize_t)
{
    HANDLE_TH_ERRORS
    Tensor z = tensor(given[1]), y = tensor(given[2]), v = tensor(given[3]), slope;
    int wide = type_of(z), y_type = type_of(y), v_type = v.defined() ? type_of(v) : -1;
    if (wide < 0 || wide > 1 || y_type < 0 || v_type < -1 || v_type > 1) Py_RETURN_NONE;
    if (!z.is_contiguous() || !y.is_contiguous() || (v.defined() && !v.is_contiguous())) Py_RETURN_NONE;
    if (given[4] == Py_True) slope = at::detail::empty_cpu(z.sizes(), z.scalar_type());
    double sums[4], a = PyFloat_AsDouble(given[5]), b = PyFloat_AsDouble(given[6]);
    Count function = (Count)PyLong_AsVoidPtr(given[0]);
    if (PyErr_Occurred()) return nullptr;
    int failed;
    {
        pybind11::gil_scoped_release without;
        failed = counted(function, z, wide, y, y_type, v, v_type, slope, a, b, sums);
    }
    if (failed) Py_RETURN_NONE;
    PyObject *counts = PyList_New(4), *both = PyTuple_New(2);
    for (int i = 0; i < 4; i++) PyList_SET_ITEM(counts, i, PyFloat_FromDouble(sums[i]));
    PyTuple_SET_ITEM(both, 0, counts);
    PyTuple_SET_ITEM(both, 1, slope.defined() ? THPVariable_Wrap(std::move(slope)) : Py_NewRef(Py_None));
    return both;
    END_HANDLE_TH_ERRORS
}

/* node(count, finish, input, target, weight, slope, loss, positive, negative, again, a, b) -> the loss. */
static PyObject *node(PyObject *, PyObject *const *given, Py_ssize_t)
{
    HANDLE_TH_ERRORS
    Tensor target = tensor(given[3]), weight = tensor(given[4]);
    auto job = c10::make_intrusive<Job>();
    job->count = (Count)PyLong_AsVoidPtr(given[0]);
    job->finish = (Finish)PyLong_AsVoidPtr(given[1]);
    job->slope = tensor(given[5]);
    double loss = PyFloat_AsDouble(given[6]);
    job->positive = PyFloat_AsDouble(given[7]);
    job->negative = PyFloat_AsDouble(given[8]);
    job->y_type = type_of(target);
    job->v_type = weight.defined() ? type_of(weight) : -1;
    job->again = Py_NewRef(given[9]);
    job->a = PyFloat_AsDouble(given[10]);
    job->b = PyFloat_AsDouble(given[11]);
    if (PyErr_Occurred()) return nullptr;
    return THPVariable_Wrap(Loss::apply(THPVariable_Unpack(given[2]), &target, &weight, loss, std::move(job)));
    END_HANDLE_TH_ERRORS
}

static PyMethodDef methods[] = {
    {"count", (PyCFunction)(void (*)(void))count, METH_FASTCALL, nullptr},
    {"node", (PyCFunction)(void (*)(void))node, METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
static PyModuleDef module_of = {PyModuleDef_HEAD_INIT, "metricc_node", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit_metricc_node(void) { return PyModule_Create(&module_of); }
"""
