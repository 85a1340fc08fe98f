/* The packet path in C: what is done for every packet and decides nothing (docs/decisions/0110).
 *
 * Reading datagrams in batches, SRTP, reading headers, the quick way of a source's next packet, and the stable step of
 * forwarding: write a header, protect, queue, send the queue in one system call. Everything that decides anything stays
 * in Python and sets the numbers that are used here. Each part has a twin in Python with the same behaviour, which is
 * the text to read first (step.py, stream.py, reception.py, talking.py, rtp.py, endpoint.py); native.py chooses.
 *
 * All of it runs on the event loop's thread with the interpreter's lock held. Nothing blocks: the socket does not. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "_packet.h"

#define BATCH 64  /* datagrams that are read at once */
#define QUEUE 128 /* packets that are sent at once */
#define APART 1000 /* batches that go without pairs after one was refused */
#define MAX_DATAGRAM 2048
#define MAX_UNPROTECTED 1500 /* the same limits as pylibsrtp's buffer gives: srtp.py */
#define MAX_PROTECTED 1356
#define MAX_TRAILER 144 /* SRTP_MAX_TRAILER_LEN */
#define MAX_REPORT 1352 /* of RTCP: SRTCP's trailer is four bytes longer */
#define MAX_HEADER 96   /* of a packet that is made here: 12 bytes and the extensions */
#define MAX_SOURCES 32

/* libsrtp, as pylibsrtp has it: srtp_err_status_t f(srtp_t, void *packet, int *length). Set once by `configure`. */
typedef int (*srtp_function)(void *session, void *packet, int *length);

static srtp_function srtp_protect_packet;
static srtp_function srtp_unprotect_packet;
static srtp_function srtp_protect_report;
static srtp_function srtp_unprotect_report;
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

static PyObject *View_size(View *self, void *closure) { return PyLong_FromSsize_t(PyBytes_GET_SIZE(self->packet)); }

static PyObject *View_starts_keyframe(View *self, PyObject *none) {
    return PyBool_FromLong(
        vp8_starts_keyframe((const uint8_t *)PyBytes_AS_STRING(self->packet) + self->header.payload,
                            (size_t)PyBytes_GET_SIZE(self->packet) - self->header.payload));
}

static PyMethodDef View_methods[] = {
    {"starts_keyframe", (PyCFunction)View_starts_keyframe, METH_NOARGS, "Whether a VP8 keyframe starts here."},
    {NULL},
};

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
    {"size", (getter)View_size, NULL},
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
    .tp_methods = View_methods,
    .tp_getset = View_getset,
    .tp_doc = "One received RTP packet; the attributes of rtp.RtpView.",
};

/* ---- Tally: what is counted per packet, per room or per socket ----------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    long long received, received_bytes, forwarded, forwarded_bytes, forwarded_participants, forwarded_officers;
    long long forwarded_legs;
    long long dropped_srtp, dropped_oversize, dropped_send;
    long long datagrams, media, empty, oversized, unknown_source, receive_failed, send_failed;
} Tally;

static PyMemberDef Tally_members[] = {
    {"received", T_LONGLONG, offsetof(Tally, received)},
    {"received_bytes", T_LONGLONG, offsetof(Tally, received_bytes)},
    {"forwarded", T_LONGLONG, offsetof(Tally, forwarded)},
    {"forwarded_bytes", T_LONGLONG, offsetof(Tally, forwarded_bytes)},
    {"forwarded_participants", T_LONGLONG, offsetof(Tally, forwarded_participants)},
    {"forwarded_officers", T_LONGLONG, offsetof(Tally, forwarded_officers)},
    {"forwarded_legs", T_LONGLONG, offsetof(Tally, forwarded_legs)},
    {"dropped_srtp", T_LONGLONG, offsetof(Tally, dropped_srtp)},
    {"dropped_oversize", T_LONGLONG, offsetof(Tally, dropped_oversize)},
    {"dropped_send", T_LONGLONG, offsetof(Tally, dropped_send)},
    {"datagrams", T_LONGLONG, offsetof(Tally, datagrams)},
    {"media", T_LONGLONG, offsetof(Tally, media)},
    {"empty", T_LONGLONG, offsetof(Tally, empty)},
    {"oversized", T_LONGLONG, offsetof(Tally, oversized)},
    {"unknown_source", T_LONGLONG, offsetof(Tally, unknown_source)},
    {"receive_failed", T_LONGLONG, offsetof(Tally, receive_failed)},
    {"send_failed", T_LONGLONG, offsetof(Tally, send_failed)},
    {NULL},
};

static PyTypeObject TallyType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Tally",
    .tp_basicsize = sizeof(Tally),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_members = Tally_members,
    .tp_doc = "Counters that are behind stats.RoomCounters and stats.EndpointCounters; each uses its own.",
};

/* ---- Outbox: datagrams on their way to one socket ---------------------------------------------------------------- */

typedef struct Step Step;
static void step_undo(Step *step, View *newest, long long newest_index, long long timestamp_offset, int size);
static void step_cut_off(Step *step);

typedef struct {
    Step *step;   /* references, while it is in the queue; step NULL: a report (RTCP) */
    Tally *tally;
    View *newest; /* of the step before this packet, or NULL: what a failed send goes back to */
    long long newest_index, timestamp_offset;
    int size; /* of the plain packet */
    char hidden;
    socket_address address;
    struct iovec vector;
    _Alignas(8) uint8_t bytes[MAX_PROTECTED + MAX_TRAILER + 4];
} queued;

typedef struct {
    PyObject_HEAD
    int fd; /* -1: closed */
    int held;
    Tally *tally; /* the sockets' counters */
    unsigned count;
    int apart;       /* batches that are still to go without pairs; INT_MAX: all */
    long long pairs; /* that were sent */
    queued queue[QUEUE];
    struct mmsghdr messages[QUEUE];
} Outbox;

static PyTypeObject OutboxType;

static PyObject *Outbox_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fd", "tally", NULL};
    int fd;
    PyObject *tally;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iO!:Outbox", names, &fd, &TallyType, &tally)) {
        return NULL;
    }
    Outbox *self = (Outbox *)type->tp_alloc(type, 0);
    if (self != NULL) {
        int size;
        socklen_t length = sizeof size;
        self->fd = fd;
        self->tally = (Tally *)Py_NewRef(tally);
        if (getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &length) < 0) { /* Linux before 4.18 would send it as one */
            self->apart = INT_MAX;
        }
    }
    return (PyObject *)self;
}

static void count_forwarded(Tally *tally, int hidden, int packets, int octets) {
    tally->forwarded += packets;
    tally->forwarded_bytes += octets;
    if (hidden) {
        tally->forwarded_officers += packets;
    } else {
        tally->forwarded_participants += packets;
    }
}

/* A queued packet that will not be sent: as if it had never been. `first` is the first of its step's that failed. */
static void not_sent(queued *packet, const queued *first) {
    count_forwarded(packet->tally, packet->hidden, -1, -packet->size);
    packet->tally->dropped_send++;
    step_undo(packet->step, first->newest, first->newest_index, first->timestamp_offset, packet->size);
}

static void address_message(struct msghdr *header, queued *packet, struct iovec *vectors, size_t count) {
    memset(header, 0, sizeof *header);
    header->msg_name = &packet->address;
    header->msg_namelen =
        packet->address.any.sa_family == AF_INET ? sizeof packet->address.v4 : sizeof packet->address.v6;
    header->msg_iov = vectors;
    header->msg_iovlen = count;
}

/* Which of the packets after `i` can go with it in one message: the next one to the same address, if it is not longer,
 * for the kernel cuts a message into parts of one length of which only the last may be shorter. 0: none. Nobody's
 * packets change places, so what one receiver sees does not depend on who else is sent something. */
static unsigned companion_of(const Outbox *self, const uint32_t *keys, const char *gone, unsigned i) {
    const queued *packet = &self->queue[i];
    for (unsigned j = i + 1; j < self->count; j++) {
        const queued *other = &self->queue[j];
        if (gone[j] || keys[j] != keys[i] || memcmp(&other->address, &packet->address, sizeof packet->address) != 0) {
            continue;
        }
        for (unsigned k = i + 1; k < j; k++) { /* it went another way before: a step's packets keep their order */
            if (!gone[k] && self->queue[k].step == other->step) {
                return 0;
            }
        }
        return other->vector.iov_len <= packet->vector.iov_len ? j : 0;
    }
    return 0;
}

/* Send what is queued, two packets to one address in one message where that is possible (UDP_SEGMENT, udp(7)): on its
 * way through the kernel it is one. Says in `gone` what was sent; at the first refusal it leaves the rest. */
static void outbox_send_pairs(Outbox *self, char *gone) {
    struct iovec vectors[QUEUE][2];
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr header;
    } controls[QUEUE];
    uint32_t keys[QUEUE];
    uint16_t members[QUEUE][2];
    unsigned messages = 0, done = 0;
    for (unsigned i = 0; i < self->count; i++) {
        const socket_address *address = &self->queue[i].address;
        const uint8_t *host =
            address->any.sa_family == AF_INET ? (uint8_t *)&address->v4.sin_addr : address->v6.sin6_addr.s6_addr + 12;
        keys[i] = read32(host) ^ (uint32_t)address->v4.sin_port << 16; /* sin6_port stands in the same place */
    }
    for (unsigned i = 0; i < self->count; i++) {
        if (gone[i]) {
            continue;
        }
        unsigned second = companion_of(self, keys, gone, i);
        struct msghdr *header = &self->messages[messages].msg_hdr;
        second = second ? second : i;
        gone[i] = gone[second] = 1;
        vectors[messages][0] = self->queue[i].vector;
        vectors[messages][1] = self->queue[second].vector;
        address_message(header, &self->queue[i], vectors[messages], second == i ? 1 : 2);
        if (second != i) {
            uint16_t size = (uint16_t)self->queue[i].vector.iov_len;
            header->msg_control = &controls[messages];
            header->msg_controllen = sizeof controls[messages].bytes;
            struct cmsghdr *control = CMSG_FIRSTHDR(header);
            control->cmsg_level = SOL_UDP;
            control->cmsg_type = UDP_SEGMENT;
            control->cmsg_len = CMSG_LEN(sizeof size);
            memcpy(CMSG_DATA(control), &size, sizeof size);
        }
        members[messages][0] = (uint16_t)i;
        members[messages][1] = (uint16_t)second;
        messages++;
    }
    while (done < messages) {
        int sent = sendmmsg(self->fd, self->messages + done, messages - done, MSG_DONTWAIT);
        if (sent > 0) {
            done += (unsigned)sent;
        } else if (errno != EINTR) {
            break;
        }
    }
    if (done < messages && members[done][0] != members[done][1] &&
        (errno == EINVAL || errno == EIO || errno == EMSGSIZE || errno == EOPNOTSUPP)) {
        self->apart = APART; /* the way there, or the card, does not take it */
    }
    for (unsigned i = 0; i < done; i++) {
        self->pairs += members[i][0] != members[i][1];
    }
    for (unsigned i = done; i < messages; i++) {
        gone[members[i][0]] = gone[members[i][1]] = 0;
    }
}

/* Send all that is queued. A packet that the kernel does not take sets its step back to before it; what the same step
 * has queued after it is not sent, for its numbers would be wrong. Then that step is told, by cut_off. */
