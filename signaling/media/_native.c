/* The packet path in C: what is done for every packet and decides nothing (docs/decisions/0110).
 *
 * Reading datagrams in batches, SRTP, reading headers, and the stable step of forwarding: write a header, protect,
 * queue, send the queue in one system call. Everything that decides anything stays in Python and sets the numbers that
 * are used here. Each type has a twin in Python with the same behaviour (plain.py); native.py chooses.
 *
 * All of it runs on the event loop's thread with the interpreter's lock held. Nothing blocks: the socket does not. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "_packet.h"

#define BATCH 64
#define MAX_DATAGRAM 2048
#define MAX_UNPROTECTED 1500 /* the same limits as pylibsrtp's buffer gives: srtp.py */
#define MAX_PROTECTED 1356
#define MAX_TRAILER 144 /* SRTP_MAX_TRAILER_LEN */
#define MAX_HEADER 96   /* of a packet that is made here: 12 bytes and the extensions */
#define MAX_SOURCES 32

/* libsrtp, as pylibsrtp has it: srtp_err_status_t f(srtp_t, void *packet, int *length). Set once by `configure`. */
typedef int (*srtp_function)(void *session, void *packet, int *length);

static srtp_function srtp_protect_packet;
static srtp_function srtp_unprotect_packet;
static PyObject *srtp_error;

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

/* What a datagram's source is found by: family, port, address, scope. */
typedef struct {
    uint8_t bytes[24];
    Py_ssize_t length;
} address_key;

static int key_of(const socket_address *address, address_key *key) {
    if (address->any.sa_family == AF_INET) {
        memcpy(key->bytes, &address->v4.sin_port, 2);
        memcpy(key->bytes + 2, &address->v4.sin_addr, 4);
        key->length = 6;
        return 1;
    }
    if (address->any.sa_family == AF_INET6) {
        memcpy(key->bytes, &address->v6.sin6_port, 2);
        memcpy(key->bytes + 2, &address->v6.sin6_addr, 16);
        memcpy(key->bytes + 18, &address->v6.sin6_scope_id, 4);
        key->length = 22;
        return 1;
    }
    return 0;
}

/* As the socket module writes it: (host, port) or (host, port, flow info, scope). */
static PyObject *tuple_of(const socket_address *address) {
    char text[INET6_ADDRSTRLEN];
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof text);
        return Py_BuildValue("(si)", text, (int)ntohs(address->v4.sin_port));
    }
    inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof text);
    return Py_BuildValue("(siII)", text, (int)ntohs(address->v6.sin6_port),
                         (unsigned)ntohl(address->v6.sin6_flowinfo), (unsigned)address->v6.sin6_scope_id);
}

/* The other way; ValueError for what is not an IP address and a port. */
static int address_of(PyObject *tuple, socket_address *address, socklen_t *length) {
    const char *host;
    int port;
    unsigned flow = 0, scope = 0;
    memset(address, 0, sizeof *address);
    if (!PyTuple_Check(tuple)) {
        PyErr_SetString(PyExc_TypeError, "an address is a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(tuple, "si|II", &host, &port, &flow, &scope)) {
        return 0;
    }
    if (port < 0 || port > 65535) {
        PyErr_SetString(PyExc_ValueError, "no such port");
        return 0;
    }
    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((uint16_t)port);
        *length = sizeof address->v4;
        return 1;
    }
    char bare[INET6_ADDRSTRLEN];
    size_t end = strcspn(host, "%"); /* the scope stands in the tuple as a number, too */
    if (end < sizeof bare) {
        memcpy(bare, host, end);
        bare[end] = 0;
        if (inet_pton(AF_INET6, bare, &address->v6.sin6_addr) == 1) {
            address->v6.sin6_family = AF_INET6;
            address->v6.sin6_port = htons((uint16_t)port);
            address->v6.sin6_flowinfo = htonl(flow);
            address->v6.sin6_scope_id = scope;
            *length = sizeof address->v6;
            return 1;
        }
    }
    PyErr_Format(PyExc_ValueError, "not an IP address: %s", host);
    return 0;
}

/* ---- Cipher: one direction of one SRTP session ------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    void *session;
    PyObject *owner; /* keeps the session alive */
} Cipher;

static PyTypeObject CipherType;

static PyObject *Cipher_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"session", "owner", NULL};
    unsigned long long session;
    PyObject *owner;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KO:Cipher", names, &session, &owner)) {
        return NULL;
    }
    if (srtp_protect_packet == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "configure was not called");
        return NULL;
    }
    if (session == 0) {
        PyErr_SetString(PyExc_ValueError, "no session");
        return NULL;
    }
    Cipher *self = (Cipher *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->session = (void *)(uintptr_t)session;
        self->owner = Py_NewRef(owner);
    }
    return (PyObject *)self;
}

static void Cipher_dealloc(Cipher *self) {
    Py_XDECREF(self->owner);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Cipher_process(Cipher *self, PyObject *packet, srtp_function function, Py_ssize_t limit) {
    _Alignas(8) uint8_t buffer[MAX_UNPROTECTED + 8];
    if (!PyBytes_Check(packet)) {
        PyErr_SetString(PyExc_TypeError, "a packet is bytes");
        return NULL;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(packet);
    if (size > limit) {
        PyErr_SetString(PyExc_ValueError, "packet is too long");
        return NULL;
    }
    memcpy(buffer, PyBytes_AS_STRING(packet), (size_t)size);
    int length = (int)size;
    if (function(self->session, buffer, &length)) {
        PyErr_SetString(srtp_error, "libsrtp refused the packet");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)buffer, length);
}

static PyObject *Cipher_protect(Cipher *self, PyObject *packet) {
    return Cipher_process(self, packet, srtp_protect_packet, MAX_PROTECTED);
}

static PyObject *Cipher_unprotect(Cipher *self, PyObject *packet) {
    return Cipher_process(self, packet, srtp_unprotect_packet, MAX_UNPROTECTED);
}

static PyMethodDef Cipher_methods[] = {
    {"protect", (PyCFunction)Cipher_protect, METH_O, "Encrypt one RTP packet."},
    {"unprotect", (PyCFunction)Cipher_unprotect, METH_O, "Check and decrypt one SRTP packet."},
    {NULL},
};

static PyTypeObject CipherType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Cipher",
    .tp_basicsize = sizeof(Cipher),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = Cipher_new,
    .tp_dealloc = (destructor)Cipher_dealloc,
    .tp_methods = Cipher_methods,
    .tp_doc = "One direction of an SRTP session: its libsrtp handle as a number, and what keeps that alive.",
};

