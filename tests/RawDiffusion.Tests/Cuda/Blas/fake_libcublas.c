/* A cuBLAS that multiplies host memory with three loops, column-major: for the test that our row-major products are asked for rightly.
   Compiled by the test with the machine's C compiler. Prototypes: NVIDIA, cuBLAS library. */
#include <stdint.h>
#include <string.h>

typedef void *handle;

static handle given_stream;
static int given_mode;

static float element(const void *a, int type, long i)
{
    uint32_t bits;
    float value;
    if (type == 0)
        return ((const float *)a)[i];
    bits = (uint32_t)((const uint16_t *)a)[i] << 16; /* bfloat16 */
    memcpy(&value, &bits, 4);
    return value;
}

int cublasCreate_v2(handle *h) { *h = (handle)5; return 0; }
int cublasDestroy_v2(handle h) { return h == (handle)5 ? 0 : 7; }
int cublasGetVersion_v2(handle h, int *v) { *v = 120405; return 0; }
int cublasGetProperty(int type, int *v) { *v = type == 0 ? 12 : type == 1 ? 4 : 5; return 0; }
int cublasSetStream_v2(handle h, handle s) { given_stream = s; return 0; }
int cublasSetMathMode(handle h, int mode) { given_mode = mode; return mode == 3 ? 0 : 15; }
const char *cublasGetStatusString(int status) { return status == 15 ? "CUBLAS_STATUS_NOT_SUPPORTED" : "CUBLAS_STATUS_INVALID_VALUE"; }

int cublasGemmEx(handle h, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int at, int lda,
    const void *b, int bt, int ldb, const void *beta, void *c, int ct, int ldc, int compute, int algorithm)
{
    if (h != (handle)5 || given_stream != (handle)51 || ct != 0 || compute != 68 || algorithm != -1)
        return 7;
    if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m)
        return 7;
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            float sum = 0;
            for (int l = 0; l < k; l++)
                sum += element(a, at, ta ? l + (long)i * lda : i + (long)l * lda) * element(b, bt, tb ? j + (long)l * ldb : l + (long)j * ldb);
            float *to = (float *)c + i + (long)j * ldc;
            *to = *(const float *)alpha * sum + *(const float *)beta * *to;
        }
    return 0;
}

int cublasSgemm_v2(handle h, int ta, int tb, int m, int n, int k, const float *alpha, const float *a, int lda,
    const float *b, int ldb, const float *beta, float *c, int ldc)
{
    return cublasGemmEx(h, ta, tb, m, n, k, alpha, a, 0, lda, b, 0, ldb, beta, c, 0, ldc, 68, -1);
}
