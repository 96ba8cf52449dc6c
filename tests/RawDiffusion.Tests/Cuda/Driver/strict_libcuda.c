/* A libcuda without a GPU that refuses what a real one refuses, for the test that the native driver's work would be accepted. It runs no
   kernel, device memory is only numbers, and what is copied to the host is zeros. Compiled by the test with the machine's C compiler.
   Source of the rules: NVIDIA, CUDA Driver API and CUDA C++ Programming Guide.

   Launches  are held against the machine code that was loaded: the kernel is in it, the block has registers, shared memory and threads
             enough, every parameter can be read, and what looks like an address of device memory lies in memory that is allocated.
   Capture   (thread-local) forbids the capturing thread what waits, allocates, loads or asks, and is invalid after such a call. Looking
             up a kernel counts as loading, as it does where loading is lazy.
   Graphs    keep the addresses that were recorded: what they point to must be allocated at every launch.
   Copies    are made as late as they may be: when somebody waits. A source in host memory that was changed or freed before that ends the
             process, as it would have spoilt the copy.

   The device is RAWDIFFUSION_FAKE_CAPABILITY: 75 (T4), 80 (A100) or 90 (H100). strict_live tells how many things were not given back. */
#include <elf.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long long ptr;
#define MEMORY (80ull << 30)
#define FIRST_ADDRESS 0x700000000000ull
#define GRAPH_NODES 20000

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600, OUT_OF_RESOURCES = 701, CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901, CAPTURED_EVENT = 907, WRONG_THREAD = 908, UPDATE_FAILURE = 910 };
enum { GLOBAL, THREAD_LOCAL, RELAXED };
enum { KERNEL, TO_DEVICE, TO_HOST, WITHIN, FILL };