/* ---- View: one received packet, read once ------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    PyObject *packet; /* bytes */
    double arrival;
    long long index;
    rtp_header header;
    uint32_t departure; /* 24 bits */
    char keyframe;
} View;

static PyTypeObject ViewType;

/* Steals `packet`. NULL and no exception for a malformed packet: `problem` says what is wrong. */
static View *view_of(PyObject *packet, rtp_ids ids, double arrival, enum rtp_problem *problem) {
    rtp_header header;
    *problem = rtp_parse((const uint8_t *)PyBytes_AS_STRING(packet), (size_t)PyBytes_GET_SIZE(packet), ids, &header);
    View *self = *problem == RTP_OK ? PyObject_New(View, &ViewType) : NULL;
    if (self == NULL) {
        Py_DECREF(packet);
        return NULL;
    }
    self->packet = packet;
    self->header = header;
    self->arrival = arrival;
    self->index = 0;
    self->departure = 0;
    self->keyframe = 0;
    return self;
}

static void View_dealloc(View *self) {
    Py_DECREF(self->packet);
    PyObject_Free(self);
}

static PyObject *View_payload(View *self, void *closure) {
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self->packet) + self->header.payload,
                                     PyBytes_GET_SIZE(self->packet) - (Py_ssize_t)self->header.payload);
}

static PyObject *View_send_time(View *self, void *closure) {
    if (self->header.send_time == RTP_NO_TIME) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLong(self->header.send_time);
}

static PyObject *View_get_departure(View *self, void *closure) {
    char bytes[3] = {(char)(self->departure >> 16), (char)(self->departure >> 8), (char)self->departure};
    return PyBytes_FromStringAndSize(bytes, 3);
}

static int View_set_departure(View *self, PyObject *value, void *closure) {
    if (value == NULL || !PyBytes_Check(value) || PyBytes_GET_SIZE(value) != 3) {
        PyErr_SetString(PyExc_TypeError, "departure is three bytes");
        return -1;
    }
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(value);
    self->departure = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
    return 0;
}

static PyObject *View_payload_offset(View *self, void *closure) { return PyLong_FromSize_t(self->header.payload); }

static PyMemberDef View_members[] = {
    {"packet", T_OBJECT_EX, offsetof(View, packet), READONLY},
    {"arrival", T_DOUBLE, offsetof(View, arrival)},
    {"index", T_LONGLONG, offsetof(View, index)},
    {"keyframe", T_BOOL, offsetof(View, keyframe)},
    {"padding", T_UBYTE, offsetof(View, header.padding), READONLY},
    {"marker", T_UBYTE, offsetof(View, header.marker), READONLY},
    {"payload_type", T_UBYTE, offsetof(View, header.payload_type), READONLY},
    {"sequence", T_USHORT, offsetof(View, header.sequence), READONLY},
    {"timestamp", T_UINT, offsetof(View, header.timestamp), READONLY},
    {"ssrc", T_UINT, offsetof(View, header.ssrc), READONLY},
    {"level", T_SHORT, offsetof(View, header.level), READONLY},
    {NULL},
};

static PyGetSetDef View_getset[] = {
    {"payload", (getter)View_payload, NULL},
    {"payload_offset", (getter)View_payload_offset, NULL},
    {"send_time", (getter)View_send_time, NULL},
    {"departure", (getter)View_get_departure, (setter)View_set_departure},
    {NULL},
};

static PyTypeObject ViewType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.View",
    .tp_basicsize = sizeof(View),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)View_dealloc,
    .tp_members = View_members,
    .tp_getset = View_getset,
    .tp_doc = "One received RTP packet; the attributes of rtp.RtpView.",
};

/* ---- Tally: what is counted per packet, per room ----------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    long long received, received_bytes, forwarded, forwarded_bytes, forwarded_participants, forwarded_officers;
    long long dropped_srtp, dropped_oversize, dropped_send;
} Tally;

static PyMemberDef Tally_members[] = {
    {"received", T_LONGLONG, offsetof(Tally, received)},
    {"received_bytes", T_LONGLONG, offsetof(Tally, received_bytes)},
    {"forwarded", T_LONGLONG, offsetof(Tally, forwarded)},
    {"forwarded_bytes", T_LONGLONG, offsetof(Tally, forwarded_bytes)},
    {"forwarded_participants", T_LONGLONG, offsetof(Tally, forwarded_participants)},
    {"forwarded_officers", T_LONGLONG, offsetof(Tally, forwarded_officers)},
    {"dropped_srtp", T_LONGLONG, offsetof(Tally, dropped_srtp)},
    {"dropped_oversize", T_LONGLONG, offsetof(Tally, dropped_oversize)},
    {"dropped_send", T_LONGLONG, offsetof(Tally, dropped_send)},
    {NULL},
};

static PyTypeObject TallyType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Tally",
    .tp_basicsize = sizeof(Tally),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_members = Tally_members,
    .tp_doc = "Counters of one room, of the packets that went the quick way.",
};

/* ---- Outbox: datagrams on their way to one socket ---------------------------------------------------------------- */

struct Step;
static void step_sent(struct Step *step, int size);
static void step_not_sent(struct Step *step, int failed);
static void step_restore(struct Step *step, long long next_sequence, uint32_t last_timestamp, double last_sent,
                         int size);
static void step_tell_failed(struct Step *step);

typedef struct {
    struct Step *step; /* a reference, while it is in the queue */
    long long next_sequence; /* of the step before this packet: what a failed send goes back to */
    double last_sent;
    uint32_t last_timestamp;
    int size; /* of the plain packet */
    socket_address address;
    struct iovec vector;
    _Alignas(8) uint8_t bytes[MAX_PROTECTED + MAX_TRAILER + 4];
} queued;

typedef struct {
    PyObject_HEAD
    int fd; /* -1: closed */
    int held;
    unsigned count;
    queued queue[BATCH];
    struct mmsghdr messages[BATCH];
} Outbox;

static PyTypeObject OutboxType;

static PyObject *Outbox_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fd", NULL};
    int fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:Outbox", names, &fd)) {
        return NULL;
    }
    Outbox *self = (Outbox *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->fd = fd;
    }
    return (PyObject *)self;
}