static void outbox_flush(Outbox *self) {
    Step *failed[QUEUE];
    PyObject *references[3 * QUEUE];
    unsigned order[QUEUE], failures = 0, done = 0, left = 0, count = self->count;
    char gone[QUEUE] = {0};
    if (self->apart > 0) {
        self->apart -= self->apart < INT_MAX;
    } else if (self->fd >= 0 && count > 1) {
        outbox_send_pairs(self, gone);
    }
    for (unsigned i = 0; i < count; i++) {
        if (!gone[i]) {
            address_message(&self->messages[left].msg_hdr, &self->queue[i], &self->queue[i].vector, 1);
            order[left++] = i;
        }
    }
    while (done < left) {
        int sent = -1;
        if (self->fd >= 0) {
            sent = sendmmsg(self->fd, self->messages + done, left - done, MSG_DONTWAIT);
            if (sent < 0 && errno == EINTR) {
                continue;
            }
        }
        if (sent > 0) {
            done += (unsigned)sent;
            continue;
        }
        queued *packet = &self->queue[order[done]];
        if (packet->step == NULL) { /* a report may be lost */
            packet->tally->send_failed++;
            done++;
            continue;
        }
        failed[failures++] = packet->step;
        not_sent(packet, packet);
        unsigned kept = ++done;
        for (unsigned i = done; i < left; i++) {
            queued *later = &self->queue[order[i]];
            if (later->step == packet->step) {
                not_sent(later, packet);
            } else {
                order[kept] = order[i];
                self->messages[kept] = self->messages[i];
                kept++;
            }
        }
        left = kept;
    }
    for (unsigned i = 0; i < count; i++) {
        references[3 * i] = (PyObject *)self->queue[i].step;
        references[3 * i + 1] = (PyObject *)self->queue[i].tally;
        references[3 * i + 2] = (PyObject *)self->queue[i].newest;
    }
    self->count = 0; /* from here on, what is called may queue again */
    for (unsigned i = 0; i < failures; i++) {
        step_cut_off(failed[i]); /* each step fails once: what it had queued besides is gone from the queue */
    }
    for (unsigned i = 0; i < 3 * count; i++) {
        Py_XDECREF(references[i]);
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
    while (self->count > 0) {
        queued *packet = &self->queue[--self->count];
        Py_CLEAR(packet->step);
        Py_CLEAR(packet->tally);
        Py_CLEAR(packet->newest);
    }
    return 0;
}

static void Outbox_dealloc(Outbox *self) {
    PyObject_GC_UnTrack(self);
    Outbox_clear(self);
    Py_CLEAR(self->tally);
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
    {"pairs", T_LONGLONG, offsetof(Outbox, pairs), READONLY},
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
    Cipher *cipher; /* NULL: not connected */
    void *session;  /* the cipher's */
    Outbox *outbox; /* NULL: not over a UDP socket */
    socket_address address;
} Outlet;

static PyTypeObject OutletType;

static PyObject *Outlet_open(Outlet *self, PyObject *cipher) {
    if (!PyObject_TypeCheck(cipher, &CipherType)) {
        PyErr_SetString(PyExc_TypeError, "a Cipher is wanted");
        return NULL;
    }
    self->session = ((Cipher *)cipher)->session;
    Py_XSETREF(self->cipher, (Cipher *)Py_NewRef(cipher));
    Py_RETURN_NONE;
}

static PyObject *Outlet_to(Outlet *self, PyObject *args) {
    PyObject *outbox, *tuple;
    socket_address address;
    socklen_t length;
    if (!PyArg_ParseTuple(args, "OO:to", &outbox, &tuple)) {
        return NULL;
    }
    if (outbox == Py_None) {
        Py_CLEAR(self->outbox);
        Py_RETURN_NONE;
    }
    if (!PyObject_TypeCheck(outbox, &OutboxType)) {
        PyErr_SetString(PyExc_TypeError, "an Outbox or None is wanted");
        return NULL;
    }
    if (!address_of(tuple, &address, &length)) {
        return NULL;
    }
    self->address = address;
    Py_XSETREF(self->outbox, (Outbox *)Py_NewRef(outbox));
    Py_RETURN_NONE;
}

/* rtcp(compound): protect and send it, or queue it behind the packets. False: there is no way over UDP. */
static PyObject *Outlet_rtcp(Outlet *self, PyObject *compound) {
    if (!PyBytes_Check(compound)) {
        PyErr_SetString(PyExc_TypeError, "RTCP is bytes");
        return NULL;
    }
    if (PyBytes_GET_SIZE(compound) > MAX_REPORT) {
        PyErr_SetString(PyExc_ValueError, "packet is too long");
        return NULL;
    }
    if (self->outbox != NULL && self->outbox->count == QUEUE) { /* sending may lead to anything */
        Outbox *full = (Outbox *)Py_NewRef((PyObject *)self->outbox);
        outbox_flush(full);
        Py_DECREF(full);
    }
    if (self->cipher == NULL || self->outbox == NULL || self->outbox->count == QUEUE) {
        Py_RETURN_FALSE;
    }
    Outbox *outbox = (Outbox *)Py_NewRef((PyObject *)self->outbox);
    queued *packet = &outbox->queue[outbox->count];
    int length = (int)PyBytes_GET_SIZE(compound);
    memcpy(packet->bytes, PyBytes_AS_STRING(compound), (size_t)length);
    if (srtp_protect_report(self->session, packet->bytes, &length)) {
        PyErr_SetString(srtp_error, "libsrtp refused the packet");
        Py_DECREF(outbox);
        return NULL;
    }
    packet->step = NULL;
    packet->tally = (Tally *)Py_NewRef((PyObject *)outbox->tally);
    packet->newest = NULL;
    packet->address = self->address;
    packet->vector.iov_base = packet->bytes;
    packet->vector.iov_len = (size_t)length;
    outbox->count++;
    if (outbox->held == 0) {
        outbox_flush(outbox);
    }
    Py_DECREF(outbox);
    Py_RETURN_TRUE;
}

static PyObject *Outlet_close(Outlet *self, PyObject *none) {
    self->session = NULL;
    Py_CLEAR(self->cipher);
    Py_CLEAR(self->outbox);
    Py_RETURN_NONE;
}

static void Outlet_dealloc(Outlet *self) {
    Py_CLEAR(self->cipher);
    Py_CLEAR(self->outbox);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef Outlet_methods[] = {
    {"open", (PyCFunction)Outlet_open, METH_O, "Protect with this Cipher from now on."},
    {"to", (PyCFunction)Outlet_to, METH_VARARGS, "to(outbox, address): the way; to(None, None): not over UDP."},
    {"rtcp", (PyCFunction)Outlet_rtcp, METH_O, "Protect and send a compound RTCP packet; False: not over UDP."},
    {"close", (PyCFunction)Outlet_close, METH_NOARGS, "Protect and send nothing any more."},
    {NULL},
};

static PyTypeObject OutletType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Outlet",
    .tp_basicsize = sizeof(Outlet),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)Outlet_dealloc,
    .tp_methods = Outlet_methods,
    .tp_doc = "Where one session's packets go: its SRTP, and an address that a UDP socket sends to.",
};

/* ---- Step: the stable step of forwarding, for one slot ----------------------------------------------------------- */

#define NEVER (1LL << 62) /* rewrite.NEVER: an index that no packet has */

typedef struct {
    uint8_t bytes[MAX_HEADER - RTP_HEADER]; /* the header extension, from its profile on */
    uint8_t length;
    int8_t time_at;  /* where abs-send-time's value stands; -1: not negotiated */
    int8_t level_at; /* where the audio level stands; -1: not in this one */
} template_block;

struct Step {
    PyObject_HEAD
    Outlet *outlet;     /* or NULL: everything goes through `send` */
    PyObject *send;     /* send(packet) -> the protected packet, or None if it could not be sent */
    PyObject *unstable; /* unstable(view) -> bytes sent: a packet that the numbers here do not place */
    PyObject *cut;      /* cut(): a packet could not be sent */
    PyObject *keep;     /* keep(sequence, wire), or NULL */
    Tally *tally;
    View *newest;
    long long stable_from, first_index, newest_index, index_offset, timestamp_offset, packets, octets;
    uint32_t ssrc, picture_offset, tl0_offset;
    uint8_t payload_type;
    char hidden, has_level;
    template_block plain, level;
};

static PyTypeObject StepType;

static PyObject *Step_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Step *self = (Step *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->stable_from = NEVER;
        self->newest_index = -1;
        self->plain.time_at = self->plain.level_at = -1;
    }
    return (PyObject *)self;
}

static int read_template(PyObject *tuple, template_block *block) {
    const char *bytes;
    Py_ssize_t length;
    int time_at, level_at;
    if (!PyArg_ParseTuple(tuple, "y#ii", &bytes, &length, &time_at, &level_at)) {
        return 0;
    }
    if (length > (Py_ssize_t)sizeof block->bytes || length % 4 || (time_at >= 0 && time_at + 3 > length) ||
        level_at >= length) {
        PyErr_SetString(PyExc_ValueError, "not a header extension");
        return 0;
    }
    memcpy(block->bytes, bytes, (size_t)length);
    block->length = (uint8_t)length;
    block->time_at = (int8_t)(time_at < 0 ? -1 : time_at);
    block->level_at = (int8_t)(level_at < 0 ? -1 : level_at);
    return 1;
}

static PyObject *Step_shape(Step *self, PyObject *args) {
    PyObject *plain, *level;
    if (!PyArg_ParseTuple(args, "O!O:shape", &PyTuple_Type, &plain, &level) || !read_template(plain, &self->plain)) {
        return NULL;
    }
    self->has_level = 0;
    if (level != Py_None) {
        if (!PyTuple_Check(level)) {
            PyErr_SetString(PyExc_TypeError, "a tuple or None is wanted");
            return NULL;
        }
        if (!read_template(level, &self->level)) {
            return NULL;
        }
        self->has_level = 1;
    }
    Py_RETURN_NONE;
}

static PyObject *Step_connect(Step *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"outlet", "send", "unstable", "cut", "keep", "hidden", NULL};
    PyObject *outlet, *send, *unstable, *cut, *keep;
    int hidden;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$OOOOOp:connect", names, &outlet, &send, &unstable, &cut, &keep,
                                     &hidden)) {
        return NULL;
    }
    if (outlet != Py_None && !PyObject_TypeCheck(outlet, &OutletType)) {
        PyErr_SetString(PyExc_TypeError, "an Outlet or None is wanted");
        return NULL;
    }
    Py_XSETREF(self->outlet, outlet == Py_None ? NULL : (Outlet *)Py_NewRef(outlet));
    Py_XSETREF(self->send, Py_NewRef(send));
    Py_XSETREF(self->unstable, Py_NewRef(unstable));
    Py_XSETREF(self->cut, Py_NewRef(cut));
    Py_XSETREF(self->keep, keep == Py_None ? NULL : Py_NewRef(keep));
    self->hidden = (char)hidden;
    Py_RETURN_NONE;
}