struct block { ptr start; size_t bytes; int live; struct block *next; };
struct param { unsigned offset, size; };
struct function { char name[200]; int registers, shared, dynamic, bound, count; struct param params[64]; struct function *next; };
struct module { struct function *functions; };
/* Work: of a kernel the addresses among its parameters. `kept` is what the source held when the copy was given. */
struct work { int kind; void *host; ptr device, other; size_t bytes; char *kept; int addresses; ptr address[40]; };
struct graph { int count; struct work *work; };
struct stream { int capturing, invalid, mode; pthread_t thread; struct graph *graph; };
struct event { long number; int captured; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int current, thread_mode;
static struct block *device_blocks, *host_blocks;
static struct stream *captured;
static struct work *queue;
static long queued, done, base, room;
static ptr next_address = FIRST_ADDRESS;
static int live, contexts;

#define STOP(...) do { fprintf(stderr, "libcuda: "); fprintf(stderr, __VA_ARGS__); fputc('\n', stderr); fflush(stderr); abort(); } while (0)
#define ENTER pthread_mutex_lock(&lock); if (!current) return leave(INVALID_CONTEXT)
/* What a capturing thread must not do. */
#define UNSAFE if (captured && pthread_equal(captured->thread, pthread_self()) && captured->mode != RELAXED && thread_mode != RELAXED) \
    { captured->invalid = 1; return leave(CAPTURE_UNSUPPORTED); }
static int leave(int result) { pthread_mutex_unlock(&lock); return result; }
static void *make(size_t bytes) { live++; return calloc(1, bytes); }
static int destroy(void *thing) { if (!thing) return INVALID_HANDLE; live--; free(thing); return OK; }

static int capability(void) { const char *text = getenv("RAWDIFFUSION_FAKE_CAPABILITY"); return text ? atoi(text) : 80; }

static struct block *find(struct block *list, ptr address, size_t bytes)
{
    for (; list; list = list->next)
        if (list->live && address >= list->start && address - list->start <= list->bytes && bytes <= list->bytes - (address - list->start))
            return list;
    return NULL;
}

/* Work that was queued ------------------------------------------------------------------------------------------------------------------ */

static void perform(struct work *w)
{
    if (w->kept && memcmp(w->kept, w->host, w->bytes))
        STOP("host memory was changed while a copy of %zu bytes from it was under way", w->bytes);
    if (w->kind == TO_HOST)
        memset(w->host, 0, w->bytes);
    free(w->kept);
    w->kept = NULL;
}

static void wait_until(long number)
{
    while (done < number)
        perform(&queue[done++ - base]);
    if (done == queued)
        base = queued;
}

/* Every address of device memory must lie in an allocation. */
static int reachable(const struct work *w)
{
    if (w->kind == KERNEL) {
        for (int i = 0; i < w->addresses; i++)
            if (!find(device_blocks, w->address[i], 0))
                return 0;
        return 1;
    }
    return find(device_blocks, w->device, w->bytes) && (w->kind != WITHIN || find(device_blocks, w->other, w->bytes));
}

static void push(struct work w)
{
    if (queued - base == room)
        queue = realloc(queue, (room = 2 * room + 1000) * sizeof *queue);
    if (w.kind == TO_DEVICE) {
        w.kept = malloc(w.bytes);
        memcpy(w.kept, w.host, w.bytes);
    }
    queue[queued++ - base] = w;
}

static int give(struct stream *s, struct work w)
{
    if (!s)
        return INVALID_HANDLE;
    if (!reachable(&w))
        return INVALID_VALUE;
    if (!s->capturing) {
        push(w);
        return OK;
    }
    if (s->invalid)
        return CAPTURE_INVALIDATED;
    if (s->graph->count == GRAPH_NODES)
        STOP("the graph has more nodes than this library holds");
    s->graph->work[s->graph->count++] = w;
    return OK;
}

/* Devices and contexts ------------------------------------------------------------------------------------------------------------------- */

int strict_live(void) { return live + contexts; }
int cuInit(unsigned flags) { return flags ? INVALID_VALUE : OK; }
int cuDriverGetVersion(int *v) { *v = 12040; return OK; }
int cuGetErrorString(int e, const char **s) { static __thread char text[40]; snprintf(text, sizeof text, "explanation of %d", e); *s = text; return OK; }
int cuDeviceGetCount(int *n) { *n = 1; return OK; }
int cuDeviceGet(int *d, int n) { *d = n; return n == 0 ? OK : INVALID_DEVICE; }
int cuDeviceGetName(char *s, int n, int d) { snprintf(s, n, "strict GPU"); return OK; }
int cuDeviceTotalMem_v2(size_t *n, int d) { *n = MEMORY; return OK; }

/* The most shared memory of a block that asks for it. */
static int most_shared(void) { return capability() >= 90 ? 227 << 10 : capability() >= 80 ? 163 << 10 : 64 << 10; }

int cuDeviceGetAttribute(int *v, int attribute, int d)
{
    int c = capability();
    switch (attribute) {
    case 1: *v = 1024; break;
    case 8: *v = 48 << 10; break;
    case 10: *v = 32; break;
    case 13: *v = 1500000; break;
    case 16: *v = c >= 90 ? 132 : c >= 80 ? 108 : 40; break;
    case 38: *v = 1 << 20; break;
    case 39: *v = c >= 80 ? 2048 : 1024; break;
    case 75: *v = c / 10; break;
    case 76: *v = c % 10; break;
    case 81: *v = most_shared() + (c >= 80 ? 1024 : 0); break;
    case 97: *v = most_shared(); break;
    default: return INVALID_VALUE;
    }
    return OK;
}

int cuDevicePrimaryCtxRetain(void **c, int d)
{
    pthread_mutex_lock(&lock);
    contexts++;
    *c = &contexts;
    return leave(OK);
}

int cuDevicePrimaryCtxRelease_v2(int d) { pthread_mutex_lock(&lock); return leave(contexts-- > 0 ? OK : INVALID_CONTEXT); }
int cuCtxSetCurrent(void *c) { current = c != NULL; return c && c != &contexts ? INVALID_CONTEXT : OK; }

int cuCtxSynchronize(void)
{
    ENTER;
    if (captured) {
        captured->invalid = 1;
        return leave(CAPTURE_UNSUPPORTED);
    }
    wait_until(queued);
    return leave(OK);
}

/* Modules -------------------------------------------------------------------------------------------------------------------------------- */

/* What ptxas wrote of a kernel into .nv.info.NAME: entries of a format, an attribute and 16 bits, in format 4 followed by so many bytes. */
static void read_info(struct function *f, const unsigned char *at, size_t bytes)
{
    for (const unsigned char *end = at + bytes; at + 4 <= end;) {
        int format = at[0], attribute = at[1], half = at[2] | at[3] << 8;
        const uint32_t *words = (const uint32_t *)(at + 4);
        if (format == 4 && attribute == 0x05) /* EIATTR_MAX_THREADS, from __launch_bounds__ */
            f->bound = words[0] * words[1] * words[2];
        if (format == 4 && attribute == 0x17) { /* EIATTR_KPARAM_INFO: index, ordinal and offset, size from bit 18 on */
            unsigned ordinal = words[1] & 0xffff;
            if (ordinal >= 64)
                STOP("%s has more parameters than this library reads", f->name);
            f->params[ordinal].offset = words[1] >> 16;
            f->params[ordinal].size = words[2] >> 18;
            if ((int)ordinal >= f->count)
                f->count = ordinal + 1;
        }
        at += format == 4 ? 4 + half : 4;
    }
}

/* The registers of a thread, from .nv.info: EIATTR_REGCOUNT holds a kernel's number in the table of symbols and the count. */
static void read_registers(struct module *m, const char *image, const Elf64_Shdr *sections, int count, const unsigned char *at, size_t bytes)
{
    const Elf64_Shdr *table = sections;
    while (table < sections + count && table->sh_type != SHT_SYMTAB)
        table++;
    for (const unsigned char *end = at + bytes; at + 4 <= end; at += at[0] == 4 ? 4 + (at[2] | at[3] << 8) : 4) {
        if (at[0] != 4 || at[1] != 0x2f)
            continue;
        const uint32_t *words = (const uint32_t *)(at + 4);
        const Elf64_Sym *symbol = (const Elf64_Sym *)(image + table->sh_offset) + words[0];
        const char *name = image + sections[table->sh_link].sh_offset + symbol->st_name;
        for (struct function *f = m->functions; f; f = f->next)
            if (!strcmp(f->name, name))
                f->registers = words[1];
    }
}

int cuModuleLoadDataEx(void **m, const void *image, unsigned n, int *options, void **values)
{
    ENTER;
    UNSAFE;
    const Elf64_Ehdr *elf = image;
    if (memcmp(elf->e_ident, ELFMAG, SELFMAG))
        return leave(INVALID_IMAGE);
    const Elf64_Shdr *sections = (const Elf64_Shdr *)((const char *)image + elf->e_shoff);
    const char *names = (const char *)image + sections[elf->e_shstrndx].sh_offset;
    struct module *module = make(sizeof *module);
    for (int i = 0; i < elf->e_shnum; i++) {
        const char *name = names + sections[i].sh_name;
        if (strncmp(name, ".text.", 6))
            continue;
        struct function *f = calloc(1, sizeof *f);
        snprintf(f->name, sizeof f->name, "%s", name + 6);
        f->bound = 1024;
        for (int j = 0; j < elf->e_shnum; j++) {
            const char *other = names + sections[j].sh_name;
            if (!strncmp(other, ".nv.shared.", 11) && !strcmp(other + 11, f->name))
                f->shared = sections[j].sh_size;
            if (!strncmp(other, ".nv.info.", 9) && !strcmp(other + 9, f->name))
                read_info(f, (const unsigned char *)image + sections[j].sh_offset, sections[j].sh_size);
        }
        f->dynamic = (48 << 10) - f->shared;
        f->next = module->functions;
        module->functions = f;
    }
    for (int i = 0; i < elf->e_shnum; i++)
        if (!strcmp(names + sections[i].sh_name, ".nv.info"))
            read_registers(module, image, sections, elf->e_shnum, (const unsigned char *)image + sections[i].sh_offset, sections[i].sh_size);
    for (struct function *f = module->functions; f; f = f->next)
        if (!f->registers)
            STOP("the code does not say how many registers %s needs", f->name);
    *m = module;
    return leave(OK);
}

int cuModuleUnload(void *m)
{
    ENTER;
    UNSAFE;
    if (done < queued)
        STOP("a module is unloaded while work is queued that may be its kernels");
    return leave(destroy(m));
}

int cuModuleGetFunction(void **found, void *m, const char *name)
{
    ENTER;
    UNSAFE;
    for (struct function *f = ((struct module *)m)->functions; f; f = f->next)
        if (!strcmp(f->name, name)) {
            *found = f;
            return leave(OK);
        }
    return leave(NOT_FOUND);
}

int cuModuleGetGlobal_v2(ptr *p, size_t *n, void *m, const char *s) { return NOT_FOUND; }

/* Threads whose registers fit: a warp takes them in units of 256, and a multiprocessor has 65536. */
static int most_threads(const struct function *f)
{
    int warps = 65536 / ((f->registers * 32 + 255) / 256 * 256) / 4 * 4;
    return warps * 32 < f->bound ? warps * 32 : f->bound;
}

int cuFuncGetAttribute(int *v, int attribute, void *handle)
{
    struct function *f = handle;
    *v = attribute == 0 ? most_threads(f) : attribute == 1 ? f->shared : attribute == 4 ? f->registers : attribute == 8 ? f->dynamic : 0;
    return OK;
}

int cuFuncSetAttribute(void *handle, int attribute, int v)
{
    struct function *f = handle;
    if (attribute != 8 || v < 0 || v > most_shared() - f->shared)
        return INVALID_VALUE;
    f->dynamic = v;
    return OK;
}

int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *f, int block, size_t shared) { *n = 1; return OK; }

