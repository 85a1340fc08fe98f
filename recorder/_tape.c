/* What recording does for every packet: take it from the packet path (Tape), and lay a batch out as records (frame).
 *
 * Nothing is decided here. tape.py has both in Python, with the same behaviour (docs/decisions/0111).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <structmember.h>

#define RTP 1            /* log.RecordKind.RTP */
#define RTP_HEADER 12    /* summary.RTP_HEADER */
#define RECORD_HEADER 23 /* log.HEADER, "!BHIQQ" */
#define MOST_TRACKS 32   /* in one batch; with more, Python counts */

static PyObject *name_track_id, *name_append, *name_on_rtp_slowly;

/* When the writer did its last round: base of writer.LogWriter */

typedef struct {
    PyObject_HEAD
    double progress; /* seconds of the monotonic clock */
} Progress;

static PyMemberDef Progress_members[] = {
    {"progress", T_DOUBLE, offsetof(Progress, progress)},
    {NULL},
};

static PyTypeObject ProgressType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "recorder._tape.Progress",
    .tp_basicsize = sizeof(Progress),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_members = Progress_members,
    .tp_doc = "See tape.PlainProgress.",
};

/* The leg's side */

typedef struct {
    PyObject_HEAD
    PyObject *numbers; /* dict: track_id -> number, or None */
    PyObject *items;
    PyObject *append; /* items.append */
    Progress *writer;
    Py_ssize_t limit;
    double stall_limit;
} Tape;

static PyObject *Tape_watch(Tape *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"numbers", "items", "writer", "limit", "stall_limit", NULL};
    PyObject *numbers, *items, *writer;
    Py_ssize_t limit;
    double stall_limit;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!OO!nd:watch", names, &PyDict_Type, &numbers, &items,
                                     &ProgressType, &writer, &limit, &stall_limit)) {
        return NULL;
    }
    PyObject *append = PyObject_GetAttr(items, name_append);
    if (append == NULL) {
        return NULL;
    }
    Py_XSETREF(self->append, append);
    Py_XSETREF(self->numbers, Py_NewRef(numbers));
    Py_XSETREF(self->items, Py_NewRef(items));
    Py_XSETREF(self->writer, (Progress *)Py_NewRef(writer));
    self->limit = limit;
    self->stall_limit = stall_limit;
    Py_RETURN_NONE;
}

/* Whether the writer keeps up. -1: an exception is set. */
static int tape_flows(Tape *self, double arrival) {
    Py_ssize_t waiting = PyObject_Size(self->items);
    return waiting < 0 ? -1 : waiting < self->limit && arrival - self->writer->progress < self->stall_limit;
}

static PyObject *Tape_on_rtp(Tape *self, PyObject *const *args, Py_ssize_t count) {
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "on_rtp(track, packet, arrival)");
        return NULL;
    }
    if (self->numbers != NULL && PyFloat_CheckExact(args[2])) {
        PyObject *identifier = PyObject_GetAttr(args[0], name_track_id);
        PyObject *number = identifier == NULL ? NULL : PyDict_GetItemWithError(self->numbers, identifier);
        Py_XINCREF(number);
        Py_XDECREF(identifier);
        if (number == Py_None) { /* a track that the warrant does not cover */
            return number;
        }
        if (number != NULL) {
            int flows = tape_flows(self, PyFloat_AS_DOUBLE(args[2]));
            PyObject *result = NULL;
            if (flows > 0) {
                PyObject *item = Py_BuildValue("(iOOO)", RTP, number, args[1], args[2]);
                result = item == NULL ? NULL : PyObject_CallOneArg(self->append, item);
                Py_XDECREF(item);
            }
            Py_DECREF(number);
            if (flows != 0) {
                return result;
            }
        } else if (PyErr_Occurred()) {
            return NULL;
        }
    }
    return PyObject_CallMethodObjArgs((PyObject *)self, name_on_rtp_slowly, args[0], args[1], args[2], NULL);
}

