/* Reading and writing RTP headers (RFC 3550, RFC 8285) and VP8's payload descriptor (RFC 7741): plain C, no Python.
 *
 * The same rules as rtp.py and vp8.py, which are the text to read first: tests/unit/media/test_native.py holds one to
 * the other, and scripts/native-asan runs that under the sanitizers. Every read is behind a comparison with the
 * packet's length. */

#ifndef VISIT_PACKET_H
#define VISIT_PACKET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RTP_HEADER 12
#define RTP_NO_LEVEL (-1)
#define RTP_NO_TIME (-1)

enum rtp_problem {
    RTP_OK = 0,
    RTP_SHORT,         /* shorter than a header */
    RTP_VERSION,       /* not version 2 */
    RTP_EXTENSION_CUT, /* header extension cut off */
    RTP_SOURCES_CUT,   /* contributing sources cut off */
    RTP_PADDING,       /* padding longer than the payload */
};

typedef struct {
    uint8_t audio_level;   /* identifiers 1 to 14; 0: not negotiated */
    uint8_t abs_send_time;
} rtp_ids;

typedef struct {
    size_t payload; /* where it begins */
    uint32_t timestamp;
    uint32_t ssrc;
    int32_t send_time; /* 24 bits, or RTP_NO_TIME */
    int16_t level;     /* the byte of RFC 6464, or RTP_NO_LEVEL */
    uint16_t sequence;
    uint8_t padding; /* 0x20 or 0 */
    uint8_t marker;  /* 0x80 or 0 */
    uint8_t payload_type;
} rtp_header;

static inline uint16_t read16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static inline uint32_t read32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void write16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void write32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

/* RFC 8285 section 4.2. An element that runs over the block's end is ignored with all that follow. */
static void rtp_read_extensions(const uint8_t *packet, size_t position, size_t end, rtp_ids ids, rtp_header *header) {
    while (position < end) {
        uint8_t head = packet[position];
        if (head == 0) {
            position++;
            continue;
        }
        uint8_t identifier = head >> 4;
        if (identifier == 15) {
            return;
        }
        position++;
        size_t length = (size_t)(head & 0x0F) + 1;
        if (length > end - position) {
            return;
        }
        if (identifier == ids.abs_send_time && length == 3) {
            header->send_time = packet[position] << 16 | packet[position + 1] << 8 | packet[position + 2];
        } else if (identifier == ids.audio_level && length == 1) {
            header->level = packet[position];
        }
        position += length;
    }
}

static enum rtp_problem rtp_parse(const uint8_t *packet, size_t size, rtp_ids ids, rtp_header *header) {
    if (size < RTP_HEADER) {
        return RTP_SHORT;
    }
    if ((packet[0] & 0xC0) != 0x80) {
        return RTP_VERSION;
    }
    header->sequence = read16(packet + 2);
    header->timestamp = read32(packet + 4);
    header->ssrc = read32(packet + 8);
    header->level = RTP_NO_LEVEL;
    header->send_time = RTP_NO_TIME;
    size_t offset = RTP_HEADER + 4 * (size_t)(packet[0] & 0x0F);
    if (packet[0] & 0x10) {
        size_t start = offset + 4;
        if (start > size) {
            return RTP_EXTENSION_CUT;
        }
        size_t end = start + 4 * (size_t)read16(packet + offset + 2);
        if (end > size) {
            return RTP_EXTENSION_CUT;
        }
        if (read16(packet + offset) == 0xBEDE) {
            rtp_read_extensions(packet, start, end, ids, header);
        }
        offset = end;
    }
    if (offset > size) {
        return RTP_SOURCES_CUT;
    }
    header->padding = packet[0] & 0x20;
    if (header->padding && (packet[size - 1] == 0 || packet[size - 1] > size - offset)) {
        return RTP_PADDING;
    }
    header->marker = packet[1] & 0x80;
    header->payload_type = packet[1] & 0x7F;
    header->payload = offset;
    return RTP_OK;
}

/* VP8's picture ID and TL0PICIDX moved on in place, modulo their own ranges (vp8.shift_numbers). */
static void vp8_shift_numbers(uint8_t *payload, size_t size, uint32_t picture_offset, uint32_t tl0_offset) {
    if (size < 3 || !(payload[0] & 0x80)) {
        return;
    }
    uint8_t extended = payload[1];
    size_t offset = 2;
    if (extended & 0x80) {
        if (payload[2] & 0x80) {
            if (size < 4) {
                return;
            }
            uint32_t picture = (read16(payload + 2) & 0x7FFFu) + picture_offset;
            write16(payload + 2, (uint16_t)(0x8000u | (picture & 0x7FFFu)));
            offset = 4;
        } else {
            payload[2] = (uint8_t)((payload[2] + picture_offset) & 0x7Fu);
            offset = 3;
        }
    }
    if (extended & 0x40 && size > offset) {
        payload[offset] = (uint8_t)(payload[offset] + tl0_offset);
    }
}

/* Whether a VP8 keyframe starts with this payload (vp8.starts_keyframe). */
static int vp8_starts_keyframe(const uint8_t *payload, size_t size) {
    if (size == 0 || (payload[0] & 0x17) != 0x10) { /* S set, PID 0 */
        return 0;
    }
    size_t offset = 1;
    if (payload[0] & 0x80) {
        if (size < 2) {
            return 0;
        }
        uint8_t extended = payload[1];
        offset = 2;
        if (extended & 0x80) {
            if (size <= offset) {
                return 0;
            }
            offset += payload[offset] & 0x80 ? 2 : 1;
        }
        if (extended & 0x40) {
            offset++;
        }
        if (extended & 0x30) {
            offset++;
        }
    }
    return size > offset && !(payload[offset] & 0x01);
}

#endif
