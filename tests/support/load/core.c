/* The load generator's inner loop: SRTP packets out by a timetable, SRTP packets in, both ends of the way measured.
 *
 * Python does ICE, DTLS and RTCP; this file is given connected sockets and keys. Every packet that it sends ends with
 * a stamp of 24 bytes (epoch, stream, counter, time of sending), encrypted with the rest, by which the receiving side
 * knows what arrived, what did not, and how long it took. The time of arrival is the kernel's (SO_TIMESTAMPNS), so a
 * late generator does not count as a slow server. SRTP is AEAD_AES_128_GCM (RFC 7714).
 *
 * libcrypto's few functions are declared here, so that no header package is needed to compile this.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct evp_cipher_st EVP_CIPHER;
typedef struct engine_st ENGINE;
EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *);
const EVP_CIPHER *EVP_aes_128_gcm(void);
int EVP_CipherInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *, const unsigned char *, int);
int EVP_CipherUpdate(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int);
int EVP_CipherFinal_ex(EVP_CIPHER_CTX *, unsigned char *, int *);
int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *, int, int, void *);
#define GCM_GET_TAG 0x10
#define GCM_SET_TAG 0x11

#define MAGIC 0x56495354u
#define STAMP 24
#define TAG 16
#define BATCH 32
#define SIZE 2048
#define BUCKETS 200000 /* microseconds */
#define SOURCES 64     /* SSRCs that one socket may be sent */

typedef struct {
    int64_t at;        /* nanoseconds after the start of the cycle */
    uint32_t timestamp;
    int32_t marker;
    int32_t size;
    int32_t stamp;     /* 1: the last 24 bytes are written by us */
    int32_t picture_at; /* where the 15-bit VP8 picture id stands, or -1 */
    uint32_t picture;
    const uint8_t *payload;
} entry;

typedef struct {
    int socket;
    uint32_t ssrc, id;
    uint8_t payload_type, salt[12];
    uint64_t index;
    uint32_t first_timestamp, cycle_timestamp, pictures;
    int64_t cycle, started, due;
    uint32_t turn;
    int position, entries;
    const entry *table;
    uint8_t extension[64];
    int extension_size, time_at;
    EVP_CIPHER_CTX *cipher;
    uint32_t counter;
} sender;

typedef struct {
    uint32_t ssrc;
    uint64_t highest;
    uint64_t received;
    uint32_t stream, counter;
    uint64_t window;
} source;

typedef struct {
    int fd;
    int receives;
    uint8_t salt[12];
    EVP_CIPHER_CTX *cipher;
    source sources[SOURCES];
    int source_count;
} sock;

typedef struct {
    uint64_t sent, send_failed, sent_bytes;
    uint64_t received, received_bytes, duplicates, repaired, unstamped, undecryptable, rtcp, other, stale;
    uint64_t pictures, voices; /* without stamps: ends of video frames, and all other packets */
    uint64_t datagrams;
    int64_t late_max;
    uint64_t late_total;
} totals;

typedef struct {
    int epoll, rtx_type, video_type;
    sock *socks;
    int sock_count;
    sender *senders;
    int sender_count;
    uint32_t epoch;
    totals total;
    uint32_t delays[BUCKETS + 1];
    uint8_t buffers[BATCH][SIZE];
    uint8_t controls[BATCH][64];
} engine;

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

engine *engine_new(int rtx_type, int video_type) {
    engine *e = calloc(1, sizeof *e);
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->rtx_type = rtx_type;
    e->video_type = video_type;
    prctl(PR_SET_TIMERSLACK, 1000);
    return e;
}

void engine_free(engine *e) {
    for (int i = 0; i < e->sock_count; i++)
        if (e->socks[i].cipher) EVP_CIPHER_CTX_free(e->socks[i].cipher);
    for (int i = 0; i < e->sender_count; i++) EVP_CIPHER_CTX_free(e->senders[i].cipher);
    close(e->epoll);
    free(e->socks);
    free(e->senders);
    free(e);
}

static EVP_CIPHER_CTX *cipher(const uint8_t *key, int encrypts) {
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    EVP_CipherInit_ex(c, EVP_aes_128_gcm(), NULL, key, NULL, encrypts);
    return c;
}