int cuLaunchKernel(void *handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *s, void **a, void **extra)
{
    ENTER;
    struct function *f = handle;
    struct work w = { KERNEL };
    if (!gx || !gy || !gz || !bx || !by || !bz || gx > 0x7fffffff || gy > 65535 || gz > 65535 || bx > 1024 || by > 1024 || bz > 64
        || bx * by * bz > 1024 || (int)shared > f->dynamic)
        return leave(INVALID_VALUE);
    if ((int)(bx * by * bz) > most_threads(f))
        return leave(OUT_OF_RESOURCES);
    for (int i = 0; i < f->count; i++)
        for (unsigned at = 0; at + 8 <= f->params[i].size; at += 8) {
            ptr value;
            memcpy(&value, (char *)a[i] + at, 8);
            if (value - FIRST_ADDRESS < next_address - FIRST_ADDRESS && w.addresses < 40)
                w.address[w.addresses++] = value;
        }
    return leave(give(s, w));
}

/* Streams and events --------------------------------------------------------------------------------------------------------------------- */

int cuStreamCreate(void **s, unsigned flags) { ENTER; *s = make(sizeof(struct stream)); return leave(flags == 1 ? OK : INVALID_VALUE); }
int cuStreamDestroy_v2(void *s) { ENTER; return leave(destroy(s)); }

