/* A libcuda that only writes down what it is given: for the test that the C# declarations pass every argument as C reads it. Compiled
   by the test with the machine's C compiler. Handles it gives out are small numbers; 1000000 as a size, 666 to 668 as a device, names that
   begin with "missing" and a few modules make it fail. Prototypes: NVIDIA, CUDA Driver API. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ptr;
typedef void *handle;

static FILE *out;

#define LOG(...) do { \
    if (!out) out = fopen(getenv("RAWDIFFUSION_FAKE_LOG"), "w"); \
    fprintf(out, __VA_ARGS__); fputc('\n', out); fflush(out); } while (0)
#define H(x) ((long)(x))

int cuInit(unsigned flags) { LOG("cuInit %u", flags); const char *r = getenv("RAWDIFFUSION_FAKE_INIT"); return r ? atoi(r) : 0; }
int cuDriverGetVersion(int *v) { const char *r = getenv("RAWDIFFUSION_FAKE_VERSION"); *v = r ? atoi(r) : 12040; return 0; }
int cuGetErrorString(int e, const char **s) { static char text[40]; snprintf(text, sizeof text, "explanation of %d", e); *s = text; return 0; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int n) { if (n == 666) return 101; *d = n + 10; return 0; }
int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "Fake %d", d); return 0; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = 80ull << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { LOG("cuDeviceGetAttribute %d of %d", a, d); *v = a == 75 ? 9 : a == 76 ? 0 : a; return 0; }
int cuDevicePrimaryCtxRetain(handle *c, int d) { LOG("cuDevicePrimaryCtxRetain %d", d); *c = (handle)21; return d == 677 ? 46 : d == 678 ? 2 : 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { LOG("cuDevicePrimaryCtxRelease %d", d); return 0; }
int cuCtxSetCurrent(handle c) { LOG("cuCtxSetCurrent %ld", H(c)); return 0; }
int cuCtxSynchronize(void) { LOG("cuCtxSynchronize"); return 0; }
int cuModuleLoadDataEx(handle *m, const void *image, unsigned n, int *options, void **values)
{
    LOG("cuModuleLoadDataEx %s %u: %d=log %d=%zu", (const char *)image, n, options[0], options[1], (size_t)values[1]);
    if (!strncmp(image, "missing", 7)) { strcpy(values[0], "line 3: no such thing"); return 218; }
    if (!strncmp(image, "newer", 5)) return 222;
    if (!strncmp(image, "no compiler", 11)) return 221;
    *m = (handle)31;
    return 0;
}
int cuModuleUnload(handle m) { LOG("cuModuleUnload %ld", H(m)); return 0; }
int cuModuleGetFunction(handle *f, handle m, const char *s) { LOG("cuModuleGetFunction %ld %s", H(m), s); *f = (handle)41; return strncmp(s, "missing", 7) ? 0 : 500; }
int cuModuleGetGlobal_v2(ptr *p, size_t *n, handle m, const char *s) { LOG("cuModuleGetGlobal %ld %s", H(m), s); *p = 0x7f0000001000; *n = 12; return strncmp(s, "missing", 7) ? 0 : 500; }
int cuFuncGetAttribute(int *v, int a, handle f) { LOG("cuFuncGetAttribute %d of %ld", a, H(f)); *v = 32; return 0; }
int cuFuncSetAttribute(handle f, int a, int v) { LOG("cuFuncSetAttribute %ld %d %d", H(f), a, v); return 0; }
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, handle f, int block, size_t shared) { LOG("cuOccupancy %ld %d %zu", H(f), block, shared); *n = 8; return 0; }
int cuLaunchKernel(handle f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, handle s, void **a, void **extra)
{
    /* The kernel's parameters: float *, float, int, double, unsigned char, struct { int, int, long }. */
    LOG("cuLaunchKernel %ld %u %u %u %u %u %u %u %ld: %llx %g %d %g %u (%d %d %ld) %ld", H(f), gx, gy, gz, bx, by, bz, shared, H(s),
        *(ptr *)a[0], *(float *)a[1], *(int *)a[2], *(double *)a[3], *(unsigned char *)a[4],
        ((int *)a[5])[0], ((int *)a[5])[1], ((long *)a[5])[1], H(extra));
    return bx > 1024;
}
int cuStreamCreate(handle *s, unsigned flags) { LOG("cuStreamCreate %u", flags); *s = (handle)51; return 0; }
int cuStreamDestroy_v2(handle s) { LOG("cuStreamDestroy %ld", H(s)); return 0; }
int cuStreamSynchronize(handle s) { LOG("cuStreamSynchronize %ld", H(s)); return 0; }
int cuStreamQuery(handle s) { LOG("cuStreamQuery %ld", H(s)); return 600; }
int cuStreamWaitEvent(handle s, handle e, unsigned flags) { LOG("cuStreamWaitEvent %ld %ld %u", H(s), H(e), flags); return 0; }
int cuStreamBeginCapture_v2(handle s, int mode) { LOG("cuStreamBeginCapture %ld %d", H(s), mode); return 0; }
int cuStreamEndCapture(handle s, handle *g) { LOG("cuStreamEndCapture %ld", H(s)); *g = (handle)71; return 0; }
int cuStreamIsCapturing(handle s, int *status) { LOG("cuStreamIsCapturing %ld", H(s)); *status = 2; return 0; }
int cuThreadExchangeStreamCaptureMode(int *mode) { static __thread int now; int before = now; LOG("cuThreadExchangeStreamCaptureMode %d", *mode); now = *mode; *mode = before; return 0; }
int cuEventCreate(handle *e, unsigned flags) { LOG("cuEventCreate %u", flags); *e = (handle)(61l + flags); return 0; }
int cuEventDestroy_v2(handle e) { LOG("cuEventDestroy %ld", H(e)); return 0; }
int cuEventRecord(handle e, handle s) { LOG("cuEventRecord %ld %ld", H(e), H(s)); return 0; }
int cuEventSynchronize(handle e) { LOG("cuEventSynchronize %ld", H(e)); return 0; }
int cuEventQuery(handle e) { LOG("cuEventQuery %ld", H(e)); return 0; }
int cuEventElapsedTime(float *ms, handle a, handle b) { LOG("cuEventElapsedTime %ld %ld", H(a), H(b)); *ms = 2.5f; return 0; }
int cuMemAlloc_v2(ptr *p, size_t n) { LOG("cuMemAlloc %zu", n); if (n == 1000000) return 2; *p = 0x7f0000002000; return 0; }
int cuMemFree_v2(ptr p) { LOG("cuMemFree %llx", p); return 0; }
int cuMemGetInfo_v2(size_t *f, size_t *t) { *f = 5ull << 30; *t = 80ull << 30; return 0; }
int cuMemHostAlloc(void **p, size_t n, unsigned flags) { LOG("cuMemHostAlloc %zu %u", n, flags); if (n == 1000000) return 2; *p = malloc(n); strcpy(*p, "pinned"); return 0; }
int cuMemFreeHost(void *p) { LOG("cuMemFreeHost %s", (char *)p); free(p); return 0; }
int cuMemcpyHtoDAsync_v2(ptr d, const void *s, size_t n, handle q) { LOG("cuMemcpyHtoDAsync %llx %.*s %zu %ld", d, (int)n, (const char *)s, n, H(q)); return 0; }
int cuMemcpyDtoHAsync_v2(void *d, ptr s, size_t n, handle q) { LOG("cuMemcpyDtoHAsync %llx %zu %ld", s, n, H(q)); memset(d, 'x', n); return 0; }
int cuMemcpyDtoDAsync_v2(ptr d, ptr s, size_t n, handle q) { LOG("cuMemcpyDtoDAsync %llx %llx %zu %ld", d, s, n, H(q)); return 0; }
int cuMemsetD8Async(ptr d, unsigned char v, size_t n, handle q) { LOG("cuMemsetD8Async %llx %u %zu %ld", d, v, n, H(q)); return 0; }
int cuMemsetD16Async(ptr d, unsigned short v, size_t n, handle q) { LOG("cuMemsetD16Async %llx %x %zu %ld", d, v, n, H(q)); return 0; }
int cuMemsetD32Async(ptr d, unsigned v, size_t n, handle q) { LOG("cuMemsetD32Async %llx %x %zu %ld", d, v, n, H(q)); return 0; }
int cuGraphGetNodes(handle g, handle *nodes, size_t *n) { LOG("cuGraphGetNodes %ld %ld", H(g), H(nodes)); *n = 3; return 0; }
int cuGraphInstantiateWithFlags(handle *e, handle g, ptr flags) { LOG("cuGraphInstantiate %ld %llu", H(g), flags); *e = (handle)81; return 0; }
int cuGraphLaunch(handle e, handle s) { LOG("cuGraphLaunch %ld %ld", H(e), H(s)); return 0; }
int cuGraphExecUpdate(handle e, handle g, handle *node, int *why) { LOG("cuGraphExecUpdate %ld %ld", H(e), H(g)); *node = 0; *why = 1; return H(g) == 71 ? 910 : 0; }
int cuGraphDestroy(handle g) { LOG("cuGraphDestroy %ld", H(g)); return 0; }
int cuGraphExecDestroy(handle e) { LOG("cuGraphExecDestroy %ld", H(e)); return 0; }