static PyObject *Step_count_in(Step *self, PyObject *tally) {
    if (!PyObject_TypeCheck(tally, &TallyType)) {
        PyErr_SetString(PyExc_TypeError, "a Tally is wanted");
        return NULL;
    }
    Py_XSETREF(self->tally, (Tally *)Py_NewRef(tally));
    Py_RETURN_NONE;
}

static int Step_traverse(Step *self, visitproc visit, void *arg) {
    Py_VISIT(self->send);
    Py_VISIT(self->unstable);
    Py_VISIT(self->cut);
    Py_VISIT(self->keep);
    return 0;
}

static int Step_clear(Step *self) {
    self->stable_from = NEVER;
    Py_CLEAR(self->send);
    Py_CLEAR(self->unstable);
    Py_CLEAR(self->cut);
    Py_CLEAR(self->keep);
    return 0;
}

static void Step_dealloc(Step *self) {
    PyObject_GC_UnTrack(self);
    Step_clear(self);
    Py_CLEAR(self->outlet);
    Py_CLEAR(self->tally);
    Py_CLEAR(self->newest);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static void step_undo(Step *step, View *newest, long long newest_index, long long timestamp_offset, int size) {
    View *before = step->newest;
    step->newest = newest == NULL ? NULL : (View *)Py_NewRef((PyObject *)newest);
    Py_XDECREF((PyObject *)before);
    step->newest_index = newest_index;
    step->timestamp_offset = timestamp_offset;
    step->packets--;
    step->octets -= size;
}

static void step_cut_off(Step *step) {
    if (step->cut == NULL) {
        return;
    }
    PyObject *cut = Py_NewRef(step->cut);
    PyObject *result = PyObject_CallNoArgs(cut);
    if (result == NULL) {
        PyErr_WriteUnraisable(cut);
    }
    Py_XDECREF(result);
    Py_DECREF(cut);
}

static const template_block *step_template(const Step *self, const View *view) {
    return view->header.level != RTP_NO_LEVEL && self->has_level ? &self->level : &self->plain;
}

static size_t step_size(const Step *self, const View *view) {
    return RTP_HEADER + (size_t)step_template(self, view)->length + (size_t)PyBytes_GET_SIZE(view->packet) -
           view->header.payload;
}

/* The packet as it goes out, before it is protected; `bytes` holds step_size of them. */
static void step_write(const Step *self, const View *view, long long timestamp_offset, uint8_t *bytes) {
    const template_block *block = step_template(self, view);
    size_t payload = (size_t)PyBytes_GET_SIZE(view->packet) - view->header.payload;
    bytes[0] = (uint8_t)((block->length ? 0x90 : 0x80) | view->header.padding);
    bytes[1] = view->header.marker | self->payload_type;
    write16(bytes + 2, (uint16_t)((unsigned long long)view->index + (unsigned long long)self->index_offset));
    write32(bytes + 4, view->header.timestamp + (uint32_t)timestamp_offset);
    write32(bytes + 8, self->ssrc);
    bytes += RTP_HEADER;
    memcpy(bytes, block->bytes, block->length);
    if (block->time_at >= 0) {
        bytes[block->time_at] = (uint8_t)(view->departure >> 16);
        write16(bytes + block->time_at + 1, (uint16_t)view->departure);
    }
    if (block->level_at >= 0) {
        bytes[block->level_at] = (uint8_t)view->header.level;
    }
    bytes += block->length;
    memcpy(bytes, PyBytes_AS_STRING(view->packet) + view->header.payload, payload);
    if (self->picture_offset || self->tl0_offset) {
        vp8_shift_numbers(bytes, payload, self->picture_offset, self->tl0_offset);
    }
}

static PyObject *Step_packet(Step *self, PyObject *view) {
    if (!PyObject_TypeCheck(view, &ViewType)) {
        PyErr_SetString(PyExc_TypeError, "a View is wanted");
        return NULL;
    }
    PyObject *packet = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)step_size(self, (View *)view));
    if (packet != NULL) {
        step_write(self, (View *)view, self->timestamp_offset, (uint8_t *)PyBytes_AS_STRING(packet));
    }
    return packet;
}

/* The bytes that went out, for a receiver that cannot be sent RTX. */
static void step_keep(Step *self, long long position, PyObject *wire) {
    PyObject *keep = Py_NewRef(self->keep);
    PyObject *result = PyObject_CallFunction(keep, "lO", (long)(position & 0xFFFF), wire);
    if (result == NULL) {
        PyErr_WriteUnraisable(keep);
    }
    Py_XDECREF(result);
    Py_DECREF(keep);
}

/* Through Python: the session is not connected, or not over UDP, or there is no Outlet. 1: sent; 0: not; -1: exception. */
static int step_by_python(Step *self, View *view, long long timestamp_offset, size_t size, PyObject **wire) {
    if (self->send == NULL) {
        return 0;
    }
    PyObject *packet = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (packet == NULL) {
        return -1;
    }
    step_write(self, view, timestamp_offset, (uint8_t *)PyBytes_AS_STRING(packet));
    PyObject *send = Py_NewRef(self->send);
    *wire = PyObject_CallOneArg(send, packet);
    Py_DECREF(send);
    Py_DECREF(packet);
    return *wire == NULL ? -1 : *wire != Py_None;
}

/* Protect into the outlet's queue. 1: queued; 0: refused; -1: exception. */
static int step_queue(Step *self, View *view, long long timestamp_offset, size_t size, PyObject **wire) {
    Outlet *outlet = self->outlet;
    Outbox *outbox = outlet->outbox;
    if (size > MAX_PROTECTED) {
        self->tally->dropped_oversize++;
        return 0;
    }
    queued *packet = &outbox->queue[outbox->count];
    step_write(self, view, timestamp_offset, packet->bytes);
    int length = (int)size;
    if (srtp_protect_packet(outlet->session, packet->bytes, &length)) {
        self->tally->dropped_srtp++;
        return 0;
    }
    if (self->keep != NULL) {
        *wire = PyBytes_FromStringAndSize((const char *)packet->bytes, length);
        if (*wire == NULL) {
            return -1;
        }
    }
    packet->step = (Step *)Py_NewRef((PyObject *)self);
    packet->tally = (Tally *)Py_NewRef((PyObject *)self->tally);
    packet->newest = self->newest == NULL ? NULL : (View *)Py_NewRef((PyObject *)self->newest);
    packet->newest_index = self->newest_index;
    packet->timestamp_offset = self->timestamp_offset;
    packet->size = (int)size;
    packet->hidden = self->hidden;
    packet->address = outlet->address;
    packet->vector.iov_base = packet->bytes;
    packet->vector.iov_len = (size_t)length;
    outbox->count++;
    return 1;
}

/* Send one packet, or queue it while somebody holds the queue. Gives its plain size; 0 if it was not sent, and then the
 * forwarder was told; -1: an exception is set. */
static int step_put(Step *self, View *view, long long timestamp_offset) {
    size_t size = step_size(self, view);
    long long position = (long long)((unsigned long long)view->index + (unsigned long long)self->index_offset);
    Outlet *outlet = self->outlet;
    Outbox *outbox = NULL;
    PyObject *wire = NULL;
    int sent;
    if (outlet != NULL && outlet->cipher != NULL && outlet->outbox != NULL && self->tally != NULL) {
        outbox = (Outbox *)Py_NewRef((PyObject *)outlet->outbox);
        sent = step_queue(self, view, timestamp_offset, size, &wire);
    } else {
        sent = step_by_python(self, view, timestamp_offset, size, &wire);
    }
    if (sent > 0) {
        if (self->tally != NULL) {
            count_forwarded(self->tally, self->hidden, 1, (int)size);
        }
        self->packets++;
        self->octets += (long long)size;
        if (view->index >= self->newest_index) {
            self->timestamp_offset = timestamp_offset;
            self->newest_index = view->index;
            Py_XSETREF(self->newest, (View *)Py_NewRef((PyObject *)view));
        }
        if (self->keep != NULL && wire != NULL) {
            step_keep(self, position, wire);
        }
        if (outbox != NULL && outbox->held == 0) {
            long long packets = self->packets;
            outbox_flush(outbox);
            if (self->packets < packets) {
                size = 0; /* and the forwarder was told */
            }
        }
    } else if (sent == 0) {
        size = 0;
        step_cut_off(self);
    }
    Py_XDECREF(wire);
    Py_XDECREF(outbox);
    return sent < 0 ? -1 : (int)size;
}

/* Sending what is queued may lead to anything, so it comes before the step's numbers are looked at. */
static void step_make_room(Step *self) {
    if (self->outlet != NULL && self->outlet->outbox != NULL && self->outlet->outbox->count == QUEUE) {
        Outbox *outbox = (Outbox *)Py_NewRef((PyObject *)self->outlet->outbox);
        outbox_flush(outbox);
        Py_DECREF(outbox);
    }
}

/* put(view, timestamp_offset): send by the present offsets but for the timestamp's, stable or not. */
static PyObject *Step_put(Step *self, PyObject *args) {
    View *view;
    long long timestamp_offset;
    if (!PyArg_ParseTuple(args, "O!L:put", &ViewType, &view, &timestamp_offset)) {
        return NULL;
    }
    step_make_room(self);
    int size = step_put(self, view, timestamp_offset);
    return size < 0 ? NULL : PyLong_FromLong(size);
}

/* Not the step's: to be decided in Python. */
static PyObject *step_unstable(Step *self, View *view) {
    if (self->unstable == NULL) {
        return PyLong_FromLong(0);
    }
    PyObject *unstable = Py_NewRef(self->unstable);
    PyObject *result = PyObject_CallOneArg(unstable, (PyObject *)view);
    Py_DECREF(unstable);
    return result;
}

static PyObject *Step_forward(Step *self, PyObject *view) {
    if (!PyObject_TypeCheck(view, &ViewType)) {
        PyErr_SetString(PyExc_TypeError, "a View is wanted");
        return NULL;
    }
    step_make_room(self);
    if (((View *)view)->index < self->stable_from) {
        return step_unstable(self, (View *)view);
    }
    int size = step_put(self, (View *)view, self->timestamp_offset);
    return size < 0 ? NULL : PyLong_FromLong(size);
}

static PyObject *Step_sent(Step *self, PyObject *view) {
    if (!PyObject_TypeCheck(view, &ViewType)) {
        PyErr_SetString(PyExc_TypeError, "a View is wanted");
        return NULL;
    }
    if (((View *)view)->index > self->newest_index) {
        self->newest_index = ((View *)view)->index;
        Py_XSETREF(self->newest, (View *)Py_NewRef(view));
    }
    Py_RETURN_NONE;
}

static PyObject *Step_get_newest(Step *self, void *closure) {
    return Py_NewRef(self->newest == NULL ? Py_None : (PyObject *)self->newest);
}

static int Step_set_newest(Step *self, PyObject *value, void *closure) {
    if (value == NULL || (value != Py_None && !PyObject_TypeCheck(value, &ViewType))) {
        PyErr_SetString(PyExc_TypeError, "a View or None is wanted");
        return -1;
    }
    Py_XSETREF(self->newest, value == Py_None ? NULL : (View *)Py_NewRef(value));
    return 0;
}

