/* pcap files of Ethernet frames: the classic format, microseconds or nanoseconds, either byte order.
 *
 * A file belongs to one thread at a time. */
#ifndef PORT_PCAP_FILE_H
#define PORT_PCAP_FILE_H 1

#include <stdint.h>
#include <stdio.h>

struct pcap_file {
    FILE *stream; /* Null: not open. */
    _Bool swap;   /* The file has the other byte order. */
};

/* Opens an existing file and reads its header.  An errno value; EPROTO: not a pcap file of Ethernet frames. */
int pcap_file_open_read(struct pcap_file *file, const char *path);

/* Opens a file to append to; a new or empty one gets a header. */
int pcap_file_open_append(struct pcap_file *file, const char *path);

/* Closes; one that is not open is fine. */
void pcap_file_close(struct pcap_file *file);

/* Reads the next frame: 'room' bytes at most into 'frame'; '*size' gets what was read.  EOF: no more;
 * EMSGSIZE: longer than 'room', and skipped; EPROTO: the file is damaged. */
int pcap_file_read(struct pcap_file *file, uint8_t *frame, uint32_t room, uint32_t *size);

/* Writes a frame and hands it to the kernel. */
void pcap_file_write(struct pcap_file *file, const uint8_t *frame, uint32_t size);

#endif