int cuStreamSynchronize(void *s)
{
    ENTER;
    UNSAFE;
    wait_until(queued);
    return leave(OK);
}

int cuStreamQuery(void *s)
{
    ENTER;
    UNSAFE;
    return leave(done == queued ? OK : NOT_READY);
}

int cuStreamIsCapturing(void *handle, int *status)
{
    struct stream *s = handle;
    *status = !s->capturing ? 0 : s->invalid ? 2 : 1;
    return OK;
}

int cuThreadExchangeStreamCaptureMode(int *mode) { int before = thread_mode; thread_mode = *mode; *mode = before; return OK; }

int cuStreamBeginCapture_v2(void *handle, int mode)
{
    ENTER;
    struct stream *s = handle;
    if (captured)
        return leave(ILLEGAL_STATE);
    captured = s;
    *s = (struct stream){ 1, 0, mode, pthread_self(), make(sizeof(struct graph)) };
    s->graph->work = calloc(GRAPH_NODES, sizeof(struct work));
    return leave(OK);
}

int cuStreamEndCapture(void *handle, void **g)
{
    ENTER;
    struct stream *s = handle;
    *g = NULL;
    if (!s->capturing)
        return leave(ILLEGAL_STATE);
    if (!pthread_equal(s->thread, pthread_self()))
        return leave(WRONG_THREAD);
    s->capturing = 0;
    captured = NULL;
    if (s->invalid) {
        free(s->graph->work);
        destroy(s->graph);
        return leave(CAPTURE_INVALIDATED);
    }
    for (int i = 0; i < s->graph->count; i++)
        if (s->graph->work[i].host && !find(host_blocks, (ptr)s->graph->work[i].host, s->graph->work[i].bytes))
            STOP("a graph would copy from or to host memory that is not pinned");
    *g = s->graph;
    return leave(OK);
}

int cuStreamWaitEvent(void *s, void *e, unsigned flags) { ENTER; return leave(OK); }
int cuEventCreate(void **e, unsigned flags) { ENTER; *e = make(sizeof(struct event)); return leave(OK); }
int cuEventDestroy_v2(void *e) { ENTER; return leave(destroy(e)); }

int cuEventRecord(void *handle, void *stream)
{
    ENTER;
    struct event *e = handle;
    e->captured = ((struct stream *)stream)->capturing;
    e->number = queued;
    return leave(OK);
}

int cuEventSynchronize(void *handle)
{
    ENTER;
    UNSAFE;
    struct event *e = handle;
    if (e->captured)
        return leave(CAPTURED_EVENT);
    wait_until(e->number);
    return leave(OK);
}

int cuEventQuery(void *handle)
{
    ENTER;
    UNSAFE;
    struct event *e = handle;
    return leave(e->captured ? CAPTURED_EVENT : e->number <= done ? OK : NOT_READY);
}

int cuEventElapsedTime(float *ms, void *a, void *b) { *ms = 1; return OK; }

/* Memory --------------------------------------------------------------------------------------------------------------------------------- */

static struct block *add(struct block **list, ptr start, size_t bytes)
{
    struct block *b = make(sizeof *b);
    *b = (struct block){ start, bytes, 1, *list };
    return *list = b;
}