static PyMethodDef Step_methods[] = {
    {"shape", (PyCFunction)Step_shape, METH_VARARGS, "The header extensions: without and with an audio level."},
    {"connect", (PyCFunction)(void (*)(void))Step_connect, METH_VARARGS | METH_KEYWORDS, "Where packets go."},
    {"count_in", (PyCFunction)Step_count_in, METH_O, "Count what is sent in this Tally."},
    {"packet", (PyCFunction)Step_packet, METH_O, "The packet as it goes out, before it is protected."},
    {"put", (PyCFunction)Step_put, METH_VARARGS, "Send a view with a timestamp offset; the bytes sent."},
    {"forward", (PyCFunction)Step_forward, METH_O, "One packet of the source; the bytes sent, 0 for none."},
    {"sent", (PyCFunction)Step_sent, METH_O, "Remember that a view was sent."},
    {NULL},
};

static PyMemberDef Step_members[] = {
    {"stable_from", T_LONGLONG, offsetof(Step, stable_from)},
    {"first_index", T_LONGLONG, offsetof(Step, first_index)},
    {"newest_index", T_LONGLONG, offsetof(Step, newest_index)},
    {"index_offset", T_LONGLONG, offsetof(Step, index_offset)},
    {"timestamp_offset", T_LONGLONG, offsetof(Step, timestamp_offset)},
    {"picture_offset", T_UINT, offsetof(Step, picture_offset)},
    {"tl0_offset", T_UINT, offsetof(Step, tl0_offset)},
    {"ssrc", T_UINT, offsetof(Step, ssrc)},
    {"payload_type", T_UBYTE, offsetof(Step, payload_type)},
    {"packets", T_LONGLONG, offsetof(Step, packets)},
    {"octets", T_LONGLONG, offsetof(Step, octets)},
    {NULL},
};

static PyGetSetDef Step_getset[] = {
    {"newest", (getter)Step_get_newest, (setter)Step_set_newest},
    {NULL},
};

static PyTypeObject StepType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Step",
    .tp_basicsize = sizeof(Step),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = Step_new,
    .tp_dealloc = (destructor)Step_dealloc,
    .tp_traverse = (traverseproc)Step_traverse,
    .tp_clear = (inquiry)Step_clear,
    .tp_methods = Step_methods,
    .tp_members = Step_members,
    .tp_getset = Step_getset,
    .tp_doc = "What forwarding does with each packet of a slot while nothing changes. See plain.Step.",
};

/* ---- Arrivals: extended sequence numbers and jitter (reception.PlainArrivals) ------------------------------------- */

typedef struct {
    PyObject_HEAD
    long long base, highest, received;
    double clock_rate, transit, jitter;
    char has_transit;
} Arrivals;

static PyTypeObject ArrivalsType;

static int Arrivals_init(Arrivals *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"clock_rate", NULL};
    int clock_rate;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:Arrivals", names, &clock_rate)) {
        return -1;
    }
    self->clock_rate = clock_rate;
    self->base = self->highest = -1;
    self->received = 0;
    self->transit = self->jitter = 0;
    self->has_transit = 0;
    return 0;
}

static long long arrivals_place(const Arrivals *self, uint16_t sequence) {
    uint16_t delta = (uint16_t)(sequence - (uint16_t)self->highest);
    return self->highest + delta - (delta < 0x8000 ? 0 : 0x10000);
}

static long long arrivals_add(Arrivals *self, uint16_t sequence, uint32_t timestamp, double arrival) {
    double transit = arrival * self->clock_rate - (double)timestamp;
    self->received++;
    if (self->highest < 0) {
        self->base = self->highest = (long long)sequence + 0x10000;
        self->transit = transit;
        self->has_transit = 1;
        return self->highest;
    }
    long long index = arrivals_place(self, sequence);
    if (index > self->highest) {
        self->highest = index;
    }
    double difference = self->has_transit ? Py_MAX(transit - self->transit, self->transit - transit) : 0.0;
    self->transit = transit;
    self->has_transit = 1;
    if (difference < self->clock_rate * 10) { /* a timestamp that jumped or wrapped says nothing about the network */
        self->jitter += (difference - self->jitter) / 16;
    }
    return index;
}

static PyObject *Arrivals_add(Arrivals *self, PyObject *args) {
    unsigned short sequence;
    unsigned int timestamp;
    double arrival;
    if (!PyArg_ParseTuple(args, "HId:add", &sequence, &timestamp, &arrival)) {
        return NULL;
    }
    return PyLong_FromLongLong(arrivals_add(self, sequence, timestamp, arrival));
}

static PyObject *Arrivals_place(Arrivals *self, PyObject *value) {
    unsigned long sequence = PyLong_AsUnsignedLong(value);
    if (PyErr_Occurred()) {
        return NULL;
    }
    return PyLong_FromLongLong(arrivals_place(self, (uint16_t)sequence));
}

static PyMethodDef Arrivals_methods[] = {
    {"add", (PyCFunction)Arrivals_add, METH_VARARGS, "Take one packet in: add(sequence, timestamp, arrival) -> index."},
    {"place", (PyCFunction)Arrivals_place, METH_O, "The index of a packet that came another way."},
    {NULL},
};

static PyMemberDef Arrivals_members[] = {
    {"highest", T_LONGLONG, offsetof(Arrivals, highest)},
    {"received", T_LONGLONG, offsetof(Arrivals, received)},
    {"_base", T_LONGLONG, offsetof(Arrivals, base)},
    {"_jitter", T_DOUBLE, offsetof(Arrivals, jitter)},
    {NULL},
};

static PyTypeObject ArrivalsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Arrivals",
    .tp_basicsize = sizeof(Arrivals),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)Arrivals_init,
    .tp_methods = Arrivals_methods,
    .tp_members = Arrivals_members,
    .tp_doc = "See reception.PlainArrivals.",
};

/* ---- Levels: loudness, and whether somebody speaks (talking.PlainLevels) ------------------------------------------ */

#define SILENT 127
#define LOUD_BELOW 60
#define LOUD_HOLD 0.6
#define LOUD_REPEAT 1.0
#define LOUD_ENOUGH 4
#define LOUD_SMOOTHING 0.04

typedef struct {
    PyObject_HEAD
    long long loud;
    double loudness, since, last_loud, last_report;
    int peak;
    char talking;
} Levels;

static PyTypeObject LevelsType;
static PyObject *name_speaks, *name_stop;

static PyObject *Levels_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Levels *self = (Levels *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->peak = SILENT;
    }
    return (PyObject *)self;
}