/* A connected, non-blocking UDP socket. `key` (16 bytes) and `salt` (12) are the server's session keys. */
int engine_add_socket(engine *e, int fd, const uint8_t *key, const uint8_t *salt) {
    int on = 1, index = e->sock_count;
    e->socks = realloc(e->socks, (index + 1) * sizeof *e->socks);
    sock *s = &e->socks[e->sock_count++];
    memset(s, 0, sizeof *s);
    s->fd = fd;
    memcpy(s->salt, salt, 12);
    s->cipher = cipher(key, 0);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &event)) return -1;
    return index;
}

/* A stream on a socket; `table` stays the caller's. `time_at`: abs-send-time's place in `extension`, or -1. */
int engine_add_sender(engine *e, int socket, uint32_t id, uint32_t ssrc, int payload_type, int sequence,
                      uint32_t timestamp, const uint8_t *key, const uint8_t *salt, const uint8_t *extension,
                      int extension_size, int time_at, const entry *table, int entries, int64_t cycle,
                      uint32_t cycle_timestamp, uint32_t pictures) {
    e->senders = realloc(e->senders, (e->sender_count + 1) * sizeof *e->senders);
    sender *s = &e->senders[e->sender_count++];
    memset(s, 0, sizeof *s);
    s->socket = socket, s->id = id, s->ssrc = ssrc, s->payload_type = payload_type;
    s->index = sequence, s->first_timestamp = timestamp;
    memcpy(s->salt, salt, 12);
    s->cipher = cipher(key, 1);
    memcpy(s->extension, extension, extension_size);
    s->extension_size = extension_size, s->time_at = time_at;
    s->table = table, s->entries = entries, s->cycle = cycle, s->cycle_timestamp = cycle_timestamp;
    s->pictures = pictures;
    return e->sender_count - 1;
}

/* Let the stream's first cycle begin `phase` nanoseconds from now. */
void engine_start(engine *e, int index, int64_t phase) {
    sender *s = &e->senders[index];
    s->started = now_ns(CLOCK_MONOTONIC) + phase;
    s->due = s->started + s->table[0].at;
}

/* From now on, what is sent and what of it arrives is counted afresh. */
void engine_epoch(engine *e) {
    e->epoch++;
    memset(&e->total, 0, sizeof e->total);
    memset(e->delays, 0, sizeof e->delays);
}

static void nonce(uint8_t *iv, const uint8_t *salt, uint32_t ssrc, uint64_t index) {
    uint8_t raw[12] = {0, 0, ssrc >> 24, ssrc >> 16, ssrc >> 8, ssrc,
                       index >> 40, index >> 32, index >> 24, index >> 16, index >> 8, index};
    for (int i = 0; i < 12; i++) iv[i] = raw[i] ^ salt[i];
}