int cuMemAlloc_v2(ptr *p, size_t n)
{
    ENTER;
    UNSAFE;
    if (!n)
        return leave(INVALID_VALUE);
    if (n > MEMORY)
        return leave(OUT_OF_MEMORY);
    /* An address is never given twice, and none ends where another begins, so that what was freed can be told. */
    *p = add(&device_blocks, next_address, n)->start;
    next_address += (n + 1023) / 512 * 512;
    return leave(OK);
}

static int release(struct block *b, ptr start)
{
    if (!b || b->start != start)
        return INVALID_VALUE;
    b->live = 0;
    live--;
    return OK;
}

int cuMemFree_v2(ptr p)
{
    ENTER;
    UNSAFE;
    wait_until(queued);
    return leave(release(find(device_blocks, p, 1), p));
}

int cuMemGetInfo_v2(size_t *f, size_t *t) { *f = *t = MEMORY; return OK; }

int cuMemHostAlloc(void **p, size_t n, unsigned flags)
{
    ENTER;
    UNSAFE;
    add(&host_blocks, (ptr)(*p = aligned_alloc(4096, (n + 4095) / 4096 * 4096)), n);
    return leave(OK);
}

int cuMemFreeHost(void *p)
{
    ENTER;
    UNSAFE;
    for (long i = done; i < queued; i++)
        if ((queue[i - base].kind == TO_DEVICE || queue[i - base].kind == TO_HOST) && find(host_blocks, (ptr)queue[i - base].host, 1) == find(host_blocks, (ptr)p, 1))
            STOP("pinned memory is freed while a copy uses it");
    int result = release(find(host_blocks, (ptr)p, 1), (ptr)p);
    if (result == OK)
        free(p);
    return leave(result);
}

int cuMemcpyHtoDAsync_v2(ptr d, const void *h, size_t n, void *s) { ENTER; return leave(give(s, (struct work){ TO_DEVICE, (void *)h, d, .bytes = n })); }
int cuMemcpyDtoHAsync_v2(void *h, ptr d, size_t n, void *s) { ENTER; return leave(give(s, (struct work){ TO_HOST, h, d, .bytes = n })); }
int cuMemcpyDtoDAsync_v2(ptr d, ptr from, size_t n, void *s) { ENTER; return leave(give(s, (struct work){ WITHIN, NULL, d, from, .bytes = n })); }

static int fill(ptr d, unsigned width, size_t n, void *s)
{
    ENTER;
    return leave(d % width ? INVALID_VALUE : give(s, (struct work){ FILL, NULL, d, .bytes = n * width }));
}

int cuMemsetD8Async(ptr d, unsigned char v, size_t n, void *s) { return fill(d, 1, n, s); }
int cuMemsetD16Async(ptr d, unsigned short v, size_t n, void *s) { return fill(d, 2, n, s); }
int cuMemsetD32Async(ptr d, unsigned v, size_t n, void *s) { return fill(d, 4, n, s); }

/* Graphs --------------------------------------------------------------------------------------------------------------------------------- */

int cuGraphGetNodes(void *g, void *nodes, size_t *n) { *n = ((struct graph *)g)->count; return OK; }

static struct graph *copy(const struct graph *g)
{
    struct graph *c = make(sizeof *c);
    c->count = g->count;
    c->work = malloc((g->count + 1) * sizeof *c->work);
    memcpy(c->work, g->work, g->count * sizeof *c->work);
    return c;
}

static int drop(struct graph *g) { if (g) free(g->work); return destroy(g); }

int cuGraphInstantiateWithFlags(void **e, void *g, ptr flags) { ENTER; UNSAFE; *e = copy(g); return leave(OK); }
int cuGraphDestroy(void *g) { ENTER; return leave(drop(g)); }
int cuGraphExecDestroy(void *e) { ENTER; return leave(drop(e)); }

int cuGraphLaunch(void *e, void *s)
{
    ENTER;
    UNSAFE;
    struct graph *g = e;
    for (int i = 0; i < g->count; i++) {
        if (!reachable(&g->work[i]))
            STOP("node %d of a graph uses device memory that was freed", i);
        push(g->work[i]);
    }
    return leave(OK);
}

int cuGraphExecUpdate(void *e, void *g, void **node, int *why)
{
    ENTER;
    struct graph *old = e, *fresh = g;
    *node = NULL;
    int same = old->count == fresh->count;
    for (int i = 0; same && i < old->count; i++)
        same = old->work[i].kind == fresh->work[i].kind;
    *why = !same;
    if (!same)
        return leave(UPDATE_FAILURE);
    free(old->work);
    struct graph *c = copy(fresh);
    old->work = c->work;
    live--;
    free(c);
    return leave(OK);
}
