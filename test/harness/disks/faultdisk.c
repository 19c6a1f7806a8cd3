/* A disk with faults: a FUSE file system of one file, "disk", for a loop device to sit on. What it does lies below the
   page cache and the journal of the real file system above, so that the kernel's own errors appear.

       faultdisk BACKING CONTROL LOG MOUNTPOINT [FUSE OPTIONS]

   BACKING  the bytes of the disk
   CONTROL  a page of 64-bit integers, mapped here and by the test: `struct control`; see faulty.py
   LOG      gets each write with its data, and the beginning and end of each flush, while `logging` is set */

#define FUSE_USE_VERSION 26
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RANGES 64
#define PAGE 4096
#define POLL_US 20000

struct control {
    int64_t read_eio, write_eio, flush_eio; /* fail all */
    int64_t drop_writes;                    /* acknowledge writes and forget them */
    int64_t delay_us, hang;
    int64_t logging;
    int64_t ranges; /* how many of `range` count */
    int64_t reads, writes, flushes, faults, seq;
    int64_t unused[3];
    int64_t range[RANGES][2]; /* bytes, first and behind the last, whose reads fail */
};

enum kind { WRITE = 1, FLUSH_BEGINS = 2, FLUSH_ENDS = 3 };

/* Data follow that of a write. offset: of FLUSH_ENDS, the number of its beginning. */
struct record {
    int64_t kind, seq, offset, length, nanoseconds;
};

static struct control *control;
static int backing, log_file;
static off_t disk_size;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void pace(void)
{
    while (control->hang)
        usleep(POLL_US);
    if (control->delay_us)
        usleep(control->delay_us);
    while (control->hang)
        usleep(POLL_US);
}

static int fault(void)
{
    __sync_fetch_and_add(&control->faults, 1);
    return -EIO;
}

static int in_bad_range(off_t offset, size_t size)
{
    for (int i = 0; i < control->ranges && i < RANGES; i++)
        if (offset < control->range[i][1] && offset + (off_t)size > control->range[i][0])
            return 1;
    return 0;
}

/* Called with `order` held. */
static int64_t note(enum kind kind, int64_t offset, int64_t length, const char *data)
{
    struct record record = {kind, ++control->seq, offset, length, now()};
    if (write(log_file, &record, sizeof record) < 0 || (data && write(log_file, data, length) < 0))
        perror("log");
    return record.seq;
}

static int is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static int disk_getattr(const char *path, struct stat *status)
{
    memset(status, 0, sizeof *status);
    if (strcmp(path, "/") == 0) {
        status->st_mode = S_IFDIR | 0755;
        status->st_nlink = 2;
        return 0;
    }
    if (!is_disk(path))
        return -ENOENT;
    status->st_mode = S_IFREG | 0600;
    status->st_nlink = 1;
    status->st_size = disk_size;
    status->st_blocks = disk_size / 512;
    status->st_blksize = PAGE;
    return 0;
}

static int disk_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info)
{
    fill(buffer, ".", 0, 0);
    fill(buffer, "..", 0, 0);
    fill(buffer, "disk", 0, 0);
    return 0;
}

static int disk_open(const char *path, struct fuse_file_info *info)
{
    if (!is_disk(path))
        return -ENOENT;
    info->direct_io = 1;
    return 0;
}

static int disk_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    pace();
    __sync_fetch_and_add(&control->reads, 1);
    if (control->read_eio || in_bad_range(offset, size))
        return fault();
    ssize_t count = pread(backing, buffer, size, offset);
    return count < 0 ? -errno : count;
}

static int disk_write(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *info)
{
    pace();
    __sync_fetch_and_add(&control->writes, 1);
    if (control->write_eio)
        return fault();
    if (control->drop_writes) {
        fault();
        return size;
    }
    pthread_mutex_lock(&order);
    ssize_t count = pwrite(backing, buffer, size, offset);
    int error = errno;
    if (count > 0 && control->logging)
        note(WRITE, offset, count, buffer);
    pthread_mutex_unlock(&order);
    return count < 0 ? -error : count;
}

static int disk_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    int64_t began = 0;
    if (control->logging) {
        pthread_mutex_lock(&order);
        began = note(FLUSH_BEGINS, 0, 0, NULL);
        pthread_mutex_unlock(&order);
    }
    pace();
    __sync_fetch_and_add(&control->flushes, 1);
    if (control->flush_eio || control->write_eio)
        return fault();
    if (control->logging && began) {
        pthread_mutex_lock(&order);
        note(FLUSH_ENDS, began, 0, NULL);
        pthread_mutex_unlock(&order);
    }
    return 0;
}

static int disk_truncate(const char *path, off_t size)
{
    return 0;
}

static int disk_flush(const char *path, struct fuse_file_info *info)
{
    return 0;
}

static int disk_statfs(const char *path, struct statvfs *status)
{
    memset(status, 0, sizeof *status);
    status->f_bsize = status->f_frsize = PAGE;
    return 0;
}

static struct fuse_operations operations = {
    .getattr = disk_getattr,
    .readdir = disk_readdir,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
    .truncate = disk_truncate,
    .flush = disk_flush,
    .statfs = disk_statfs,
};

int main(int count, char **arguments)
{
    struct stat status;
    if (count < 5 || (backing = open(arguments[1], O_RDWR)) < 0 || fstat(backing, &status) < 0) {
        fprintf(stderr, "faultdisk BACKING CONTROL LOG MOUNTPOINT [FUSE OPTIONS]\n");
        return 2;
    }
    disk_size = status.st_size;
    int page = open(arguments[2], O_RDWR | O_CREAT, 0600);
    if (page < 0 || ftruncate(page, PAGE) < 0)
        return 2;
    control = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    log_file = open(arguments[3], O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (control == MAP_FAILED || log_file < 0)
        return 2;
    arguments[3] = arguments[0];
    return fuse_main(count - 3, arguments + 3, &operations, NULL);
}