/* -1: an exception is set. */
static int levels_add(Levels *self, int value, double now) {
    int level = value & 0x7F;
    PyObject *result = NULL;
    self->loudness += (SILENT - level - self->loudness) * LOUD_SMOOTHING;
    if (level < LOUD_BELOW) {
        self->loud++;
        self->last_loud = now;
        if (level < self->peak) {
            self->peak = level;
        }
        if (self->loud < LOUD_ENOUGH || (self->talking && now - self->last_report < LOUD_REPEAT)) {
            return 0;
        }
        PyObject *seconds = PyFloat_FromDouble(now);
        result = seconds == NULL ? NULL : PyObject_CallMethodOneArg((PyObject *)self, name_speaks, seconds);
        Py_XDECREF(seconds);
    } else if (now - self->last_loud >= LOUD_HOLD) {
        self->loud = 0;
        self->peak = SILENT;
        if (!self->talking) {
            return 0;
        }
        result = PyObject_CallMethodNoArgs((PyObject *)self, name_stop);
    } else {
        return 0;
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *Levels_level(Levels *self, PyObject *args) {
    int value;
    double now;
    if (!PyArg_ParseTuple(args, "id:level", &value, &now) || levels_add(self, value, now) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef Levels_methods[] = {
    {"level", (PyCFunction)Levels_level, METH_VARARGS, "One packet's level byte: level(value, now)."},
    {NULL},
};

static PyMemberDef Levels_members[] = {
    {"talking", T_BOOL, offsetof(Levels, talking)},
    {"loudness", T_DOUBLE, offsetof(Levels, loudness)},
    {"_loud", T_LONGLONG, offsetof(Levels, loud)},
    {"_peak", T_INT, offsetof(Levels, peak)},
    {"_since", T_DOUBLE, offsetof(Levels, since)},
    {"_last_loud", T_DOUBLE, offsetof(Levels, last_loud)},
    {"_last_report", T_DOUBLE, offsetof(Levels, last_report)},
    {NULL},
};

static PyTypeObject LevelsType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Levels",
    .tp_basicsize = sizeof(Levels),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = Levels_new,
    .tp_methods = Levels_methods,
    .tp_members = Levels_members,
    .tp_doc = "See talking.PlainLevels.",
};

/* ---- Uplink: what a publisher's line carries, once per frame (remb.PlainUplink) ------------------------------------ */

#define UPLINK_TICKS (1 << 18) /* of abs-send-time in a second */
#define UPLINK_WRAP (1 << 24)
#define UPLINK_SAME_TIME (UPLINK_TICKS / 200)
#define UPLINK_AT_ONCE 0.005
#define UPLINK_LONGEST_BURST 0.1
#define UPLINK_QUEUES 12
#define UPLINK_DRIFT 0.01
#define UPLINK_WINDOW 20
#define UPLINK_SMOOTHING 0.9
#define UPLINK_GAIN 4.0
#define UPLINK_MAX_FRAMES 60
#define UPLINK_OVERUSE_TIME 0.010
#define UPLINK_THRESHOLD_LEAST 6.0
#define UPLINK_THRESHOLD_FIRST 12.5
#define UPLINK_THRESHOLD_MOST 600.0
#define UPLINK_ADAPT_BELOW 0.039
#define UPLINK_ADAPT_ABOVE 0.0087
#define UPLINK_DECREASE 0.85
#define UPLINK_INCREASE 1.08
#define UPLINK_FIRST_INCREASE 1.35
#define UPLINK_RATE_WINDOW 0.5
#define UPLINK_WARM_UP 1.0

typedef struct {
    double x, y;
} point;

typedef struct {
    PyObject_HEAD
    /* remb.DelayTrend */
    point points[UPLINK_WINDOW]; /* a ring; `next_point` is the oldest when it is full */
    int point_count, next_point, frames;
    double accumulated, smoothed, threshold, over_since, previous_trend;
    char is_over;
    /* the frames before, in groups */
    int32_t first_sent, last_sent, before_sent;
    double group_arrival, before_arrival, delay, least;
    double queues[UPLINK_QUEUES];
    int queue_count, next_queue;
    /* the bitrate */
    long long bytes, window_bytes;
    double window_start, incoming, first, changed, increase, estimate;
    char has_before, has_window, has_incoming, has_first, has_estimate;
} Uplink;

static PyTypeObject UplinkType;

static PyObject *Uplink_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Uplink *self = (Uplink *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->threshold = UPLINK_THRESHOLD_FIRST;
        self->increase = UPLINK_FIRST_INCREASE;
    }
    return (PyObject *)self;
}

/* Least squares over the last points, from the oldest to the newest: milliseconds of delay per millisecond. */
static double uplink_slope(const Uplink *self) {
    double origin = self->points[self->next_point].x, sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    for (int i = 0; i < UPLINK_WINDOW; i++) {
        const point *at = &self->points[(self->next_point + i) % UPLINK_WINDOW];
        double x = at->x - origin;
        sum_x += x;
        sum_y += at->y;
        sum_xx += x * x;
        sum_xy += x * at->y;
    }
    double below = UPLINK_WINDOW * sum_xx - sum_x * sum_x;
    return below > 0 ? (UPLINK_WINDOW * sum_xy - sum_x * sum_y) / below : 0.0;
}

static int uplink_compare(Uplink *self, double modified, double trend, double now) {
    if (modified > self->threshold) {
        if (!self->is_over) {
            self->is_over = 1;
            self->over_since = now;
            return 0;
        }
        if (now - self->over_since >= UPLINK_OVERUSE_TIME && trend >= self->previous_trend) {
            self->is_over = 0;
            return 1;
        }
        return 0;
    }
    self->is_over = 0;
    return modified < -self->threshold ? -1 : 0;
}

static int uplink_trend(Uplink *self, double growth, double now) {
    self->frames = Py_MIN(self->frames + 1, UPLINK_MAX_FRAMES);
    self->accumulated += growth;
    self->smoothed = UPLINK_SMOOTHING * self->smoothed + (1 - UPLINK_SMOOTHING) * self->accumulated;
    self->points[self->next_point] = (point){now * 1000, self->smoothed};
    self->next_point = (self->next_point + 1) % UPLINK_WINDOW;
    self->point_count = Py_MIN(self->point_count + 1, UPLINK_WINDOW);
    double trend = self->point_count == UPLINK_WINDOW ? uplink_slope(self) : 0.0;
    double modified = self->frames * trend * UPLINK_GAIN;
    int state = uplink_compare(self, modified, trend, now);
    self->previous_trend = trend;
    double distance = (modified < 0 ? -modified : modified) - self->threshold;
    if (distance <= 15) {
        double rate = distance < 0 ? UPLINK_ADAPT_BELOW : UPLINK_ADAPT_ABOVE;
        double threshold = self->threshold + rate * distance * 33;
        self->threshold = Py_MIN(Py_MAX(threshold, UPLINK_THRESHOLD_LEAST), UPLINK_THRESHOLD_MOST);
    }
    return state;
}

static void uplink_measure(Uplink *self, double now) {
    long long size = self->bytes;
    self->bytes = 0;
    if (!self->has_window) {
        self->has_window = 1;
        self->window_start = now;
        return;
    }
    self->window_bytes += size;
    double elapsed = now - self->window_start;
    if (elapsed >= UPLINK_RATE_WINDOW) {
        self->incoming = (double)(self->window_bytes * 8) / elapsed;
        self->has_incoming = 1;
        self->window_start = now;
        self->window_bytes = 0;
    }
}

static void uplink_follow(Uplink *self, int state, double now) {
    double incoming = self->incoming;
    if (!self->has_incoming || !self->has_first) {
        return;
    }
    if (state > 0) {
        self->increase = UPLINK_INCREASE;
        double present = self->has_estimate && self->estimate != 0 ? self->estimate : incoming;
        self->estimate = Py_MIN(UPLINK_DECREASE * incoming, present);
        self->has_estimate = 1;
    } else if (now - self->first < UPLINK_WARM_UP) {
        return;
    } else if (!self->has_estimate) {
        self->estimate = incoming;
        self->has_estimate = 1;
    } else if (state == 0) {
        double grown = self->estimate * pow(self->increase, Py_MIN(now - self->changed, 1.0));
        double most = 1.5 * incoming + 10000;
        grown = Py_MIN(grown, most);
        self->estimate = Py_MAX(self->estimate, grown);
    }
    self->changed = now;
}

static int32_t uplink_since(int32_t sent, int32_t before) { return (sent - before) & (UPLINK_WRAP - 1); }

static int uplink_belongs(const Uplink *self, int32_t send_time, double now) {
    if (uplink_since(send_time, self->first_sent) < UPLINK_SAME_TIME) {
        return 1;
    }
    double sent = (double)uplink_since(send_time, self->last_sent) / UPLINK_TICKS;
    double burst = (double)uplink_since(send_time, self->first_sent) / UPLINK_TICKS;
    return now - self->group_arrival < Py_MIN(UPLINK_AT_ONCE, sent) && burst < UPLINK_LONGEST_BURST;
}

/* The last packet of a frame, sent at `send_time` (24 bits, 1/2^18 s). */
static void uplink_frame(Uplink *self, int32_t send_time, double now) {
    uplink_measure(self, now);
    if (!self->has_first) {
        self->has_first = 1;
        self->first = self->changed = self->group_arrival = now;
        self->first_sent = self->last_sent = send_time;
        return;
    }
    int32_t last = self->last_sent;
    double arrival = self->group_arrival;
    if (uplink_since(send_time, last) >= UPLINK_WRAP / 2) { /* a frame that was overtaken */
        return;
    }
    int belongs = uplink_belongs(self, send_time, now);
    self->last_sent = send_time;
    self->group_arrival = now;
    if (belongs) {
        return;
    }
    self->first_sent = send_time;
    char had_before = self->has_before;
    int32_t before_sent = self->before_sent;
    double before_arrival = self->before_arrival;
    self->has_before = 1;
    self->before_sent = last;
    self->before_arrival = arrival;
    if (had_before) {
        double sent = (double)((long long)uplink_since(last, before_sent) * 1000) / UPLINK_TICKS;
        double growth = (arrival - before_arrival) * 1000 - sent;
        self->delay += growth;
        double least = self->least + UPLINK_DRIFT;
        self->least = Py_MIN(least, self->delay);
        self->queues[self->next_queue] = self->delay - self->least;
        self->next_queue = (self->next_queue + 1) % UPLINK_QUEUES;
        self->queue_count = Py_MIN(self->queue_count + 1, UPLINK_QUEUES);
        uplink_follow(self, uplink_trend(self, growth, arrival), now);
    }
}

static PyObject *Uplink_count(Uplink *self, PyObject *value) {
    long long size = PyLong_AsLongLong(value);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    self->bytes += size;
    Py_RETURN_NONE;
}

static PyObject *Uplink_take(Uplink *self, PyObject *args) {
    long long size;
    int is_last;
    PyObject *send_time;
    double arrival;
    if (!PyArg_ParseTuple(args, "LpOd:take", &size, &is_last, &send_time, &arrival)) {
        return NULL;
    }
    self->bytes += size;
    if (is_last && send_time != Py_None) {
        long sent = PyLong_AsLong(send_time);
        if (sent == -1 && PyErr_Occurred()) {
            return NULL;
        }
        uplink_frame(self, (int32_t)(sent & (UPLINK_WRAP - 1)), arrival);
    }
    Py_RETURN_NONE;
}

static PyObject *Uplink_estimate(Uplink *self, void *closure) {
    if (!self->has_estimate) {
        Py_RETURN_NONE;
    }
    return PyFloat_FromDouble(self->estimate);
}

static PyObject *Uplink_queue(Uplink *self, void *closure) {
    double least = self->queue_count == UPLINK_QUEUES ? self->queues[0] : 0.0;
    for (int i = 1; i < self->queue_count && self->queue_count == UPLINK_QUEUES; i++) {
        least = Py_MIN(least, self->queues[i]);
    }
    return PyFloat_FromDouble(least / 1000);
}

static PyMethodDef Uplink_methods[] = {
    {"count", (PyCFunction)Uplink_count, METH_O, "So many bytes came besides."},
    {"take", (PyCFunction)Uplink_take, METH_VARARGS, "One packet: take(size, is_last, send_time, arrival)."},
    {NULL},
};

static PyGetSetDef Uplink_getset[] = {
    {"estimate", (getter)Uplink_estimate, NULL},
    {"queue", (getter)Uplink_queue, NULL},
    {NULL},
};

static PyTypeObject UplinkType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Uplink",
    .tp_basicsize = sizeof(Uplink),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = Uplink_new,
    .tp_methods = Uplink_methods,
    .tp_getset = Uplink_getset,
    .tp_doc = "See remb.PlainUplink.",
};

/* ---- What the quick way looks at for every packet: bases of the objects themselves (watched.py) ------------------- */

typedef struct {
    PyObject_HEAD
    char open;
} WatchedGate;

static PyMemberDef WatchedGate_members[] = {
    {"open", T_BOOL, offsetof(WatchedGate, open)},
    {NULL},
};

static PyTypeObject WatchedGateType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.WatchedGate",
    .tp_basicsize = sizeof(WatchedGate),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_members = WatchedGate_members,
    .tp_doc = "See watched.PlainGate.",
};

typedef struct {
    PyObject_HEAD
    PyObject *uplink, *outputs, *merge, *info;
    char muted;
} WatchedTrack;

static int WatchedTrack_traverse(WatchedTrack *self, visitproc visit, void *arg) {
    Py_VISIT(self->uplink);
    Py_VISIT(self->outputs);
    Py_VISIT(self->merge);
    Py_VISIT(self->info);
    return 0;
}

static int WatchedTrack_clear(WatchedTrack *self) {
    Py_CLEAR(self->uplink);
    Py_CLEAR(self->outputs);
    Py_CLEAR(self->merge);
    Py_CLEAR(self->info);
    return 0;
}

static void WatchedTrack_dealloc(WatchedTrack *self) {
    PyObject_GC_UnTrack(self);
    WatchedTrack_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef WatchedTrack_members[] = {
    {"uplink", T_OBJECT_EX, offsetof(WatchedTrack, uplink)},
    {"outputs", T_OBJECT_EX, offsetof(WatchedTrack, outputs)},
    {"_merge", T_OBJECT_EX, offsetof(WatchedTrack, merge)},
    {"info", T_OBJECT_EX, offsetof(WatchedTrack, info)},
    {"muted", T_BOOL, offsetof(WatchedTrack, muted)},
    {NULL},
};

static PyTypeObject WatchedTrackType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.WatchedTrack",
    .tp_basicsize = sizeof(WatchedTrack),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)WatchedTrack_dealloc,
    .tp_traverse = (traverseproc)WatchedTrack_traverse,
    .tp_clear = (inquiry)WatchedTrack_clear,
    .tp_members = WatchedTrack_members,
    .tp_doc = "See watched.PlainTrack.",
};

typedef struct {
    PyObject_HEAD
    PyObject *on_rtp;
} WatchedOutput;

static int WatchedOutput_traverse(WatchedOutput *self, visitproc visit, void *arg) {
    Py_VISIT(self->on_rtp);
    return 0;
}

static int WatchedOutput_clear(WatchedOutput *self) {
    Py_CLEAR(self->on_rtp);
    return 0;
}

static void WatchedOutput_dealloc(WatchedOutput *self) {
    PyObject_GC_UnTrack(self);
    WatchedOutput_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef WatchedOutput_members[] = {
    {"on_rtp", T_OBJECT_EX, offsetof(WatchedOutput, on_rtp)},
    {NULL},
};

static PyTypeObject WatchedOutputType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.WatchedOutput",
    .tp_basicsize = sizeof(WatchedOutput),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)WatchedOutput_dealloc,
    .tp_traverse = (traverseproc)WatchedOutput_traverse,
    .tp_clear = (inquiry)WatchedOutput_clear,
    .tp_members = WatchedOutput_members,
    .tp_doc = "See watched.PlainOutput.",
};

typedef struct {
    PyObject_HEAD
    PyObject *list; /* of packets */
    long long size;
} WatchedList;