static int same_step(struct Step *const *steps, unsigned count, const struct Step *step) {
    for (unsigned i = 0; i < count; i++) {
        if (steps[i] == step) {
            return 1;
        }
    }
    return 0;
}

/* Send all that is queued. A packet that the kernel does not take sets its step back to before it; what the same step
 * has queued after it is not sent, for its numbers would be wrong. Then that step is told. */
static void outbox_flush(Outbox *self) {
    struct Step *failed[BATCH];
    unsigned failures = 0, done = 0, left = self->count;
    unsigned order[BATCH];
    for (unsigned i = 0; i < left; i++) {
        queued *packet = &self->queue[i];
        struct msghdr *header = &self->messages[i].msg_hdr;
        order[i] = i;
        memset(header, 0, sizeof *header);
        header->msg_name = &packet->address;
        header->msg_namelen =
            packet->address.any.sa_family == AF_INET ? sizeof packet->address.v4 : sizeof packet->address.v6;
        header->msg_iov = &packet->vector;
        header->msg_iovlen = 1;
    }
    while (done < left) {
        int sent = -1;
        if (self->fd >= 0) {
            sent = sendmmsg(self->fd, self->messages + done, left - done, MSG_DONTWAIT);
            if (sent < 0 && errno == EINTR) {
                continue;
            }
        }
        for (int i = 0; i < sent; i++) {
            queued *packet = &self->queue[order[done + (unsigned)i]];
            step_sent(packet->step, packet->size);
        }
        if (sent > 0) {
            done += (unsigned)sent;
            continue;
        }
        queued *packet = &self->queue[order[done]];
        struct Step *step = packet->step;
        failed[failures++] = step;
        step_not_sent(step, 1);
        step_restore(step, packet->next_sequence, packet->last_timestamp, packet->last_sent, packet->size);
        unsigned kept = done + 1;
        for (unsigned i = done + 1; i < left; i++) {
            queued *later = &self->queue[order[i]];
            if (later->step == step) {
                step_not_sent(step, 0);
                step_restore(step, packet->next_sequence, packet->last_timestamp, packet->last_sent, later->size);
            } else {
                order[kept] = order[i];
                self->messages[kept] = self->messages[i];
                kept++;
            }
        }
        left = kept;
        done++;
    }
    struct Step *held[BATCH];
    unsigned count = self->count;
    for (unsigned i = 0; i < count; i++) {
        held[i] = self->queue[i].step;
        self->queue[i].step = NULL;
    }
    self->count = 0; /* from here on, what is called may queue again */
    for (unsigned i = 0; i < failures; i++) {
        if (!same_step(failed, i, failed[i])) {
            step_tell_failed(failed[i]);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        Py_DECREF((PyObject *)held[i]);
    }
}

static void outbox_release(Outbox *self) {
    if (--self->held <= 0) {
        self->held = 0;
        outbox_flush(self);
    }
}

static PyObject *Outbox_hold(Outbox *self, PyObject *none) {
    self->held++;
    Py_RETURN_NONE;
}

static PyObject *Outbox_release(Outbox *self, PyObject *none) {
    outbox_release(self);
    Py_RETURN_NONE;
}

static PyObject *Outbox_close(Outbox *self, PyObject *none) {
    self->fd = -1; /* the descriptor is the socket object's, and may soon be another file's */
    Py_RETURN_NONE;
}

static int Outbox_traverse(Outbox *self, visitproc visit, void *arg) {
    for (unsigned i = 0; i < self->count; i++) {
        Py_VISIT((PyObject *)self->queue[i].step);
    }
    return 0;
}

static int Outbox_clear(Outbox *self) {
    unsigned count = self->count;
    self->count = 0;
    for (unsigned i = 0; i < count; i++) {
        Py_CLEAR(self->queue[i].step);
    }
    return 0;
}

static void Outbox_dealloc(Outbox *self) {
    PyObject_GC_UnTrack(self);
    Outbox_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Outbox_methods[] = {
    {"hold", (PyCFunction)Outbox_hold, METH_NOARGS, "Queue from now on, until `release` was called as often."},
    {"release", (PyCFunction)Outbox_release, METH_NOARGS, "Send what is queued, if nobody else holds it."},
    {"close", (PyCFunction)Outbox_close, METH_NOARGS, "Send nothing any more: everything fails."},
    {NULL},
};

static PyMemberDef Outbox_members[] = {
    {"queued", T_UINT, offsetof(Outbox, count), READONLY},
    {NULL},
};

static PyTypeObject OutboxType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Outbox",
    .tp_basicsize = sizeof(Outbox),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Outbox_new,
    .tp_dealloc = (destructor)Outbox_dealloc,
    .tp_traverse = (traverseproc)Outbox_traverse,
    .tp_clear = (inquiry)Outbox_clear,
    .tp_methods = Outbox_methods,
    .tp_members = Outbox_members,
    .tp_doc = "Packets on their way to one socket, sent many at a time (sendmmsg).",
};

/* ---- Outlet: where one session's packets go ---------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Tally *tally;
    Cipher *cipher;    /* NULL: not connected */
    Outbox *outbox;    /* NULL: `send`, or nowhere */
    PyObject *send;    /* for a path without a socket of datagrams: send(wire), raises OSError */
    socket_address address;
} Outlet;

static PyTypeObject OutletType;

static PyObject *Outlet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"tally", NULL};
    PyObject *tally;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!:Outlet", names, &TallyType, &tally)) {
        return NULL;
    }
    Outlet *self = (Outlet *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->tally = (Tally *)Py_NewRef(tally);
    }
    return (PyObject *)self;
}

static PyObject *Outlet_open(Outlet *self, PyObject *cipher) {
    if (!PyObject_TypeCheck(cipher, &CipherType)) {
        PyErr_SetString(PyExc_TypeError, "a Cipher is wanted");
        return NULL;
    }
    Py_XSETREF(self->cipher, (Cipher *)Py_NewRef(cipher));
    Py_RETURN_NONE;
}

static PyObject *Outlet_to_socket(Outlet *self, PyObject *args) {
    PyObject *outbox, *tuple;
    socket_address address;
    socklen_t length;
    if (!PyArg_ParseTuple(args, "O!O:to_socket", &OutboxType, &outbox, &tuple) ||
        !address_of(tuple, &address, &length)) {
        return NULL;
    }
    self->address = address;
    Py_XSETREF(self->outbox, (Outbox *)Py_NewRef(outbox));
    Py_CLEAR(self->send);
    Py_RETURN_NONE;
}