static int Tape_traverse(Tape *self, visitproc visit, void *arg) {
    Py_VISIT(self->numbers);
    Py_VISIT(self->items);
    Py_VISIT(self->append);
    Py_VISIT(self->writer);
    return 0;
}

static int Tape_clear(Tape *self) {
    Py_CLEAR(self->numbers);
    Py_CLEAR(self->items);
    Py_CLEAR(self->append);
    Py_CLEAR(self->writer);
    return 0;
}

static void Tape_dealloc(Tape *self) {
    PyObject_GC_UnTrack(self);
    Tape_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Tape_methods[] = {
    {"watch", (PyCFunction)(void (*)(void))Tape_watch, METH_VARARGS | METH_KEYWORDS, "What `on_rtp` looks at."},
    {"on_rtp", (PyCFunction)(void (*)(void))Tape_on_rtp, METH_FASTCALL, "One packet, kept here or by on_rtp_slowly."},
    {NULL},
};

static PyTypeObject TapeType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "recorder._tape.Tape",
    .tp_basicsize = sizeof(Tape),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)Tape_dealloc,
    .tp_traverse = (traverseproc)Tape_traverse,
    .tp_clear = (inquiry)Tape_clear,
    .tp_methods = Tape_methods,
    .tp_doc = "See tape.PlainTape.",
};

/* The writer's side */

typedef struct {
    long track;
    uint16_t first, next;
    long long packets, octets, last_ns;
} Run;

typedef struct {
    Run runs[MOST_TRACKS];
    int used;
    int broken; /* a track's packets are not in order, or there are too many tracks */
} Runs;

static void runs_add(Runs *all, long track, const uint8_t *packet, Py_ssize_t size, long long mono_ns) {
    uint16_t number = (uint16_t)(packet[2] << 8 | packet[3]);
    int i = 0;
    while (i < all->used && all->runs[i].track != track) {
        i++;
    }
    if (i == all->used) {
        if (i == MOST_TRACKS) {
            all->broken = 1;
            return;
        }
        all->used++;
        all->runs[i] = (Run){.track = track, .first = number, .next = number};
    }
    Run *run = &all->runs[i];
    if (run->next != number) {
        all->broken = 1;
    }
    run->next = (uint16_t)(number + 1);
    run->packets++;
    run->octets += size;
    run->last_ns = mono_ns;
}

static PyObject *runs_object(const Runs *all) {
    if (all->broken) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(all->used);
    for (int i = 0; list != NULL && i < all->used; i++) {
        const Run *run = &all->runs[i];
        PyObject *one = Py_BuildValue("(liLLL)", run->track, (int)run->first, run->packets, run->octets, run->last_ns);
        if (one == NULL) {
            Py_CLEAR(list);
        } else {
            PyList_SET_ITEM(list, i, one);
        }
    }
    return list;
}

static uint8_t *put(uint8_t *at, uint64_t value, int octets) {
    for (int i = octets - 1; i >= 0; i--) {
        *at++ = (uint8_t)(value >> (8 * i));
    }
    return at;
}

/* One item that is a packet: its parts. 0: it is none; -1: an exception is set. */
static int item_parts(PyObject *item, long *kind, long *track, PyObject **payload, double *arrival) {
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 4) {
        PyErr_SetString(PyExc_TypeError, "an item is a tuple of four");
        return -1;
    }
    *payload = PyTuple_GET_ITEM(item, 2);
    if (!PyBytes_Check(*payload)) {
        return 0;
    }
    PyObject *first = PyTuple_GET_ITEM(item, 0), *second = PyTuple_GET_ITEM(item, 1), *last = PyTuple_GET_ITEM(item, 3);
    if (!PyLong_Check(first) || !PyLong_Check(second) || !(PyFloat_Check(last) || PyLong_Check(last))) {
        PyErr_SetString(PyExc_TypeError, "an item has a kind, a track, a payload and a time");
        return -1;
    }
    *kind = PyLong_AsLong(first);
    *track = PyLong_AsLong(second);
    *arrival = PyFloat_AsDouble(last);
    return PyErr_Occurred() ? -1 : 1;
}