static int WatchedList_traverse(WatchedList *self, visitproc visit, void *arg) {
    Py_VISIT(self->list);
    return 0;
}

static int WatchedList_clear(WatchedList *self) {
    Py_CLEAR(self->list);
    return 0;
}

static void WatchedList_dealloc(WatchedList *self) {
    PyObject_GC_UnTrack(self);
    WatchedList_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef WatchedCache_members[] = {
    {"packets", T_OBJECT_EX, offsetof(WatchedList, list)},
    {"size", T_LONGLONG, offsetof(WatchedList, size)},
    {NULL},
};

static PyTypeObject WatchedCacheType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.WatchedCache",
    .tp_basicsize = sizeof(WatchedList),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)WatchedList_dealloc,
    .tp_traverse = (traverseproc)WatchedList_traverse,
    .tp_clear = (inquiry)WatchedList_clear,
    .tp_members = WatchedCache_members,
    .tp_doc = "See watched.PlainCache.",
};

static PyMemberDef WatchedRing_members[] = {
    {"_ring", T_OBJECT_EX, offsetof(WatchedList, list)},
    {NULL},
};

static PyTypeObject WatchedRingType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.WatchedRing",
    .tp_basicsize = sizeof(WatchedList),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)WatchedList_dealloc,
    .tp_traverse = (traverseproc)WatchedList_traverse,
    .tp_clear = (inquiry)WatchedList_clear,
    .tp_members = WatchedRing_members,
    .tp_doc = "See watched.PlainRing.",
};

/* ---- Stream: what a source's next packet leads to, while all is as it should be (stream.PlainStream) --------------- */

typedef struct {
    PyObject_HEAD
    WatchedGate *gate;
    WatchedTrack *track;
    WatchedList *cache;  /* a KeyframeCache; NULL for audio */
    WatchedList *ring;   /* a PacketCache; NULL for audio */
    PyObject *steps;     /* tuple of Step */
    Arrivals *reception;
    Levels *voice;
    Tally *tally;
    double last_arrival;
    long long octets;            /* of video */
    long long taken;             /* packets that went this way */
    uint8_t payload_type;
    char is_video;
} Stream;

static PyTypeObject StreamType;
static PyObject *name_give, *name_receive_view, *name_leg_raised;

#define CACHED_PACKETS 1000 /* keyframes.py: beyond these, Python decides */
#define CACHED_BYTES (1 << 20)
#define RING 512 /* retransmission.KEPT */
#define AHEAD 8  /* slots of a source that are looked up at the same time */

static PyObject *Stream_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Stream *self = (Stream *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->last_arrival = -Py_HUGE_VAL;
        self->steps = PyTuple_New(0);
        if (self->steps == NULL) {
            Py_CLEAR(self);
        }
    }
    return (PyObject *)self;
}

static PyObject *Stream_watch(Stream *self, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"track", "gate", "payload_type", "is_video", "tally", "reception", "voice", "cache", "packets", NULL};
    PyObject *track, *gate, *tally, *reception, *voice, *cache, *packets;
    int is_video;
    unsigned char payload_type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!O!bpO!O!O!OO:watch", names, &WatchedTrackType, &track,
                                     &WatchedGateType, &gate, &payload_type, &is_video,
                                     &TallyType, &tally, &ArrivalsType, &reception, &LevelsType, &voice, &cache,
                                     &packets)) {
        return NULL;
    }
    if ((cache != Py_None && !PyObject_TypeCheck(cache, &WatchedCacheType)) ||
        (packets != Py_None && !PyObject_TypeCheck(packets, &WatchedRingType))) {
        PyErr_SetString(PyExc_TypeError, "a KeyframeCache and a PacketCache are wanted, or None");
        return NULL;
    }
    Py_XSETREF(self->track, (WatchedTrack *)Py_NewRef(track));
    Py_XSETREF(self->gate, (WatchedGate *)Py_NewRef(gate));
    Py_XSETREF(self->tally, (Tally *)Py_NewRef(tally));
    Py_XSETREF(self->reception, (Arrivals *)Py_NewRef(reception));
    Py_XSETREF(self->voice, (Levels *)Py_NewRef(voice));
    Py_XSETREF(self->cache, cache == Py_None ? NULL : (WatchedList *)Py_NewRef(cache));
    Py_XSETREF(self->ring, packets == Py_None ? NULL : (WatchedList *)Py_NewRef(packets));
    self->payload_type = payload_type;
    self->is_video = (char)is_video;
    Py_RETURN_NONE;
}

static int Stream_traverse(Stream *self, visitproc visit, void *arg) {
    Py_VISIT(self->gate);
    Py_VISIT(self->track);
    Py_VISIT(self->cache);
    Py_VISIT(self->ring);
    Py_VISIT(self->steps);
    Py_VISIT(self->reception);
    Py_VISIT(self->voice);
    return 0;
}

static int Stream_clear(Stream *self) {
    Py_CLEAR(self->gate);
    Py_CLEAR(self->track);
    Py_CLEAR(self->cache);
    Py_CLEAR(self->ring);
    Py_CLEAR(self->reception);
    Py_CLEAR(self->voice);
    Py_XSETREF(self->steps, PyTuple_New(0));
    return 0;
}