static PyObject *Outlet_to_path(Outlet *self, PyObject *send) {
    Py_XSETREF(self->send, Py_NewRef(send));
    Py_CLEAR(self->outbox);
    Py_RETURN_NONE;
}

static int Outlet_clear(Outlet *self) {
    Py_CLEAR(self->cipher);
    Py_CLEAR(self->outbox);
    Py_CLEAR(self->send);
    return 0;
}

static PyObject *Outlet_close(Outlet *self, PyObject *none) {
    Outlet_clear(self);
    Py_RETURN_NONE;
}

static int Outlet_traverse(Outlet *self, visitproc visit, void *arg) {
    Py_VISIT(self->outbox);
    Py_VISIT(self->send);
    return 0;
}

static void Outlet_dealloc(Outlet *self) {
    PyObject_GC_UnTrack(self);
    Outlet_clear(self);
    Py_CLEAR(self->tally);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Outlet_methods[] = {
    {"open", (PyCFunction)Outlet_open, METH_O, "Protect with this Cipher from now on."},
    {"to_socket", (PyCFunction)Outlet_to_socket, METH_VARARGS, "Send through an Outbox to an address tuple."},
    {"to_path", (PyCFunction)Outlet_to_path, METH_O, "Send by calling send(wire), which raises OSError."},
    {"close", (PyCFunction)Outlet_close, METH_NOARGS, "Send nothing any more: everything fails."},
    {NULL},
};

static PyTypeObject OutletType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Outlet",
    .tp_basicsize = sizeof(Outlet),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Outlet_new,
    .tp_dealloc = (destructor)Outlet_dealloc,
    .tp_traverse = (traverseproc)Outlet_traverse,
    .tp_clear = (inquiry)Outlet_clear,
    .tp_methods = Outlet_methods,
    .tp_doc = "Where one session's packets go: its SRTP, and a socket's address or another path.",
};

/* ---- Step: the stable step of forwarding, for one slot ----------------------------------------------------------- */

typedef struct {
    uint8_t bytes[MAX_HEADER - RTP_HEADER]; /* the header extension, from its profile on */
    uint8_t length;
    int8_t time_at;  /* where abs-send-time's value stands; -1: not negotiated */
    int8_t level_at; /* where the audio level stands; -1: not in this one */
} template_block;

typedef struct Step {
    PyObject_HEAD
    Outlet *outlet;
    Tally *tally;
    PyObject *failed;  /* called without arguments when a packet could not be sent */
    PyObject *forward; /* called with the view while the step is not stable */
    long long first_index, index_offset, timestamp_offset, next_sequence, sent, sent_bytes;
    double last_sent;
    uint32_t ssrc, last_timestamp;
    uint8_t payload_type;
    char stable, hidden, has_level;
    template_block plain, level;
} Step;

static PyTypeObject StepType;

static int read_template(PyObject *tuple, template_block *block) {
    const char *bytes;
    Py_ssize_t length;
    int time_at, level_at;
    if (!PyArg_ParseTuple(tuple, "y#ii", &bytes, &length, &time_at, &level_at)) {
        return 0;
    }
    if (length > (Py_ssize_t)sizeof block->bytes || length % 4 || time_at + 3 > length || level_at + 1 > length ||
        time_at < -1 || level_at < -1) {
        PyErr_SetString(PyExc_ValueError, "not a header extension");
        return 0;
    }
    memcpy(block->bytes, bytes, (size_t)length);
    block->length = (uint8_t)length;
    block->time_at = (int8_t)time_at;
    block->level_at = (int8_t)level_at;
    return 1;
}