static void put32(uint8_t *at, uint32_t value) {
    at[0] = value >> 24, at[1] = value >> 16, at[2] = value >> 8, at[3] = value;
}

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static void send_one(engine *e, sender *s, int64_t now) {
    const entry *one = &s->table[s->position];
    uint8_t packet[SIZE], iv[12];
    int64_t wall = now_ns(CLOCK_REALTIME);
    int head = 12 + s->extension_size, length = 0;
    uint64_t late = now - s->due;
    packet[0] = s->extension_size ? 0x90 : 0x80;
    packet[1] = s->payload_type | (one->marker ? 0x80 : 0);
    packet[2] = s->index >> 8, packet[3] = s->index;
    put32(packet + 4, s->first_timestamp + s->turn * s->cycle_timestamp + one->timestamp);
    put32(packet + 8, s->ssrc);
    memcpy(packet + 12, s->extension, s->extension_size);
    if (s->time_at >= 0) { /* seconds in 6.18 fixed point (abs-send-time) */
        uint32_t time = (uint32_t)(((wall / 1000) << 18) / 1000000) & 0xFFFFFF;
        uint8_t *at = packet + 12 + s->time_at;
        at[0] = time >> 16, at[1] = time >> 8, at[2] = time;
    }
    uint8_t *payload = packet + head;
    memcpy(payload, one->payload, one->size);
    if (one->picture_at >= 0) {
        uint32_t picture = s->turn * s->pictures + one->picture;
        payload[one->picture_at] = 0x80 | (picture >> 8 & 0x7F);
        payload[one->picture_at + 1] = picture;
    }
    if (one->stamp) {
        uint8_t *stamp = payload + one->size - STAMP;
        put32(stamp, MAGIC);
        put32(stamp + 4, e->epoch);
        put32(stamp + 8, s->id);
        put32(stamp + 12, s->counter);
        memcpy(stamp + 16, &wall, 8);
    }
    nonce(iv, s->salt, s->ssrc, s->index);
    EVP_CipherInit_ex(s->cipher, NULL, NULL, NULL, iv, 1);
    EVP_CipherUpdate(s->cipher, NULL, &length, packet, head);
    EVP_CipherUpdate(s->cipher, payload, &length, payload, one->size);
    EVP_CipherFinal_ex(s->cipher, payload + one->size, &length);
    EVP_CIPHER_CTX_ctrl(s->cipher, GCM_GET_TAG, TAG, payload + one->size);
    int size = head + one->size + TAG;
    if (send(e->socks[s->socket].fd, packet, size, 0) < 0)
        e->total.send_failed++;
    else
        e->total.sent++, e->total.sent_bytes += size;
    e->total.late_total += late;
    if ((int64_t)late > e->total.late_max) e->total.late_max = late;
    s->index++;
    s->counter++;
    if (++s->position == s->entries) s->position = 0, s->turn++;
    s->due = s->started + s->turn * s->cycle + s->table[s->position].at;
}

static source *find(sock *s, uint32_t ssrc) {
    for (int i = 0; i < s->source_count; i++)
        if (s->sources[i].ssrc == ssrc) return &s->sources[i];
    if (s->source_count == SOURCES) return NULL;
    source *made = &s->sources[s->source_count++];
    memset(made, 0, sizeof *made);
    made->ssrc = ssrc;
    return made;
}

/* The packet's 48-bit index (RFC 3711 section 3.3.1). */
static uint64_t index_of(const source *from, uint16_t sequence) {
    if (!from->received) return sequence;
    uint64_t near = (from->highest & ~(uint64_t)0xFFFF) | sequence;
    if (near + 0x8000 < from->highest) return near + 0x10000;
    if (near > from->highest + 0x8000 && near >= 0x10000) return near - 0x10000;
    return near;
}

static void take(engine *e, sock *s, uint8_t *packet, int size, int64_t arrival) {
    totals *total = &e->total;
    total->datagrams++;
    if (size < 12 || packet[0] < 128 || packet[0] > 191) {
        total->other++;
        return;
    }
    if (packet[1] >= 192 && packet[1] <= 223) {
        total->rtcp++;
        return;
    }
    int head = 12 + 4 * (packet[0] & 15), length = 0;
    if (packet[0] & 16 && head + 4 <= size) head += 4 + 4 * (packet[head + 2] << 8 | packet[head + 3]);
    uint32_t ssrc = get32(packet + 8);
    source *from = find(s, ssrc);
    int body = size - head - TAG;
    if (!from || body < 0) {
        total->undecryptable++;
        return;
    }
    uint64_t index = index_of(from, packet[2] << 8 | packet[3]);
    uint8_t iv[12];
    nonce(iv, s->salt, ssrc, index);
    EVP_CipherInit_ex(s->cipher, NULL, NULL, NULL, iv, 0);
    EVP_CIPHER_CTX_ctrl(s->cipher, GCM_SET_TAG, TAG, packet + size - TAG);
    EVP_CipherUpdate(s->cipher, NULL, &length, packet, head);
    EVP_CipherUpdate(s->cipher, packet + head, &length, packet + head, body);
    if (EVP_CipherFinal_ex(s->cipher, packet + size, &length) <= 0) {
        total->undecryptable++;
        return;
    }
    if (!from->received || index > from->highest) from->highest = index;
    from->received++;
    if ((packet[1] & 0x7F) == e->rtx_type) {
        total->repaired++;
        return;
    }
    const uint8_t *stamp = packet + head + body - STAMP;
    if (body < STAMP || get32(stamp) != MAGIC) {
        total->unstamped++;
        total->received_bytes += size;
        if ((packet[1] & 0x7F) != e->video_type)
            total->voices++;
        else if (packet[1] & 0x80)
            total->pictures++;
        return;
    }
    if (get32(stamp + 4) != e->epoch) {
        total->stale++;
        return;
    }
    uint32_t stream = get32(stamp + 8), counter = get32(stamp + 12);
    if (stream != from->stream || !from->window) {
        from->stream = stream, from->counter = counter, from->window = 1;
    } else if ((int32_t)(counter - from->counter) > 0) {
        uint32_t step = counter - from->counter;
        from->window = step < 64 ? from->window << step | 1 : 1;
        from->counter = counter;
    } else {
        uint32_t back = from->counter - counter;
        if (back < 64 && from->window >> back & 1) {
            total->duplicates++;
            return;
        }
        if (back < 64) from->window |= (uint64_t)1 << back;
    }
    int64_t sent;
    memcpy(&sent, stamp + 16, 8);
    int64_t delay = (arrival - sent) / 1000;
    e->delays[delay < 0 ? 0 : delay > BUCKETS ? BUCKETS : delay]++;
    total->received++;
    total->received_bytes += size;
}

