/* A `flock` for LD_PRELOAD: as the variable MMCV_TEST_FLOCK says, all get the lock, or nobody does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int flock(int file, int operation) {
    const char *kind = getenv("MMCV_TEST_FLOCK");
    (void)file;
    (void)operation;
    if (kind == NULL || strcmp(kind, "granted") == 0)
        return 0;
    errno = strcmp(kind, "ENOLCK") == 0 ? ENOLCK : EOPNOTSUPP;
    return -1;
}