static PyObject *Step_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"outlet", "tally", "ssrc", "payload_type", "hidden", "plain", "level",
                            "next_sequence", "last_timestamp", "forward", "failed", NULL};
    PyObject *outlet, *tally, *plain, *level, *forward, *failed;
    unsigned int ssrc, last_timestamp;
    unsigned char payload_type;
    int hidden;
    long long next_sequence;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!O!IbpO!OLIOO:Step", names, &OutletType, &outlet, &TallyType,
                                     &tally, &ssrc, &payload_type, &hidden, &PyTuple_Type, &plain, &level,
                                     &next_sequence, &last_timestamp, &forward, &failed)) {
        return NULL;
    }
    Step *self = (Step *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->outlet = (Outlet *)Py_NewRef(outlet);
    self->tally = (Tally *)Py_NewRef(tally);
    self->forward = Py_NewRef(forward);
    self->failed = Py_NewRef(failed);
    self->ssrc = ssrc;
    self->payload_type = payload_type & 0x7F;
    self->hidden = (char)hidden;
    self->next_sequence = next_sequence;
    self->last_timestamp = last_timestamp;
    self->last_sent = -Py_HUGE_VAL;
    self->has_level = level != Py_None;
    if (self->has_level && !PyTuple_Check(level)) {
        PyErr_SetString(PyExc_TypeError, "level is a tuple or None");
        Py_DECREF(self);
        return NULL;
    }
    if (!read_template(plain, &self->plain) || (self->has_level && !read_template(level, &self->level))) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int Step_traverse(Step *self, visitproc visit, void *arg) {
    Py_VISIT(self->outlet);
    Py_VISIT(self->forward);
    Py_VISIT(self->failed);
    return 0;
}

static int Step_clear(Step *self) {
    Py_CLEAR(self->outlet);
    Py_CLEAR(self->forward);
    Py_CLEAR(self->failed);
    self->stable = 0;
    return 0;
}

static void Step_dealloc(Step *self) {
    PyObject_GC_UnTrack(self);
    Step_clear(self);
    Py_CLEAR(self->tally);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static void step_sent(Step *step, int size) {
    Tally *tally = step->tally;
    tally->forwarded++;
    tally->forwarded_bytes += size;
    if (step->hidden) {
        tally->forwarded_officers++;
    } else {
        tally->forwarded_participants++;
    }
}

static void step_not_sent(Step *step, int failed) {
    step->tally->dropped_send++;
    if (failed) {
        step->stable = 0;
    }
}

static void step_restore(Step *step, long long next_sequence, uint32_t last_timestamp, double last_sent, int size) {
    step->next_sequence = next_sequence;
    step->last_timestamp = last_timestamp;
    step->last_sent = last_sent;
    step->sent--;
    step->sent_bytes -= size;
}

static void step_tell_failed(Step *step) {
    step->stable = 0;
    if (step->failed == NULL) {
        return;
    }
    PyObject *result = PyObject_CallNoArgs(step->failed);
    if (result == NULL) {
        PyErr_WriteUnraisable(step->failed);
    }
    Py_XDECREF(result);
}

/* Write, protect and queue one packet. Gives its plain size; 0 if it was not sent: then the step was told.
 * The caller has made room in the queue (step_make_room). */
static int step_put(Step *self, View *view, uint32_t timestamp) {
    Outlet *outlet = self->outlet;
    _Alignas(8) uint8_t own[MAX_PROTECTED + MAX_TRAILER + 4];
    if (outlet == NULL || outlet->cipher == NULL || (outlet->outbox == NULL && outlet->send == NULL)) {
        step_tell_failed(self);
        return 0;
    }
    const template_block *block = view->header.level != RTP_NO_LEVEL && self->has_level ? &self->level : &self->plain;
    size_t head = RTP_HEADER + (size_t)block->length;
    size_t payload = (size_t)PyBytes_GET_SIZE(view->packet) - view->header.payload;
    size_t size = head + payload;
    if (size > MAX_PROTECTED) {
        outlet->tally->dropped_oversize++;
        step_tell_failed(self);
        return 0;
    }
    queued *packet = outlet->outbox != NULL ? &outlet->outbox->queue[outlet->outbox->count] : NULL;
    uint8_t *bytes = packet != NULL ? packet->bytes : own;
    long long position = view->index + self->index_offset;
    bytes[0] = (uint8_t)((block->length ? 0x90 : 0x80) | view->header.padding);
    bytes[1] = view->header.marker | self->payload_type;
    write16(bytes + 2, (uint16_t)position);
    write32(bytes + 4, timestamp);
    write32(bytes + 8, self->ssrc);
    memcpy(bytes + RTP_HEADER, block->bytes, block->length);
    if (block->time_at >= 0) {
        uint8_t *at = bytes + RTP_HEADER + block->time_at;
        at[0] = (uint8_t)(view->departure >> 16);
        write16(at + 1, (uint16_t)view->departure);
    }
    if (block->level_at >= 0) {
        bytes[RTP_HEADER + block->level_at] = (uint8_t)view->header.level;
    }
    memcpy(bytes + head, PyBytes_AS_STRING(view->packet) + view->header.payload, payload);
    int length = (int)size;
    if (srtp_protect_packet(outlet->cipher->session, bytes, &length)) {
        outlet->tally->dropped_srtp++;
        step_tell_failed(self);
        return 0;
    }
    if (packet != NULL) {
        packet->step = (Step *)Py_NewRef((PyObject *)self);
        packet->next_sequence = self->next_sequence;
        packet->last_timestamp = self->last_timestamp;
        packet->last_sent = self->last_sent;
        packet->size = (int)size;
        packet->address = outlet->address;
        packet->vector.iov_base = bytes;
        packet->vector.iov_len = (size_t)length;
        outlet->outbox->count++;
    } else {
        PyObject *send = Py_NewRef(outlet->send); /* the call may close the outlet */
        PyObject *wire = PyBytes_FromStringAndSize((const char *)bytes, length);
        PyObject *result = wire != NULL ? PyObject_CallOneArg(send, wire) : NULL;
        Py_XDECREF(wire);
        if (result == NULL) {
            if (PyErr_ExceptionMatches(PyExc_OSError)) {
                PyErr_Clear();
            } else {
                PyErr_WriteUnraisable(send);
            }
        }
        Py_DECREF(send);
        if (result == NULL) {
            self->tally->dropped_send++;
            step_tell_failed(self);
            return 0;
        }
        Py_DECREF(result);
        step_sent(self, (int)size);
    }
    if (position >= self->next_sequence) {
        self->next_sequence = position + 1;
        self->last_timestamp = timestamp;
        self->last_sent = view->arrival;
    }
    self->sent++;
    self->sent_bytes += (long long)size;
    return (int)size;
}

/* Sending what is queued may lead to anything, so it comes before the step's numbers are looked at. */
static void step_make_room(Step *self) {
    if (self->outlet != NULL && self->outlet->outbox != NULL && self->outlet->outbox->count == BATCH) {
        Outbox *outbox = (Outbox *)Py_NewRef((PyObject *)self->outlet->outbox);
        outbox_flush(outbox);
        Py_DECREF(outbox);
    }
}

/* With nobody holding the queue, a packet goes out at once. Gives 0 if it did not. */
static int step_send_now(Step *self, View *view, uint32_t timestamp) {
    step_make_room(self);
    int size = step_put(self, view, timestamp);
    Outbox *outbox = self->outlet != NULL ? self->outlet->outbox : NULL;
    if (size && outbox != NULL && outbox->held == 0) {
        long long sent = self->sent;
        Py_INCREF(outbox);
        outbox_flush(outbox);
        Py_DECREF(outbox);
        if (self->sent < sent) {
            return 0;
        }
    }
    return size;
}

static PyObject *Step_send(Step *self, PyObject *args) {
    View *view;
    unsigned long timestamp;
    if (!PyArg_ParseTuple(args, "O!k:send", &ViewType, &view, &timestamp)) {
        return NULL;
    }
    return PyLong_FromLong(step_send_now(self, view, (uint32_t)timestamp));
}

static int step_forward(Step *self, View *view) {
    step_make_room(self); /* may find a failure and make the step unstable */
    if (!self->stable) {
        PyObject *result = self->forward != NULL ? PyObject_CallOneArg(self->forward, (PyObject *)view) : Py_NewRef(Py_None);
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
        return 0;
    }
    if (view->index < self->first_index) { /* from before the start: its numbers have been given to others */
        return 0;
    }
    step_send_now(self, view, view->header.timestamp + (uint32_t)self->timestamp_offset);
    return 0;
}

static PyMethodDef Step_methods[] = {
    {"send", (PyCFunction)Step_send, METH_VARARGS, "Send a view under a timestamp; the bytes sent, 0 for none."},
    {NULL},
};

static PyMemberDef Step_members[] = {
    {"stable", T_BOOL, offsetof(Step, stable)},
    {"first_index", T_LONGLONG, offsetof(Step, first_index)},
    {"index_offset", T_LONGLONG, offsetof(Step, index_offset)},
    {"timestamp_offset", T_LONGLONG, offsetof(Step, timestamp_offset)},
    {"next_sequence", T_LONGLONG, offsetof(Step, next_sequence)},
    {"last_timestamp", T_UINT, offsetof(Step, last_timestamp)},
    {"last_sent", T_DOUBLE, offsetof(Step, last_sent)},
    {"sent", T_LONGLONG, offsetof(Step, sent)},
    {"sent_bytes", T_LONGLONG, offsetof(Step, sent_bytes)},
    {NULL},
};

static PyTypeObject StepType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Step",
    .tp_basicsize = sizeof(Step),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Step_new,
    .tp_dealloc = (destructor)Step_dealloc,
    .tp_traverse = (traverseproc)Step_traverse,
    .tp_clear = (inquiry)Step_clear,
    .tp_methods = Step_methods,
    .tp_members = Step_members,
    .tp_doc = "What forwarding does with each packet of a slot while nothing changes.",
};

/* forward_all(steps, view): one packet to every slot of a track, in order. */
static PyObject *forward_all(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyTuple_CheckExact(args[0]) || !PyObject_TypeCheck(args[1], &ViewType)) {
        PyErr_SetString(PyExc_TypeError, "forward_all(steps, view)");
        return NULL;
    }
    PyObject *steps = args[0];
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps); i++) {
        PyObject *step = PyTuple_GET_ITEM(steps, i);
        if (!PyObject_TypeCheck(step, &StepType)) {
            PyErr_SetString(PyExc_TypeError, "not a Step");
            return NULL;
        }
        if (step_forward((Step *)step, (View *)args[1]) < 0) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

/* ---- Link: one session, as the socket's reader sees it ----------------------------------------------------------- */

typedef struct {
    uint32_t ssrc;
    rtp_ids ids;
    PyObject *receive; /* called with each view */
} source;

typedef struct {
    PyObject_HEAD
    PyObject *owner;   /* see endpoint.Receiver; on_packet(packet, now) takes what has no source here */
    Cipher *cipher;    /* NULL: before the handshake is done, and after the end */
    Tally *tally;
    double last_seen;  /* when the last authentic packet came */
    unsigned count;
    source sources[MAX_SOURCES];
} Link;

static PyTypeObject LinkType;

static PyObject *Link_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"owner", "tally", NULL};
    PyObject *owner, *tally;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!:Link", names, &owner, &TallyType, &tally)) {
        return NULL;
    }
    Link *self = (Link *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->owner = Py_NewRef(owner);
        self->tally = (Tally *)Py_NewRef(tally);
        self->last_seen = -Py_HUGE_VAL;
    }
    return (PyObject *)self;
}