static void Stream_dealloc(Stream *self) {
    PyObject_GC_UnTrack(self);
    Stream_clear(self);
    Py_CLEAR(self->steps);
    Py_CLEAR(self->tally);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* Whether nothing about this packet needs a decision. */
static int stream_is_steady(const Stream *self, const View *view) {
    const Arrivals *reception = self->reception;
    if (self->track == NULL || self->gate == NULL || reception == NULL ||
        view->header.payload_type != self->payload_type || reception->highest < 0 ||
        view->header.sequence != (uint16_t)(reception->highest + 1) || !self->gate->open || self->track->muted) {
        return 0;
    }
    if (!self->is_video) {
        return 1;
    }
    return self->cache != NULL && self->ring != NULL &&
           !vp8_starts_keyframe((const uint8_t *)PyBytes_AS_STRING(view->packet) + view->header.payload,
                                (size_t)PyBytes_GET_SIZE(view->packet) - view->header.payload);
}

/* Keep a video packet for RTX and for later legs. 1: done; 0: the keyframe's cache is full; -1: an exception is set. */
static int stream_keep(Stream *self, View *view) {
    PyObject *packets = self->cache->list, *ring = self->ring->list;
    if (packets == NULL || !PyList_CheckExact(packets) || ring == NULL || !PyList_CheckExact(ring) ||
        PyList_GET_SIZE(ring) != RING) {
        PyErr_SetString(PyExc_TypeError, "the caches are not what they were");
        return -1;
    }
    Py_ssize_t kept = PyList_GET_SIZE(packets);
    if (kept > 0) {
        PyObject *last = PyList_GET_ITEM(packets, kept - 1);
        if (kept >= CACHED_PACKETS || self->cache->size >= CACHED_BYTES || !PyObject_TypeCheck(last, &ViewType) ||
            ((View *)last)->index >= view->index) {
            return 0;
        }
        if (PyList_Append(packets, (PyObject *)view) < 0) {
            return -1;
        }
        self->cache->size += PyBytes_GET_SIZE(view->packet);
    }
    return PyList_SetItem(ring, (Py_ssize_t)(view->index % RING), Py_NewRef((PyObject *)view)) < 0 ? -1 : 1;
}

/* The estimate of the publisher's line counts every octet and looks at each frame's end. */
static int stream_estimate(Stream *self, View *view) {
    PyObject *uplink = self->track->uplink;
    if (uplink != NULL && PyObject_TypeCheck(uplink, &UplinkType)) {
        Uplink *line = (Uplink *)uplink;
        line->bytes += PyBytes_GET_SIZE(view->packet);
        if (view->header.marker && view->header.send_time != RTP_NO_TIME) {
            uplink_frame(line, view->header.send_time, view->arrival);
        }
    } else if (uplink != Py_None) {
        PyErr_SetString(PyExc_TypeError, "an Uplink or None is wanted");
        return -1;
    }
    return 0;
}

/* With many calls nothing of a slot is in the processor's caches any more when its next packet comes. What one needs is
 * found by a chain of pointers; the chains of all slots are followed at the same time. */
static void fetch_ahead(PyObject *steps) {
    Step *some[AHEAD];
    Py_ssize_t count = Py_MIN(PyTuple_GET_SIZE(steps), AHEAD);
    for (Py_ssize_t i = 0; i < count; i++) {
        some[i] = (Step *)PyTuple_GET_ITEM(steps, i);
        for (size_t at = 0; at < sizeof(Step); at += 64) {
            __builtin_prefetch((char *)some[i] + at, 1);
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        some[i] = PyObject_TypeCheck(some[i], &StepType) && some[i]->outlet != NULL ? some[i] : NULL;
        if (some[i] != NULL) {
            __builtin_prefetch(some[i]->outlet);
            __builtin_prefetch((char *)some[i]->outlet + 64);
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        some[i] = some[i] != NULL && some[i]->outlet->session != NULL ? some[i] : NULL;
        if (some[i] != NULL) {
            __builtin_prefetch(some[i]->outlet->session);
        }
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (some[i] != NULL) {
            __builtin_prefetch(*(void **)some[i]->outlet->session); /* libsrtp's streams, or whatever stands there */
        }
    }
}

/* forward_all without the call. -1: an exception is set. */
static int forward_to(PyObject *steps, View *view) {
    fetch_ahead(steps);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(steps); i++) {
        PyObject *step = PyTuple_GET_ITEM(steps, i);
        if (!PyObject_TypeCheck(step, &StepType)) {
            PyErr_SetString(PyExc_TypeError, "not a Step");
            return -1;
        }
        step_make_room((Step *)step);
        if (view->index >= ((Step *)step)->stable_from) {
            if (step_put((Step *)step, view, ((Step *)step)->timestamp_offset) < 0) {
                return -1;
            }
            continue;
        }
        PyObject *result = step_unstable((Step *)step, view);
        if (result == NULL) {
            return -1;
        }
        Py_DECREF(result);
    }
    return 0;
}

/* forward_all(steps, view): one packet to every slot of a source, in order. */
static PyObject *forward_all(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    if (count != 2 || !PyTuple_CheckExact(args[0]) || !PyObject_TypeCheck(args[1], &ViewType)) {
        PyErr_SetString(PyExc_TypeError, "forward_all(steps, view)");
        return NULL;
    }
    if (forward_to(args[0], (View *)args[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Hand a packet to one leg that is no session; what it raises is told to the track. -1: an exception is set. */
static int stream_give_one(Stream *self, PyObject *track, PyObject *output, PyObject *info, View *view,
                           PyObject *arrival) {
    PyObject *type, *error, *traceback;
    if (!PyObject_TypeCheck(output, &WatchedOutputType) || ((WatchedOutput *)output)->on_rtp == NULL) {
        PyErr_SetString(PyExc_TypeError, "a LegOutput is wanted");
        return -1;
    }
    if (((WatchedOutput *)output)->on_rtp == Py_None) { /* it failed too often */
        return 0;
    }
    PyObject *on_rtp = Py_NewRef(((WatchedOutput *)output)->on_rtp);
    PyObject *result = PyObject_CallFunctionObjArgs(on_rtp, info, view->packet, arrival, NULL);
    Py_DECREF(on_rtp);
    if (result != NULL) {
        Py_DECREF(result);
        self->tally->forwarded++;
        self->tally->forwarded_legs++;
        self->tally->forwarded_bytes += PyBytes_GET_SIZE(view->packet);
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(error, traceback);
    }
    result = PyObject_CallMethodObjArgs(track, name_leg_raised, output, error, arrival, NULL);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Track.give, for a track that has one layer. -1: an exception is set. */
static int stream_give(Stream *self, View *view) {
    if (self->track->outputs == NULL || !PyTuple_Check(self->track->outputs) || self->track->info == NULL) {
        PyErr_SetString(PyExc_TypeError, "a track has outputs, a tuple");
        return -1;
    }
    if (PyTuple_GET_SIZE(self->track->outputs) == 0) {
        return 0;
    }
    PyObject *track = Py_NewRef((PyObject *)self->track), *outputs = Py_NewRef(self->track->outputs);
    int failed = 0;
    if (self->track->merge == Py_None) {
        PyObject *info = Py_NewRef(self->track->info), *arrival = PyFloat_FromDouble(view->arrival);
        failed = arrival == NULL ? -1 : 0;
        for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(outputs); i++) {
            failed = stream_give_one(self, track, PyTuple_GET_ITEM(outputs, i), info, view, arrival);
        }
        Py_DECREF(info);
        Py_XDECREF(arrival);
    } else {
        PyObject *result =
            PyObject_CallMethodObjArgs(track, name_give, (PyObject *)self, (PyObject *)view, NULL);
        failed = result == NULL ? -1 : 0;
        Py_XDECREF(result);
    }
    Py_DECREF(outputs);
    Py_DECREF(track);
    return failed;
}

/* One packet of the source. -1: an exception is set. */
static int stream_take(Stream *self, View *view) {
    PyObject *result;
    int steady = stream_is_steady(self, view);
    if (steady && self->is_video) {
        view->index = self->reception->highest + 1;
        steady = stream_keep(self, view);
        if (steady < 0) {
            return -1;
        }
    }
    if (!steady) {
        result = PyObject_CallMethodOneArg((PyObject *)self, name_receive_view, (PyObject *)view);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    Py_ssize_t size = PyBytes_GET_SIZE(view->packet);
    self->taken++;
    self->tally->received++;
    self->tally->received_bytes += size;
    self->last_arrival = view->arrival;
    view->index = arrivals_add(self->reception, view->header.sequence, view->header.timestamp, view->arrival);
    view->keyframe = 0;
    view->departure = (uint32_t)((uint64_t)(int64_t)(view->arrival * 262144.0) & 0xFFFFFF); /* rtp.abs_send_time */
    if (self->is_video) {
        self->octets += size;
        if (stream_estimate(self, view) < 0) {
            return -1;
        }
    } else if (view->header.level >= 0 && levels_add(self->voice, view->header.level, view->arrival) < 0) {
        return -1;
    }
    PyObject *steps = Py_NewRef(self->steps); /* a step that fails may change the list */
    int failed = forward_to(steps, view);
    Py_DECREF(steps);
    if (failed < 0 || self->track == NULL) {
        return failed;
    }
    return stream_give(self, view);
}

static PyObject *Stream_take(Stream *self, PyObject *view) {
    if (!PyObject_TypeCheck(view, &ViewType)) {
        PyErr_SetString(PyExc_TypeError, "a View is wanted");
        return NULL;
    }
    if (stream_take(self, (View *)view) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *Stream_get_steps(Stream *self, void *closure) { return Py_NewRef(self->steps); }

static int Stream_set_steps(Stream *self, PyObject *value, void *closure) {
    if (value == NULL || !PyTuple_CheckExact(value)) {
        PyErr_SetString(PyExc_TypeError, "a tuple is wanted");
        return -1;
    }
    Py_XSETREF(self->steps, Py_NewRef(value));
    return 0;
}

static PyMethodDef Stream_methods[] = {
    {"watch", (PyCFunction)(void (*)(void))Stream_watch, METH_VARARGS | METH_KEYWORDS, "What `take` looks at and keeps up."},
    {"take", (PyCFunction)Stream_take, METH_O, "One packet, by this way or by self.receive_view(view)."},
    {NULL},
};

static PyMemberDef Stream_members[] = {
    {"last_arrival", T_DOUBLE, offsetof(Stream, last_arrival)},
    {"octets", T_LONGLONG, offsetof(Stream, octets)},
    {"taken", T_LONGLONG, offsetof(Stream, taken), READONLY},
    {NULL},
};

static PyGetSetDef Stream_getset[] = {
    {"steps", (getter)Stream_get_steps, (setter)Stream_set_steps},
    {NULL},
};

static PyTypeObject StreamType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Stream",
    .tp_basicsize = sizeof(Stream),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_new = Stream_new,
    .tp_dealloc = (destructor)Stream_dealloc,
    .tp_traverse = (traverseproc)Stream_traverse,
    .tp_clear = (inquiry)Stream_clear,
    .tp_methods = Stream_methods,
    .tp_members = Stream_members,
    .tp_getset = Stream_getset,
    .tp_doc = "See stream.PlainStream.",
};

/* ---- Link: one session, as the socket's reader sees it ----------------------------------------------------------- */

typedef struct {
    uint32_t ssrc;
    rtp_ids ids;
    PyObject *receive; /* a Stream, or what is called with each view */
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
        PyObject *receive = Py_NewRef(self->sources[i].receive);
        Py_DECREF(packet);
        int failed;
        if (PyObject_TypeCheck(receive, &StreamType)) {
            failed = stream_take((Stream *)receive, view);
        } else {
            result = PyObject_CallOneArg(receive, (PyObject *)view);
            failed = result == NULL ? -1 : 0;
            Py_XDECREF(result);
        }
        Py_DECREF(receive);
        Py_DECREF((PyObject *)view);
        return failed;
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
    if (self->cipher == NULL) {
        PyObject *result = PyObject_CallMethod(self->owner, "on_media", "y#d", bytes, (Py_ssize_t)size, now);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    srtp_function unprotect = is_rtcp ? srtp_unprotect_report : srtp_unprotect_packet;
    if (unprotect(self->cipher->session, bytes, &size)) {
        self->tally->dropped_srtp++;
        return 0;
    }
    self->last_seen = now;
    if (is_rtcp) {
        PyObject *result = PyObject_CallMethod(self->owner, "on_rtcp", "y#d", bytes, (Py_ssize_t)size, now);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    return link_packet(self, bytes, size, now);
}

/* ---- Links: whose address is whose --------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *by_address; /* dict: address_key as bytes -> Link */
} Links;

static PyTypeObject LinksType;

static PyObject *Links_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    Links *self = (Links *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->by_address = PyDict_New();
        if (self->by_address == NULL) {
            Py_CLEAR(self);
        }
    }
    return (PyObject *)self;
}

static int Links_traverse(Links *self, visitproc visit, void *arg) {
    Py_VISIT(self->by_address);
    return 0;
}

static int Links_clear(Links *self) {
    if (self->by_address != NULL) {
        PyDict_Clear(self->by_address);
    }
    return 0;
}

static void Links_dealloc(Links *self) {
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->by_address);
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

static PyObject *Links_bind(Links *self, PyObject *args) {
    PyObject *tuple, *link;
    socket_address address;
    socklen_t length;
    if (!PyArg_ParseTuple(args, "OO!:bind", &tuple, &LinkType, &link) || !address_of(tuple, &address, &length)) {
        return NULL;
    }
    PyObject *key = key_bytes(&address);
    int failed = key == NULL || PyDict_SetItem(self->by_address, key, link) < 0;
    Py_XDECREF(key);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *Links_release(Links *self, PyObject *tuple) {
    socket_address address;
    socklen_t length;
    if (!address_of(tuple, &address, &length)) {
        return NULL;
    }
    PyObject *key = key_bytes(&address);
    if (key == NULL) {
        return NULL;
    }
    int there = PyDict_Contains(self->by_address, key);
    int failed = there < 0 || (there && PyDict_DelItem(self->by_address, key) < 0);
    Py_DECREF(key);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *Links_count(Links *self, void *closure) { return PyLong_FromSsize_t(PyDict_GET_SIZE(self->by_address)); }

static PyMethodDef Links_methods[] = {
    {"bind", (PyCFunction)Links_bind, METH_VARARGS, "bind(address, link): datagrams from this address are the Link's."},
    {"release", (PyCFunction)Links_release, METH_O, "Forget an address."},
    {NULL},
};

static PyGetSetDef Links_getset[] = {
    {"count", (getter)Links_count, NULL},
    {NULL},
};

static PyTypeObject LinksType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Links",
    .tp_basicsize = sizeof(Links),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Links_new,
    .tp_dealloc = (destructor)Links_dealloc,
    .tp_traverse = (traverseproc)Links_traverse,
    .tp_clear = (inquiry)Links_clear,
    .tp_methods = Links_methods,
    .tp_getset = Links_getset,
    .tp_doc = "The sessions by the UDP addresses that are theirs, shared by all sockets.",
};

/* ---- Ingress: one socket's reader -------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    int fd;
    char draining;
    Outbox *outbox;
    Links *links;
    Tally *tally;
    PyObject *clock;    /* seconds of a monotonic clock */
    PyObject *dispatch; /* dispatch(datagram, address): everything but media of known addresses */
    socket_address addresses[BATCH];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
    _Alignas(8) uint8_t buffers[BATCH][MAX_DATAGRAM];
} Ingress;

static PyTypeObject IngressType;

static PyObject *Ingress_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"fd", "outbox", "links", "tally", "clock", "dispatch", NULL};
    int fd;
    PyObject *outbox, *links, *tally, *clock, *dispatch;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i$O!O!O!OO:Ingress", names, &fd, &OutboxType, &outbox, &LinksType,
                                     &links, &TallyType, &tally, &clock, &dispatch)) {
        return NULL;
    }
    Ingress *self = (Ingress *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->fd = fd;
    self->outbox = (Outbox *)Py_NewRef(outbox);
    self->links = (Links *)Py_NewRef(links);
    self->tally = (Tally *)Py_NewRef(tally);
    self->clock = Py_NewRef(clock);
    self->dispatch = Py_NewRef(dispatch);
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
    Py_CLEAR(self->clock);
    Py_CLEAR(self->dispatch);
    return 0;
}

static void Ingress_dealloc(Ingress *self) {
    PyObject_GC_UnTrack(self);
    Ingress_clear(self);
    Py_CLEAR(self->outbox);
    Py_CLEAR(self->links);
    Py_CLEAR(self->tally);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* One datagram. -1: an exception is set. */
static int ingress_datagram(Ingress *self, unsigned i, double now) {
    Tally *tally = self->tally;
    unsigned size = self->messages[i].msg_len;
    uint8_t *bytes = self->buffers[i];
    tally->datagrams++;
    if (size == 0) {
        tally->empty++;
        return 0;
    }
    if (size > MAX_UNPROTECTED || self->messages[i].msg_hdr.msg_flags & MSG_TRUNC) {
        tally->oversized++;
        return 0;
    }
    PyObject *key = key_bytes(&self->addresses[i]);
    if (key == NULL) {
        return -1;
    }
    PyObject *link = PyDict_GetItemWithError(self->links->by_address, key); /* borrowed */
    Py_DECREF(key);
    if (link == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (link == NULL && bytes[0] > 3) { /* a stranger's, and no check: it costs no more than this */
        tally->unknown_source++;
        return 0;
    }
    int failed;
    if (link != NULL && bytes[0] > 127 && bytes[0] < 192) {
        tally->media++;
        Py_INCREF(link);
        failed = link_media((Link *)link, bytes, (int)size, now);
        Py_DECREF(link);
        return failed;
    }
    PyObject *dispatch = self->dispatch;
    if (dispatch == NULL) {
        return 0;
    }
    Py_INCREF(dispatch);
    PyObject *address = tuple_of(&self->addresses[i]);
    PyObject *result =
        address == NULL ? NULL : PyObject_CallFunction(dispatch, "y#O", bytes, (Py_ssize_t)size, address);
    Py_XDECREF(address);
    Py_DECREF(dispatch);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* The clock's time. -1 and an exception if it has none. */
static double ingress_now(const Ingress *self) {
    PyObject *clock = PyObject_CallNoArgs(self->clock);
    double now = clock != NULL ? PyFloat_AsDouble(clock) : -1.0;
    Py_XDECREF(clock);
    return now;
}

/* Read what is there, at most about `limit` datagrams; gives how many. An exception that a datagram leads to is
 * reported as unraisable, and the next datagram is read: no packet may stop the others. -1: an exception is set. */
static long ingress_drain(Ingress *self, long limit) {
    long total = 0;
    if (self->draining || self->fd < 0 || self->clock == NULL) {
        return 0;
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
                self->tally->receive_failed++;
            }
            break;
        }
        /* A handler may shut the gates (SIGCONT after a long stop): it runs before these are looked at, not after. */
        if (PyErr_CheckSignals() < 0) {
            total = -1;
            break;
        }
        double now = ingress_now(self);
        if (PyErr_Occurred()) {
            total = -1;
            break;
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
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback); /* what is sent may lead to anything */
    outbox_release(outbox);
    PyErr_Restore(type, error, traceback);
    Py_DECREF(outbox);
    self->draining = 0;
    return total;
}

/* drain(limit): see ingress_drain. */
static PyObject *Ingress_drain(Ingress *self, PyObject *value) {
    long limit = PyLong_AsLong(value);
    if (limit == -1 && PyErr_Occurred()) {
        return NULL;
    }
    long total = ingress_drain(self, limit);
    return total < 0 ? NULL : PyLong_FromLong(total);
}

static PyObject *Ingress_close(Ingress *self, PyObject *none) {
    self->fd = -1;
    Py_RETURN_NONE;
}

static PyMethodDef Ingress_methods[] = {
    {"drain", (PyCFunction)Ingress_drain, METH_O, "Read what is there, about `limit` datagrams at most."},
    {"close", (PyCFunction)Ingress_close, METH_NOARGS, "Read nothing any more."},
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
    .tp_doc = "Reads one UDP socket in batches and gives each datagram to whom it belongs.",
};

/* ---- Metronome: when a busy socket is read (pacing.PacedReader) ---------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    int fd; /* a timer's; -1: closed */
    Ingress *ingress;
    long most, look;  /* datagrams that are read at once at most; turns between two looks at the rate */
    PyObject *heed;   /* heed(count, seen, turns): there is more to read, or it is time for a look */
    PyObject *beat;   /* beat(): every `interval` seconds, with a turn; NULL: nothing */
    double interval, due;
    long seen, turns;
} Metronome;

static PyTypeObject MetronomeType;

static PyObject *Metronome_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"ingress", "most", "look", "heed", NULL};
    PyObject *ingress, *heed;
    long most, look;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!llO:Metronome", names, &IngressType, &ingress, &most, &look,
                                     &heed)) {
        return NULL;
    }
    Metronome *self = (Metronome *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->ingress = (Ingress *)Py_NewRef(ingress);
    self->most = most;
    self->look = look;
    self->heed = Py_NewRef(heed);
    self->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (self->fd < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int Metronome_traverse(Metronome *self, visitproc visit, void *arg) {
    Py_VISIT(self->ingress);
    Py_VISIT(self->heed);
    Py_VISIT(self->beat);
    return 0;
}

static int Metronome_clear(Metronome *self) {
    Py_CLEAR(self->ingress);
    Py_CLEAR(self->heed);
    Py_CLEAR(self->beat);
    return 0;
}

static PyObject *Metronome_close(Metronome *self, PyObject *none) {
    if (self->fd >= 0) {
        close(self->fd);
        self->fd = -1;
    }
    Metronome_clear(self);
    Py_RETURN_NONE;
}

static void Metronome_dealloc(Metronome *self) {
    PyObject_GC_UnTrack(self);
    Py_DECREF(Metronome_close(self, NULL));
    Py_TYPE(self)->tp_free((PyObject *)self);
}

/* pace(seconds): a turn is due every so many seconds; 0: none any more. */
static PyObject *Metronome_pace(Metronome *self, PyObject *value) {
    double seconds = PyFloat_AsDouble(value);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (!(seconds >= 0.0 && seconds < 1.0)) {
        PyErr_SetString(PyExc_ValueError, "not a rhythm");
        return NULL;
    }
    struct timespec interval = {.tv_nsec = (long)(seconds * 1e9)};
    struct itimerspec timer = {interval, interval};
    if (timerfd_settime(self->fd, 0, &timer, NULL) < 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

/* carry(beat, interval): call beat() every so many seconds from the first turn on; carry(None, 0): do not. */
static PyObject *Metronome_carry(Metronome *self, PyObject *args) {
    PyObject *beat;
    double interval;
    if (!PyArg_ParseTuple(args, "Od:carry", &beat, &interval)) {
        return NULL;
    }
    self->interval = interval;
    self->due = -1.0;
    Py_XSETREF(self->beat, beat == Py_None ? NULL : Py_NewRef(beat));
    Py_RETURN_NONE;
}

/* beat(), if it is due. -1: an exception is set. */
static int metronome_beat(Metronome *self, Ingress *ingress) {
    if (self->beat == NULL || ingress->clock == NULL) {
        return 0;
    }
    double now = ingress_now(ingress);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (self->due < 0) {
        self->due = now + self->interval;
    }
    if (now < self->due) {
        return 0;
    }
    self->due = Py_MAX(self->due + self->interval, now + self->interval / 2);
    PyObject *beat = Py_NewRef(self->beat);
    PyObject *result = PyObject_CallNoArgs(beat);
    Py_DECREF(beat);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* turn(): read the socket; what time brings is sent together with what that leads to. */
static PyObject *Metronome_turn(Metronome *self, PyObject *none) {
    uint64_t expirations;
    if (self->fd < 0) {
        Py_RETURN_NONE;
    }
    if (read(self->fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Ingress *ingress = (Ingress *)Py_NewRef((PyObject *)self->ingress);
    Outbox *outbox = (Outbox *)Py_NewRef((PyObject *)ingress->outbox);
    outbox->held++;
    long count = ingress_drain(ingress, self->most);
    int failed = count < 0 || metronome_beat(self, ingress) < 0;
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    outbox_release(outbox);
    Py_DECREF(outbox);
    Py_DECREF(ingress);
    count = Py_MAX(count, 0);
    self->seen += count;
    self->turns++;
    if (self->heed != NULL && (self->turns >= self->look || count >= self->most)) {
        PyObject *heed = Py_NewRef(self->heed);
        long seen = self->seen, turns = self->turns;
        if (turns >= self->look) {
            self->seen = self->turns = 0;
        }
        PyObject *result = PyObject_CallFunction(heed, "lll", count, seen, turns);
        if (result == NULL) {
            PyErr_WriteUnraisable(heed);
        }
        Py_XDECREF(result);
        Py_DECREF(heed);
    }
    PyErr_Restore(type, error, traceback);
    if (failed) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *Metronome_fileno(Metronome *self, PyObject *none) { return PyLong_FromLong(self->fd); }

static PyMethodDef Metronome_methods[] = {
    {"fileno", (PyCFunction)Metronome_fileno, METH_NOARGS, "Readable when a turn is due."},
    {"pace", (PyCFunction)Metronome_pace, METH_O, "A turn is due every so many seconds; 0: none any more."},
    {"carry", (PyCFunction)Metronome_carry, METH_VARARGS, "carry(beat, interval): call beat() so often, with a turn."},
    {"turn", (PyCFunction)Metronome_turn, METH_NOARGS, "Read the socket."},
    {"close", (PyCFunction)Metronome_close, METH_NOARGS, "Nothing is due any more."},
    {NULL},
};

static PyTypeObject MetronomeType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "signaling.media._native.Metronome",
    .tp_basicsize = sizeof(Metronome),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = Metronome_new,
    .tp_dealloc = (destructor)Metronome_dealloc,
    .tp_traverse = (traverseproc)Metronome_traverse,
    .tp_clear = (inquiry)Metronome_clear,
    .tp_methods = Metronome_methods,
    .tp_doc = "Says when a busy socket is read, and reads it, without a step in Python.",
};

/* ---- The module -------------------------------------------------------------------------------------------------- */

/* configure(protect, unprotect, protect_rtcp, unprotect_rtcp, error): the addresses of libsrtp's functions, and what is raised when they refuse. */
static PyObject *configure(PyObject *module, PyObject *args) {
    unsigned long long protect, unprotect, protect_report, unprotect_report;
    PyObject *error;
    if (!PyArg_ParseTuple(args, "KKKKO:configure", &protect, &unprotect, &protect_report, &unprotect_report,
                          &error)) {
        return NULL;
    }
    if (protect == 0 || unprotect == 0 || protect_report == 0 || unprotect_report == 0 ||
        !PyExceptionClass_Check(error)) {
        PyErr_SetString(PyExc_ValueError, "four functions and an exception are wanted");
        return NULL;
    }
    srtp_protect_packet = (srtp_function)(uintptr_t)protect;
    srtp_unprotect_packet = (srtp_function)(uintptr_t)unprotect;
    srtp_protect_report = (srtp_function)(uintptr_t)protect_report;
    srtp_unprotect_report = (srtp_function)(uintptr_t)unprotect_report;
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
    PyTypeObject *types[] = {&CipherType, &ViewType,     &TallyType,  &OutboxType, &OutletType, &StepType,
                             &LinkType,   &ArrivalsType, &LevelsType, &StreamType, &LinksType,  &IngressType,
                             &UplinkType, &MetronomeType, &WatchedGateType, &WatchedTrackType, &WatchedCacheType,
                             &WatchedRingType, &WatchedOutputType};
    struct {
        PyObject **name;
        const char *text;
    } names[] = {
        {&name_speaks, "_speaks"}, {&name_stop, "stop"},     {&name_give, "give"},
        {&name_receive_view, "receive_view"}, {&name_leg_raised, "leg_raised"},
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        *names[i].name = PyUnicode_InternFromString(names[i].text);
        if (*names[i].name == NULL) {
            return NULL;
        }
    }
    PyObject *made = PyModule_Create(&module);
    for (unsigned i = 0; made != NULL && i < sizeof types / sizeof *types; i++) {
        if (PyModule_AddType(made, types[i]) < 0) {
            Py_CLEAR(made);
        }
    }
    return made;
}
