#include "port/pcap_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du
#define LINK_ETHERNET 1u
#define FRAME_SIZE_MAX 262144u

struct pcap_header {
    uint32_t magic;
    uint16_t major;
    uint16_t minor;
    uint32_t zone;
    uint32_t accuracy;
    uint32_t snap_size;
    uint32_t link;
};

struct pcap_record {
    uint32_t seconds;
    uint32_t fraction;
    uint32_t size;
    uint32_t original_size;
};

int
pcap_file_open_read(struct pcap_file *file, const char *path)
{
    struct pcap_header header;

    file->stream = fopen(path, "rbe");
    if (file->stream == NULL) {
        return errno;
    }
    if (fread(&header, sizeof header, 1, file->stream) != 1) {
        pcap_file_close(file);
        return EPROTO;
    }
    file->swap = header.magic == __builtin_bswap32(MAGIC_US) || header.magic == __builtin_bswap32(MAGIC_NS);
    uint32_t link = file->swap ? __builtin_bswap32(header.link) : header.link;
    if ((!file->swap && header.magic != MAGIC_US && header.magic != MAGIC_NS) || link != LINK_ETHERNET) {
        pcap_file_close(file);
        return EPROTO;
    }
    return 0;
}

int
pcap_file_open_append(struct pcap_file *file, const char *path)
{
    struct stat status;

    file->swap = 0;
    file->stream = fopen(path, "abe");
    if (file->stream == NULL) {
        return errno;
    }
    if (fstat(fileno(file->stream), &status) == 0 && status.st_size == 0) {
        struct pcap_header header = { MAGIC_US, 2, 4, 0, 0, FRAME_SIZE_MAX, LINK_ETHERNET };
        fwrite(&header, sizeof header, 1, file->stream);
        fflush(file->stream);
    }
    return 0;
}

void
pcap_file_close(struct pcap_file *file)
{
    if (file->stream != NULL) {
        fclose(file->stream);
        file->stream = NULL;
    }
}

int
pcap_file_read(struct pcap_file *file, uint8_t *frame, uint32_t room, uint32_t *size)
{
    struct pcap_record record;

    if (fread(&record, sizeof record, 1, file->stream) != 1) {
        return EOF;
    }
    uint32_t n = file->swap ? __builtin_bswap32(record.size) : record.size;
    if (n > FRAME_SIZE_MAX) {
        return EPROTO;
    }
    if (n > room) {
        return fseek(file->stream, (long) n, SEEK_CUR) == 0 ? EMSGSIZE : EOF;
    }
    *size = n;
    return n == 0 || fread(frame, n, 1, file->stream) == 1 ? 0 : EPROTO;
}

void
pcap_file_write(struct pcap_file *file, const uint8_t *frame, uint32_t size)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    struct pcap_record record = { (uint32_t) now.tv_sec, (uint32_t) (now.tv_nsec / 1000), size, size };
    if (fwrite(&record, sizeof record, 1, file->stream) == 1 && fwrite(frame, 1, size, file->stream) == size) {
        fflush(file->stream);
    }
}