static PyObject *Link_open(Link *self, PyObject *cipher) {
    if (!PyObject_TypeCheck(cipher, &CipherType)) {
        PyErr_SetString(PyExc_TypeError, "a Cipher is wanted");
        return NULL;
    }
    Py_XSETREF(self->cipher, (Cipher *)Py_NewRef(cipher));
    Py_RETURN_NONE;
}

static void link_remove(Link *self, uint32_t ssrc) {
    for (unsigned i = 0; i < self->count; i++) {
        if (self->sources[i].ssrc == ssrc) {
            PyObject *receive = self->sources[i].receive;
            self->sources[i] = self->sources[--self->count];
            Py_DECREF(receive);
            return;
        }
    }
}

static PyObject *Link_add(Link *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ssrc", "receive", "audio_level", "abs_send_time", NULL};
    unsigned int ssrc;
    PyObject *receive;
    unsigned char level, time;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "IO$bb:add", names, &ssrc, &receive, &level, &time)) {
        return NULL;
    }
    link_remove(self, ssrc);
    if (self->count == MAX_SOURCES) {
        PyErr_SetString(PyExc_ValueError, "too many sources");
        return NULL;
    }
    self->sources[self->count++] = (source){ssrc, {level, time}, Py_NewRef(receive)};
    Py_RETURN_NONE;
}

static PyObject *Link_remove(Link *self, PyObject *value) {
    unsigned long ssrc = PyLong_AsUnsignedLong(value);
    if (PyErr_Occurred()) {
        return NULL;
    }
    link_remove(self, (uint32_t)ssrc);
    Py_RETURN_NONE;
}

static int Link_clear(Link *self) {
    Py_CLEAR(self->cipher);
    while (self->count > 0) {
        PyObject *receive = self->sources[--self->count].receive;
        Py_DECREF(receive);
    }
    return 0;
}

static PyObject *Link_close(Link *self, PyObject *none) {
    Link_clear(self);
    Py_RETURN_NONE;
}

static int Link_clear_all(Link *self) {
    Link_clear(self);
    Py_CLEAR(self->owner);
    return 0;
}

static int Link_traverse(Link *self, visitproc visit, void *arg) {
    Py_VISIT(self->owner);
    for (unsigned i = 0; i < self->count; i++) {
        Py_VISIT(self->sources[i].receive);
    }
    return 0;
}

static void Link_dealloc(Link *self) {
    PyObject_GC_UnTrack(self);
    Link_clear_all(self);
    Py_CLEAR(self->tally);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Link_methods[] = {
    {"open", (PyCFunction)Link_open, METH_O, "The handshake is done: decrypt with this Cipher from now on."},
    {"add", (PyCFunction)(void (*)(void))Link_add, METH_VARARGS | METH_KEYWORDS,
     "Give the packets of an SSRC, read by these extension identifiers, to receive(view)."},
    {"remove", (PyCFunction)Link_remove, METH_O, "An SSRC's packets go to owner.on_packet again."},
    {"close", (PyCFunction)Link_close, METH_NOARGS, "Decrypt nothing any more."},
    {NULL},
};

static PyMemberDef Link_members[] = {
    {"owner", T_OBJECT_EX, offsetof(Link, owner), READONLY},
    {"last_seen", T_DOUBLE, offsetof(Link, last_seen)},
    {NULL},
};

static PyTypeObject LinkType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Link",
    .tp_basicsize = sizeof(Link),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Link_new,
    .tp_dealloc = (destructor)Link_dealloc,
    .tp_traverse = (traverseproc)Link_traverse,
    .tp_clear = (inquiry)Link_clear_all,
    .tp_methods = Link_methods,
    .tp_members = Link_members,
    .tp_doc = "One session: its SRTP and its sources, found by the addresses that are its own.",
};