/* frame(items, at, shift_ns, offset_ns): see tape.frame. */
static PyObject *frame(PyObject *module, PyObject *args) {
    PyObject *items, *payload, *records;
    Py_ssize_t at, end, total = 0;
    long long shift_ns, offset_ns, first_ns = 0, last_ns = 0;
    long kind, track;
    double arrival;
    int is_packet = 1;
    Runs all = {.used = 0};
    if (!PyArg_ParseTuple(args, "O!nLL:frame", &PyList_Type, &items, &at, &shift_ns, &offset_ns)) {
        return NULL;
    }
    if (at < 0) {
        PyErr_SetString(PyExc_ValueError, "before the list's beginning");
        return NULL;
    }
    for (end = at; end < PyList_GET_SIZE(items); end++) {
        is_packet = item_parts(PyList_GET_ITEM(items, end), &kind, &track, &payload, &arrival);
        if (is_packet <= 0) {
            break;
        }
        long long mono_ns = arrival >= 0.0 && arrival < 9e9 ? (long long)(arrival * 1e9) + shift_ns : -1;
        if (kind < 0 || kind > 0xFF || track < 0 || track > 0xFFFF || mono_ns < 0 || mono_ns + offset_ns < 0 ||
            PyBytes_GET_SIZE(payload) > (Py_ssize_t)UINT32_MAX) {
            PyErr_SetString(PyExc_ValueError, "a number does not fit into a record");
            return NULL;
        }
        total += RECORD_HEADER + PyBytes_GET_SIZE(payload);
    }
    if (is_packet < 0 || (records = PyBytes_FromStringAndSize(NULL, total)) == NULL) {
        return NULL;
    }
    /* Nothing of Python ran since the list was measured (ints and floats are read by their own value). */
    uint8_t *to = (uint8_t *)PyBytes_AS_STRING(records);
    for (Py_ssize_t i = at; i < end; i++) {
        if (item_parts(PyList_GET_ITEM(items, i), &kind, &track, &payload, &arrival) <= 0) {
            Py_DECREF(records);
            return NULL;
        }
        const uint8_t *octets = (const uint8_t *)PyBytes_AS_STRING(payload);
        Py_ssize_t size = PyBytes_GET_SIZE(payload);
        long long mono_ns = (long long)(arrival * 1e9) + shift_ns;
        first_ns = i == at || mono_ns < first_ns ? mono_ns : first_ns;
        last_ns = i == at || mono_ns > last_ns ? mono_ns : last_ns;
        if (kind == RTP && size >= RTP_HEADER) {
            runs_add(&all, track, octets, size, mono_ns);
        }
        to = put(to, (uint64_t)kind, 1);
        to = put(to, (uint64_t)track, 2);
        to = put(to, (uint64_t)size, 4);
        to = put(to, (uint64_t)mono_ns, 8);
        to = put(to, (uint64_t)(mono_ns + offset_ns), 8);
        memcpy(to, octets, (size_t)size);
        to += size;
    }
    PyObject *runs = runs_object(&all);
    if (runs == NULL) {
        Py_DECREF(records);
        return NULL;
    }
    return Py_BuildValue("(nNNLL)", end, records, runs, first_ns, last_ns);
}

static PyMethodDef functions[] = {
    {"frame", (PyCFunction)frame, METH_VARARGS, "See tape.frame."},
    {NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "recorder._tape", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__tape(void) {
    name_track_id = PyUnicode_InternFromString("track_id");
    name_append = PyUnicode_InternFromString("append");
    name_on_rtp_slowly = PyUnicode_InternFromString("on_rtp_slowly");
    if (name_track_id == NULL || name_append == NULL || name_on_rtp_slowly == NULL ||
        PyType_Ready(&TapeType) < 0 || PyType_Ready(&ProgressType) < 0) {
        return NULL;
    }
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && (PyModule_AddObjectRef(module, "Tape", (PyObject *)&TapeType) < 0 ||
                           PyModule_AddObjectRef(module, "Progress", (PyObject *)&ProgressType) < 0)) {
        Py_CLEAR(module);
    }
    return module;
}