static void drain(engine *e, sock *s) {
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    for (;;) {
        memset(messages, 0, sizeof messages);
        for (int i = 0; i < BATCH; i++) {
            vectors[i] = (struct iovec){e->buffers[i], SIZE - TAG};
            messages[i].msg_hdr.msg_iov = &vectors[i];
            messages[i].msg_hdr.msg_iovlen = 1;
            messages[i].msg_hdr.msg_control = e->controls[i];
            messages[i].msg_hdr.msg_controllen = sizeof e->controls[i];
        }
        int count = recvmmsg(s->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            int64_t arrival = 0;
            struct msghdr *header = &messages[i].msg_hdr;
            for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
                    struct timespec t;
                    memcpy(&t, CMSG_DATA(c), sizeof t);
                    arrival = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
                }
            take(e, s, e->buffers[i], messages[i].msg_len, arrival ? arrival : now_ns(CLOCK_REALTIME));
        }
        if (count < BATCH) return;
    }
}

/* Send (unless `silent`) and receive for so many nanoseconds. */
void engine_run(engine *e, int64_t duration, int silent) {
    struct epoll_event events[64];
    int64_t now = now_ns(CLOCK_MONOTONIC), until = now + duration;
    do {
        int64_t next = until;
        for (int i = 0; i < e->sender_count && !silent; i++) {
            sender *s = &e->senders[i];
            while (s->started && s->due <= now) {
                send_one(e, s, now);
                now = now_ns(CLOCK_MONOTONIC);
            }
            if (s->started && s->due < next) next = s->due;
        }
        int64_t wait = next - now_ns(CLOCK_MONOTONIC);
        if (wait < 0) wait = 0;
        struct timespec timeout = {wait / 1000000000, wait % 1000000000};
        int count = epoll_pwait2(e->epoll, events, 64, &timeout, NULL);
        for (int i = 0; i < count; i++) drain(e, &e->socks[events[i].data.u32]);
        now = now_ns(CLOCK_MONOTONIC);
    } while (now < until);
    for (int i = 0; i < e->sender_count && silent; i++) /* what was not sent is not made up for */
        e->senders[i].started += duration, e->senders[i].due += duration;
}

const totals *engine_totals(engine *e) { return &e->total; }

const uint32_t *engine_delays(engine *e) { return e->delays; }

/* The SSRCs that a socket has been sent, with the highest index of each; their number. */
int engine_sources(engine *e, int socket, uint32_t *ssrcs, uint64_t *highest, int most) {
    sock *s = &e->socks[socket];
    int count = s->source_count < most ? s->source_count : most;
    for (int i = 0; i < count; i++) ssrcs[i] = s->sources[i].ssrc, highest[i] = s->sources[i].highest;
    return count;
}

/* For the sender report: how many packets a stream has sent and the RTP timestamp of this moment. */
uint32_t engine_clock(engine *e, int index, uint32_t *timestamp, int rate) {
    sender *s = &e->senders[index];
    int64_t since = now_ns(CLOCK_MONOTONIC) - s->started;
    *timestamp = s->first_timestamp + (uint32_t)(since / 1000 * rate / 1000000);
    return s->counter;
}