/* A decrypted packet, in `bytes`, for the link's source or else its owner. -1: an exception is set. */
static int link_packet(Link *self, const uint8_t *bytes, int size, double now) {
    PyObject *packet = PyBytes_FromStringAndSize((const char *)bytes, size);
    if (packet == NULL) {
        return -1;
    }
    PyObject *result;
    uint32_t ssrc = size >= RTP_HEADER ? read32(bytes + 8) : 0;
    for (unsigned i = 0; i < self->count; i++) {
        if (self->sources[i].ssrc != ssrc) {
            continue;
        }
        enum rtp_problem problem;
        View *view = view_of(Py_NewRef(packet), self->sources[i].ids, now, &problem);
        if (view == NULL) {
            if (problem == RTP_OK) {
                Py_DECREF(packet);
                return -1;
            }
            break; /* malformed: the owner counts it */
        }
        double seconds = now * 262144.0;
        view->departure = (uint32_t)((uint64_t)(int64_t)seconds & 0xFFFFFF);
        PyObject *receive = Py_NewRef(self->sources[i].receive);
        Py_DECREF(packet);
        result = PyObject_CallOneArg(receive, (PyObject *)view);
        Py_DECREF(receive);
        Py_DECREF((PyObject *)view);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    result = PyObject_CallMethod(self->owner, "on_packet", "Od", packet, now);
    Py_DECREF(packet);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* A datagram of the RTP range from one of the link's addresses. -1: an exception is set. */
static int link_media(Link *self, uint8_t *bytes, int size, double now) {
    int is_rtcp = size >= 8 && bytes[1] >= 192 && bytes[1] <= 223; /* RFC 5761 section 4 */
    if (self->owner == NULL) {
        return 0;
    }
    if (is_rtcp || self->cipher == NULL) {
        PyObject *result = PyObject_CallMethod(self->owner, "on_media", "y#d", bytes, (Py_ssize_t)size, now);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    if (srtp_unprotect_packet(self->cipher->session, bytes, &size)) {
        self->tally->dropped_srtp++;
        return 0;
    }
    self->last_seen = now;
    return link_packet(self, bytes, size, now);
}

/* ---- Ingress: one socket's reader -------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    int fd;
    char draining;
    Outbox *outbox;
    PyObject *links;    /* dict: address_key as bytes -> Link */
    PyObject *clock;    /* seconds of a monotonic clock */
    PyObject *dispatch; /* dispatch(datagram, owner | None, address, now): everything but media of known addresses */
    long long datagrams, media, empty, oversized, unknown_source, receive_failed;
    socket_address addresses[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
    _Alignas(8) uint8_t buffers[BATCH][MAX_DATAGRAM];
} Ingress;

static PyTypeObject IngressType;

static PyObject *Ingress_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fd", "outbox", "clock", "dispatch", NULL};
    int fd;
    PyObject *outbox, *clock, *dispatch;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!OO:Ingress", names, &fd, &OutboxType, &outbox, &clock,
                                     &dispatch)) {
        return NULL;
    }
    Ingress *self = (Ingress *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->fd = fd;
    self->outbox = (Outbox *)Py_NewRef(outbox);
    self->clock = Py_NewRef(clock);
    self->dispatch = Py_NewRef(dispatch);
    self->links = PyDict_New();
    if (self->links == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    for (unsigned i = 0; i < BATCH; i++) {
        self->vectors[i].iov_base = self->buffers[i];
        self->vectors[i].iov_len = MAX_DATAGRAM;
        self->messages[i].msg_hdr.msg_iov = &self->vectors[i];
        self->messages[i].msg_hdr.msg_iovlen = 1;
        self->messages[i].msg_hdr.msg_name = &self->addresses[i];
    }
    return (PyObject *)self;
}

static int Ingress_traverse(Ingress *self, visitproc visit, void *arg) {
    Py_VISIT(self->outbox);
    Py_VISIT(self->links);
    Py_VISIT(self->clock);
    Py_VISIT(self->dispatch);
    return 0;
}

static int Ingress_clear(Ingress *self) {
    self->fd = -1;
    Py_CLEAR(self->outbox);
    Py_CLEAR(self->links);
    Py_CLEAR(self->clock);
    Py_CLEAR(self->dispatch);
    return 0;
}

static void Ingress_dealloc(Ingress *self) {
    PyObject_GC_UnTrack(self);
    Ingress_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *key_bytes(const socket_address *address) {
    address_key key;
    if (!key_of(address, &key)) {
        PyErr_SetString(PyExc_ValueError, "not an IP address");
        return NULL;
    }
    return PyBytes_FromStringAndSize((const char *)key.bytes, key.length);
}

static PyObject *Ingress_bind(Ingress *self, PyObject *args) {
    PyObject *tuple, *link;
    socket_address address;
    socklen_t length;
    if (!PyArg_ParseTuple(args, "OO!:bind", &tuple, &LinkType, &link) || !address_of(tuple, &address, &length)) {
        return NULL;
    }
    PyObject *key = key_bytes(&address);
    int failed = key == NULL || PyDict_SetItem(self->links, key, link) < 0;
    Py_XDECREF(key);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *Ingress_release(Ingress *self, PyObject *tuple) {
    socket_address address;
    socklen_t length;
    if (!address_of(tuple, &address, &length)) {
        return NULL;
    }
    PyObject *key = key_bytes(&address);
    if (key == NULL) {
        return NULL;
    }
    int there = PyDict_Contains(self->links, key);
    int failed = there < 0 || (there && PyDict_DelItem(self->links, key) < 0);
    Py_DECREF(key);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* One datagram. -1: an exception is set. */
static int ingress_datagram(Ingress *self, unsigned i, double now) {
    unsigned size = self->messages[i].msg_len;
    uint8_t *bytes = self->buffers[i];
    self->datagrams++;
    if (size == 0) {
        self->empty++;
        return 0;
    }
    if (size > MAX_UNPROTECTED || self->messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
        self->oversized++;
        return 0;
    }
    PyObject *key = key_bytes(&self->addresses[i]);
    if (key == NULL) {
        return -1;
    }
    PyObject *link = PyDict_GetItemWithError(self->links, key); /* borrowed */
    Py_DECREF(key);
    if (link == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        if (bytes[0] >= 4) {
            self->unknown_source++;
            return 0;
        }
    }
    Py_XINCREF(link);
    int failed;
    if (link != NULL && bytes[0] > 127 && bytes[0] < 192) {
        self->media++;
        failed = link_media((Link *)link, bytes, (int)size, now);
    } else {
        PyObject *address = tuple_of(&self->addresses[i]);
        PyObject *owner = link != NULL && ((Link *)link)->owner != NULL ? ((Link *)link)->owner : Py_None;
        PyObject *result =
            address == NULL
                ? NULL
                : PyObject_CallFunction(self->dispatch, "y#OOd", bytes, (Py_ssize_t)size, owner, address, now);
        Py_XDECREF(address);
        Py_XDECREF(result);
        failed = result == NULL ? -1 : 0;
    }
    Py_XDECREF(link);
    return failed;
}

/* drain(limit): read what is there, at most about `limit` datagrams; gives how many. An exception that a datagram
 * leads to is reported as unraisable, and the next datagram is read: no packet may stop the others. */
static PyObject *Ingress_drain(Ingress *self, PyObject *value) {
    long limit = PyLong_AsLong(value), total = 0;
    if (limit == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->draining || self->fd < 0) {
        return PyLong_FromLong(0);
    }
    self->draining = 1;
    Outbox *outbox = (Outbox *)Py_NewRef((PyObject *)self->outbox);
    outbox->held++;
    while (total < limit && self->fd >= 0) {
        for (unsigned i = 0; i < BATCH; i++) {
            self->messages[i].msg_hdr.msg_namelen = sizeof self->addresses[i];
        }
        int count = recvmmsg(self->fd, self->messages, BATCH, MSG_DONTWAIT, NULL);
        if (count < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
                self->receive_failed++;
            }
            break;
        }
        PyObject *clock = PyObject_CallNoArgs(self->clock);
        double now = clock != NULL ? PyFloat_AsDouble(clock) : -1.0;
        Py_XDECREF(clock);
        if (PyErr_Occurred()) {
            outbox_release(outbox);
            Py_DECREF(outbox);
            self->draining = 0;
            return NULL;
        }
        for (int i = 0; i < count && self->fd >= 0; i++) {
            if (ingress_datagram(self, (unsigned)i, now) < 0) {
                PyErr_WriteUnraisable(self->dispatch);
            }
        }
        total += count;
        if (count < BATCH) { /* fewer than asked for: the socket is empty */
            break;
        }
    }
    outbox_release(outbox);
    Py_DECREF(outbox);
    self->draining = 0;
    return PyLong_FromLong(total);
}

static PyObject *Ingress_close(Ingress *self, PyObject *none) {
    self->fd = -1;
    if (self->links != NULL) {
        PyDict_Clear(self->links);
    }
    Py_RETURN_NONE;
}

static PyMethodDef Ingress_methods[] = {
    {"bind", (PyCFunction)Ingress_bind, METH_VARARGS, "Datagrams from an address tuple are this Link's."},
    {"release", (PyCFunction)Ingress_release, METH_O, "Forget an address."},
    {"drain", (PyCFunction)Ingress_drain, METH_O, "Read what is there, about `limit` datagrams at most."},
    {"close", (PyCFunction)Ingress_close, METH_NOARGS, "Read nothing any more."},
    {NULL},
};

static PyMemberDef Ingress_members[] = {
    {"datagrams", T_LONGLONG, offsetof(Ingress, datagrams)},
    {"media", T_LONGLONG, offsetof(Ingress, media)},
    {"empty", T_LONGLONG, offsetof(Ingress, empty)},
    {"oversized", T_LONGLONG, offsetof(Ingress, oversized)},
    {"unknown_source", T_LONGLONG, offsetof(Ingress, unknown_source)},
    {"receive_failed", T_LONGLONG, offsetof(Ingress, receive_failed)},
    {NULL},
};

static PyTypeObject IngressType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Ingress",
    .tp_basicsize = sizeof(Ingress),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Ingress_new,
    .tp_dealloc = (destructor)Ingress_dealloc,
    .tp_traverse = (traverseproc)Ingress_traverse,
    .tp_clear = (inquiry)Ingress_clear,
    .tp_methods = Ingress_methods,
    .tp_members = Ingress_members,
    .tp_doc = "Reads one UDP socket in batches and gives each datagram to whom it belongs.",
};

/* ---- The module -------------------------------------------------------------------------------------------------- */

/* configure(protect, unprotect, error): the addresses of libsrtp's functions, and what is raised when they refuse. */
static PyObject *configure(PyObject *module, PyObject *args) {
    unsigned long long protect, unprotect;
    PyObject *error;
    if (!PyArg_ParseTuple(args, "KKO:configure", &protect, &unprotect, &error)) {
        return NULL;
    }
    if (protect == 0 || unprotect == 0 || !PyExceptionClass_Check(error)) {
        PyErr_SetString(PyExc_ValueError, "two functions and an exception are wanted");
        return NULL;
    }
    srtp_protect_packet = (srtp_function)(uintptr_t)protect;
    srtp_unprotect_packet = (srtp_function)(uintptr_t)unprotect;
    Py_XSETREF(srtp_error, Py_NewRef(error));
    Py_RETURN_NONE;
}

/* parse(packet, audio_level, abs_send_time, arrival): a View, or the number of what is wrong (enum rtp_problem). */
static PyObject *parse(PyObject *module, PyObject *args) {
    PyObject *packet;
    rtp_ids ids;
    double arrival;
    enum rtp_problem problem;
    if (!PyArg_ParseTuple(args, "Sbbd:parse", &packet, &ids.audio_level, &ids.abs_send_time, &arrival)) {
        return NULL;
    }
    View *view = view_of(Py_NewRef(packet), ids, arrival, &problem);
    if (view == NULL && problem != RTP_OK) {
        return PyLong_FromLong(problem);
    }
    return (PyObject *)view;
}

static PyMethodDef functions[] = {
    {"configure", configure, METH_VARARGS, "Take libsrtp's functions."},
    {"parse", parse, METH_VARARGS, "Read one packet's header."},
    {"forward_all", (PyCFunction)(void (*)(void))forward_all, METH_FASTCALL, "One packet to every slot of a track."},
    {NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "signaling.media._native",
    .m_doc = "The packet path in C; see native.py.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__native(void) {
    PyObject *made = PyModule_Create(&module);
    PyTypeObject *types[] = {&CipherType, &ViewType, &TallyType, &OutboxType, &OutletType,
                             &StepType,   &LinkType, &IngressType};
    for (unsigned i = 0; made != NULL && i < sizeof types / sizeof *types; i++) {
        if (PyModule_AddType(made, types[i]) < 0) {
            Py_CLEAR(made);
        }
    }
    return made;
}
